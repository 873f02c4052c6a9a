"""Tracing and logs: one trace for a request, nothing imported without, lines that name the run."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from grokprobe.settings import Settings
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from service.telemetry.tracing import _exporting_provider, traced_by
from tests.support.served import PATIENCE_S, environment, serving
from tests.support.stores import backends, with_loop
from tests.support.tiny import tiny_run
from tests.support.trained import Trained

LAST = "/v1/runs/tiny/checkpoints/200"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


async def spans_of(
    folder: Path, path: str, headers: Mapping[bytes, bytes] = MappingProxyType({})
) -> dict[str, ReadableSpan]:
    """The spans of one request by their names, made for a caller who traces."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with backends(folder) as (opened, _):
        await tiny_run().publish(opened)
        context = create_context(Settings(home=str(folder)), opened, Runtime())
        with traced_by(provider) as layer:
            app: Any = layer(create_app(context, None))
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                exporter.clear()
                caller = f"00-{TRACE}-{CALLER}-01".encode()
                await client.get(path, headers={b"traceparent": caller, **headers})
    return {span.name: span for span in exporter.get_finished_spans()}


@with_loop
async def test_a_request_is_one_trace(tmp_path: Path) -> None:
    """The caller's: below it the request, and below that storage, catalogue and inference."""
    found = await spans_of(tmp_path, f"{LAST}/predictions?a=1&b=2")
    route = "/v1/runs/{run}/checkpoints/{step}/predictions"
    request = found.pop(f"GET {route}")
    assert {"object storage read", "catalogue", "inference"} <= set(found)
    assert request.parent is not None
    assert format_span_id(request.parent.span_id) == CALLER
    assert request.kind is SpanKind.SERVER
    facts = {"http.route": route, "http.response.status_code": 200}
    assert facts.items() <= dict(request.attributes or {}).items()
    for span in found.values():
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
        assert format_trace_id(span.context.trace_id) == TRACE


@with_loop
async def test_a_request_that_fails_is_an_error(tmp_path: Path) -> None:
    """Ours, 500 and above; what a client did wrong is none."""
    assert (await spans_of(tmp_path, "/v1/runs/tiny"))["GET /v1/runs/{run}"].status.is_ok
    missing = await spans_of(tmp_path / "other", "/v1/runs/nobody")
    assert missing["GET /v1/runs/{run}"].status.is_unset


@with_loop
async def test_headers_that_are_no_text(tmp_path: Path) -> None:
    """Bytes that nobody can decode end no request, wherever a trace looks at them."""
    odd = b"\xff\\x"
    found = await spans_of(tmp_path, "/v1/runs/tiny", {b"user-agent": odd, b"tracestate": odd})
    status = (found["GET /v1/runs/{run}"].attributes or {})["http.response.status_code"]
    assert status == 200


def test_without_tracing_nothing_is_imported() -> None:
    """The service and its program start where OpenTelemetry cannot be imported."""
    block = "import sys; sys.modules['opentelemetry'] = None"
    program = f"{block}; import service.app, service.__main__"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_tracing_without_its_extra(tmp_path: Path) -> None:
    """Exit code 2 and one line that says what to install."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from service.__main__ import main; sys.exit(main())"
    )
    env = environment(Settings(home=str(tmp_path / "home"), tracing=True))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "GROKPROBE_TRACING: needs OpenTelemetry: pip install" in done.stderr


class Collector(BaseHTTPRequestHandler):
    """Takes what is posted to it."""

    taken: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        """Answer 200."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.taken.append((self.path, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_spans_reach_the_collector(trained: Trained, tmp_path: Path) -> None:
    """The one that OpenTelemetry's own variables name, at the latest when the service stops."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{collector.server_port}"
        changes = {"GROKPROBE_TRACING": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        with serving(trained.settings, tmp_path, **changes) as served:
            assert served.client.get("/v1/runs/tiny").status_code == 200
        collector.shutdown()
    assert {path for path, _ in Collector.taken} == {"/v1/traces"}
    [body] = [body for _, body in Collector.taken if b"GET /v1/runs/{run}" in body]
    assert b"grokprobe" in body


def test_a_collector_that_is_not_there(trained: Trained, tmp_path: Path, closed_port: int) -> None:
    """Requests are answered, and the stop does not wait for it."""
    collector = f"http://127.0.0.1:{closed_port}"
    changes = {"GROKPROBE_TRACING": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    with serving(trained.settings, tmp_path, **changes) as served:
        assert served.client.get("/v1/runs/tiny").status_code == 200
        served.process.terminate()
        assert served.process.wait(PATIENCE_S) == 0


def test_a_stop_waits_seconds_for_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for as long as OpenTelemetry would, unless its own variable asks for more."""
    monkeypatch.setattr(os, "environ", {})
    _exporting_provider().shutdown()
    assert os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] == "3"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_line_names_run_and_step(trained: Trained, tmp_path: Path, log_format: str) -> None:
    """And stays one line, whatever a client sends."""
    with serving(trained.settings, tmp_path, GROKPROBE_LOG_FORMAT=log_format) as served:
        assert served.client.get("/v1/runs/tiny/checkpoints/7/spectrum").status_code == 404
        assert served.client.get("/v1/x%0AERROR forged").status_code == 404
    lines = served.log.read_text().splitlines()
    [line] = [line for line in lines if "spectrum" in line]
    if log_format == "json":
        entry = json.loads(line)
        assert (entry["level"], entry["run"], entry["step"]) == ("info", "tiny", "7")
    else:
        assert line.startswith("INFO GET /v1/runs/tiny/checkpoints/7/spectrum: 404 ")
        assert line.endswith(" run=tiny step=7")
    assert not [line for line in lines if line.startswith("ERROR")]
