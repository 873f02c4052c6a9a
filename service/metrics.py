"""Prometheus metrics. Routes are labelled by their template, never by URL.

A label per run and step would be a time series per checkpoint.
"""

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from service.requests import current_timing

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


class Metrics:
    """The service's metrics in a registry of their own: two applications never share one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counter_of = lru_cache(self._requests_of)  # the library's look-up takes a lock
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "grokprobe_requests_total",
            "Answered requests.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.request_seconds = self._histogram("grokprobe_request_seconds", "Time to answer.")
        self.queue_seconds = self._histogram(
            "grokprobe_queue_seconds", "Time from admission to the start of inference."
        )
        self.inference_seconds = self._histogram(
            "grokprobe_inference_seconds", "Time of the run, often shared, that answered a request."
        )
        self.cache_hits = self._counter("hits", "Requests that found their checkpoint loaded.")
        self.cache_misses = self._counter("misses", "Requests that had to wait for a load.")
        self.cache_loads = self._counter("loads", "Checkpoints loaded from object storage.")
        self.cache_evictions = self._counter("evictions", "Checkpoints dropped to stay in budget.")
        self.cache_bytes = self._gauge("session_cache_bytes", "The loaded checkpoints, estimated.")
        self.derived = self._by_source("derived", "Results of analysis")
        self.grids = self._by_source("grids", "Outputs over all pairs")
        self.grid_cache_bytes = self._gauge("grid_cache_bytes", "Outputs over all pairs, kept.")
        self.refusals = Counter(
            "grokprobe_refusals_total",
            "Requests refused before any work.",
            ["reason"],
            registry=self.registry,
        )
        self.in_flight = self._gauge("in_flight", "Requests that hold a permit.")
        self.listeners = self._gauge("event_listeners", "Open streams of events.")
        self.listeners_dropped = Counter(
            "grokprobe_event_listeners_dropped_total",
            "Listeners that did not keep up with the events.",
            registry=self.registry,
        )
        self.catalogue_lag = self._gauge(
            "catalogue_lag_seconds", "Age of the newest checkpoint when this process first saw it."
        )

    def _histogram(self, name: str, text: str) -> Times:
        times = Times(name, text)
        self.registry.register(times)
        return times

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"grokprobe_{name}", text, registry=self.registry)

    def _by_source(self, name: str, what: str) -> Counter:
        text = f"{what}, by where they came from: memory, redis, computed."
        return Counter(f"grokprobe_{name}_total", text, ["source"], registry=self.registry)

    def _requests_of(self, route: str, method: str, status: int) -> Counter:
        return self.requests.labels(route, method, str(status))

    def _counter(self, what: str, text: str) -> Counter:
        return Counter(f"grokprobe_session_cache_{what}_total", text, registry=self.registry)

    def queued(self, seconds: float) -> None:
        """Note the time from the admission of the current request to the start of inference."""
        self.queue_seconds.observe(seconds)
        current_timing().queue_s += seconds

    def inferred(self, seconds: float) -> None:
        """Note the time that inference took for the current request."""
        self.inference_seconds.observe(seconds)
        current_timing().inference_s += seconds

    def observe(self, scope: Any, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        route = scope.get("path_template") or "unmatched"
        label = method if method in METHODS else "OTHER"
        self._counter_of(route, label, status).inc()
        if route != ENDLESS:
            self.request_seconds.observe(seconds)
