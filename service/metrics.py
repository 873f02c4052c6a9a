"""Prometheus metrics, and the layer around the application that fills the request ones.

The layer stands outside the framework so that it also sees unmatched routes and the framework's
own errors, and so that HEAD answers wherever GET does. Routes are labelled by their template,
never by URL: a label per run and step would be a time series per checkpoint.
"""

import time
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from service.logs import current_request

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

    def observe(self, scope: Any, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        route = scope.get("path_template") or "unmatched"
        label = method if method in METHODS else "OTHER"
        self.requests.labels(route, label, str(status)).inc()
        if route != ENDLESS:
            self.request_seconds.observe(seconds)


def instrument(app: ASGIApp, metrics: Metrics) -> ASGIApp:
    """`app` with its requests counted and timed, and with HEAD wherever it has GET."""

    async def instrumented(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        started, status, method = time.perf_counter(), 500, scope["method"]
        head, answered = method == "HEAD", False
        if head:  # a copy: the server must still see HEAD, or it waits for a body
            scope = {**scope, "method": "GET"}
        current_request.set(scope)  # each request runs in a task of its own

        async def watch(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
            elif head:  # the first part of a body is the last: a stream would go on
                if answered:
                    return
                answered = True
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        try:
            return await app(scope, receive, watch)
        finally:
            metrics.observe(scope, method, status, time.perf_counter() - started)

    return instrumented
