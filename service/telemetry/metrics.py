"""Prometheus metrics. Routes are labelled by their template, never by URL.

A label per run and step would be a time series per checkpoint.
"""

import platform
from bisect import bisect_left
from collections.abc import Iterator
from importlib.metadata import version
from itertools import accumulate

from litestar.types import HTTPScope
from prometheus_client import CollectorRegistry, Gauge, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from service.telemetry.requests import current_timing

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ENDLESS = "/v1/runs/{run}/events"  # lasts as long as its listener: that is no time to answer
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Times(Collector):
    """A histogram of seconds that is observed on the event loop alone.

    The library's takes two locks and looks through its buckets; three of them a request were a
    tenth of a prediction.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._counts = [0] * (len(LATENCY_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """The histogram as it stands, for a scrape."""
        below = zip((*map(str, LATENCY_BUCKETS), "+Inf"), accumulate(self._counts), strict=True)
        yield HistogramMetricFamily(self._name, self._text, list(below), self._sum)


class Counts(Collector):
    """A counter that is incremented on the event loop alone: the library's takes a lock, twice."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._counts: dict[tuple[str, ...], int] = {} if labels else {(): 0}

    def inc(self, *labels: str, by: int = 1) -> None:
        """Count one more, or so many, under these labels."""
        self._counts[labels] = self._counts.get(labels, 0) + by

    def collect(self) -> Iterator[Metric]:
        """The counts as they stand, for a scrape."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family


class Metrics:
    """The service's metrics in a registry of their own: two applications never share one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counts("requests", "Answered requests.", "route", "method", "status")
        self.request_seconds = self._times("request_seconds", "Time to answer.")
        self.queue_seconds = self._times(
            "queue_seconds", "Time from admission to the start of inference."
        )
        self.inference_seconds = self._times(
            "inference_seconds", "Time of the run, often shared, that answered a request."
        )
        self.cache_hits = self._counts("session_cache_hits", "Requests of a loaded checkpoint.")
        self.cache_misses = self._counts("session_cache_misses", "Requests that waited for a load.")
        self.cache_loads = self._counts("session_cache_loads", "Loads from object storage.")
        self.cache_evictions = self._counts(
            "session_cache_evictions", "Checkpoints dropped to stay in budget."
        )
        self.cache_bytes = self._gauge("session_cache_bytes", "The loaded checkpoints, estimated.")
        self.derived = self._by_source("derived", "Results of analysis")
        self.result_cache_bytes = self._gauge(
            "result_cache_bytes", "Results of analysis that are kept, estimated."
        )
        self.grids = self._by_source("grids", "Outputs over all pairs")
        self.grid_cache_bytes = self._gauge("grid_cache_bytes", "Outputs over all pairs, kept.")
        self.answer_cache_bytes = self._gauge(
            "answer_cache_bytes", "Answers kept for who reads them by parts."
        )
        self.index_doubts = self._counts(
            "index_doubts", "Entries of the index that did not prove themselves.", "reason"
        )
        self.unreadable_runs = self._counts(
            "unreadable_runs", "Runs left out of lists, as their `run.json` cannot be read."
        )
        self.refusals = self._counts("refusals", "Requests refused before any work.", "reason")
        self.request_memory_bytes = self._gauge(
            "request_memory_bytes", "Memory that requests at work have reserved."
        )
        self.in_flight = self._gauge("in_flight", "Requests that hold a permit.")
        self.listeners = self._gauge("event_listeners", "Open streams of events.")
        self.listeners_dropped = self._counts(
            "event_listeners_dropped", "Listeners that did not keep up with the events."
        )
        self._add_pictures()
        self._add_index()
        self.catalogue_lag = self._gauge(
            "catalogue_lag_seconds", "Age of the newest checkpoint when this process first saw it."
        )
        built = self._gauge("build_info", "1: what runs.", "version", "python")
        built.labels(version("grokprobe"), platform.python_version()).set(1)

    def _add_pictures(self) -> None:
        """Of pictures, and of the process that draws them."""
        self.pictures = self._counts(
            "pictures", "Pictures asked for: kept, drawn, or not drawn.", "format", "outcome"
        )
        self.pictures_waiting = self._gauge(
            "pictures_waiting", "Pictures that are being drawn, or wait for it."
        )
        self.picture_seconds = self._times("picture_seconds", "Time to draw a picture.")
        self.renderer_restarts = self._counts(
            "renderer_restarts", "Renderers that ended while they drew, or were ended.", "reason"
        )

    def _add_index(self) -> None:
        """Of what the service stands on, and of the index that it keeps equal to object storage."""
        self.dependency_up = self._gauge(
            "dependency_up", "1 where the last look found it in order, else 0.", "dependency"
        )
        self.redis_faults = self._gauge(
            "redis_fault", "1 for what is wrong with Redis itself: see /readyz.", "fault"
        )
        self.index_whole = self._gauge("index_whole", "1 where the index is whole, else 0.")
        self.index_behind = self._gauge(
            "index_runs_behind", "Runs whose entry is known to differ, or is still to be compared."
        )
        self.index_compared = self._gauge(
            "index_compared_timestamp_seconds", "When this process last compared what was due."
        )
        self.index_lock = self._gauge(
            "index_lock_held", "1 for the process that compares and repairs, 0 for the others."
        )
        self.index_repairs = self._counts("index_repairs", "Entries repaired.", "reason")
        self.unreadable_records = self._gauge(
            "unreadable_records", "Records in object storage that cannot be read, as last compared."
        )

    def _counts(self, name: str, text: str, *labels: str) -> Counts:
        counts = Counts(f"grokprobe_{name}", text, *labels)
        self.registry.register(counts)
        return counts

    def _times(self, name: str, text: str) -> Times:
        times = Times(f"grokprobe_{name}", text)
        self.registry.register(times)
        return times

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"grokprobe_{name}", text, labels, registry=self.registry)

    def _by_source(self, name: str, what: str) -> Counts:
        text = f"{what}, by where they came from: memory, computed."
        return self._counts(name, text, "source")

    def inferred(self, queue_s: float, inference_s: float) -> None:
        """Note a run for the current request: the time before it, and its own."""
        self.queue_seconds.observe(queue_s)
        self.inference_seconds.observe(inference_s)
        timing = current_timing()
        timing.queue_s += queue_s
        timing.inference_s += inference_s

    def observe(self, scope: HTTPScope, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        route = scope.get("path_template") or "unmatched"
        label = method if method in METHODS else "OTHER"
        self.requests.inc(route, label, str(status))
        if route != ENDLESS:
            self.request_seconds.observe(seconds)
