"""Tracing by OpenTelemetry, where GROKPROBE_TRACING is true; elsewhere it is not even imported.

A span for each request, continuing the caller's trace (traceparent), and below it those of
`grokprobe.spans`. Where they go, and how many, is said by OpenTelemetry's own OTEL_* variables.
"""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from litestar.types import HTTPScope, Message, Receive, Send

from grokprobe import spans
from grokprobe.errors import SettingError
from grokprobe.settings import variable
from service.telemetry.headers import by_name
from service.telemetry.requests import HTTPApp

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

Layer = Callable[[HTTPApp], HTTPApp]


@contextmanager
def tracing(wanted: bool) -> Iterator[Layer]:
    """What to put around the application. Raises SettingError if OpenTelemetry is not there."""
    if not wanted:
        yield lambda app: app
        return
    provider = _exporting_provider()
    try:
        with traced_by(provider) as layer:
            yield layer
    finally:
        provider.shutdown()


@contextmanager
def traced_by(provider: "TracerProvider") -> Iterator[Layer]:
    """Meanwhile a provider gets the spans; the layer makes those of the requests."""
    tracer = provider.get_tracer("grokprobe")

    def start(name: str, facts: dict[str, spans.Fact]) -> AbstractContextManager[object]:
        return tracer.start_as_current_span(name, attributes=facts)

    with spans.started_by(start):
        yield functools.partial(_around, tracer)


def _exporting_provider() -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        message = "needs OpenTelemetry: pip install 'grokprobe[tracing]'"
        raise SettingError(variable("tracing"), message) from None
    os.environ.setdefault("OTEL_SERVICE_NAME", "grokprobe")
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "3")  # s; a stop waits for the last export
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _around(tracer: "Tracer", app: HTTPApp) -> HTTPApp:
    """`app` with a span for each request, named by its route."""
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode

    async def traced(scope: HTTPScope, receive: Receive, send: Send) -> None:
        found = by_name(scope["headers"])
        headers = {name.decode(): value.decode("latin-1") for name, value in found.items()}
        caller, method = extract(headers), scope["method"]
        facts = {"http.request.method": method, "url.path": scope["path"]}
        with tracer.start_as_current_span(
            method, caller, kind=SpanKind.SERVER, attributes=facts
        ) as span:

            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await app(scope, receive, watch)
            if route := scope.get("path_template"):
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)

    return traced
