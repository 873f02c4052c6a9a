"""Prometheus metrics. Routes are labelled by their template, never by URL.

A label per run and step would be a time series per checkpoint.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from service.requests import current_timing

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ENDLESS = "/v1/runs/{run}/events"  # lasts as long as its listener: that is no time to answer
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The service's metrics in a registry of their own: two applications never share one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
            "grokprobe_inference_seconds", "Time in ONNX Runtime, by request."
        )
        self.cache_hits = self._counter("hits", "Requests that found their checkpoint loaded.")
        self.cache_misses = self._counter("misses", "Requests that had to wait for a load.")
        self.cache_loads = self._counter("loads", "Checkpoints loaded from object storage.")
        self.cache_evictions = self._counter("evictions", "Checkpoints dropped to stay in budget.")
        self.cache_bytes = Gauge(
            "grokprobe_session_cache_bytes",
            "Estimated bytes of the loaded checkpoints.",
            registry=self.registry,
        )
        self.derived = Counter(
            "grokprobe_derived_total",
            "Results of analysis by where they came from: memory, redis, computed.",
            ["source"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "grokprobe_refusals_total",
            "Requests refused before any work.",
            ["reason"],
            registry=self.registry,
        )
        self.listeners = Gauge(
            "grokprobe_event_listeners", "Open streams of events.", registry=self.registry
        )
        self.listeners_dropped = Counter(
            "grokprobe_event_listeners_dropped_total",
            "Listeners that did not keep up with the events.",
            registry=self.registry,
        )
        self.catalogue_lag = Gauge(
            "grokprobe_catalogue_lag_seconds",
            "Age of the newest checkpoint when this process first saw it.",
            registry=self.registry,
        )

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=LATENCY_BUCKETS, registry=self.registry)

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
        self.requests.labels(route, label, str(status)).inc()
        if route != ENDLESS:
            self.request_seconds.observe(seconds)
