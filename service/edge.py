"""The layers around the application: what every request and every answer gets.

They stand outside the framework so that they also see unmatched routes and the framework's own
errors. From the outside in: counting, HEAD and request ids; then other origins; then compression.
"""

import asyncio
import time
from functools import partial
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from service.answers import NO_BODY
from service.compression import compress
from service.logs import current_request
from service.metrics import Metrics
from service.requests import Timing, request_id

SHOWN_TO_SCRIPTS = (
    b"Accept-Ranges, Content-Location, Content-Range, ETag, Link, Retry-After, Server-Timing, "
    b"X-Request-ID"
)
PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-max-age", b"7200"),
]


def edge(app: ASGIApp, metrics: Metrics, origins: frozenset[str]) -> ASGIApp:
    """The application as the server runs it."""
    return instrument(cross_origin(compress(app), origins), metrics)


def instrument(app: ASGIApp, metrics: Metrics) -> ASGIApp:
    """`app` with its requests counted, timed and named, and with HEAD wherever it has GET."""

    async def instrumented(scope: Any, receive: Receive, send: Send) -> None:
        started, status, method = time.perf_counter(), 500, scope["method"]
        head = method == "HEAD"
        if head:
            answered = asyncio.Event()
            scope, receive = _as_get(scope), partial(_ended, answered)
        headers = dict(scope["headers"])
        state = scope.setdefault("state", {})
        state["headers"], state["timing"] = headers, Timing()
        state["request_id"] = request_id(headers.get(b"x-request-id"))
        current_request.set(scope)  # each request runs in a task of its own

        async def watch(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, state["begun"] = message["status"], True
                found = message["headers"]
                if status in (204, 405):
                    found = _with_head(found)
                message["headers"] = [*found, *_of(state)]
                await send(message)
                if head:
                    await send(NO_BODY)
                    answered.set()
            elif not head:
                await send(message)

        try:
            return await app(scope, receive, watch)
        finally:
            metrics.observe(scope, method, status, time.perf_counter() - started)

    return instrumented


def _as_get(scope: Any) -> Any:
    """A copy of a HEAD's scope that says GET: the server must still see HEAD.

    A range is defined for GET alone (RFC 9110, section 14.2).
    """
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return {**scope, "method": "GET", "headers": headers}


async def _ended(answered: asyncio.Event) -> Any:
    """What is received of a HEAD: its client waits for no body, so that a stream ends at once."""
    await answered.wait()
    return {"type": "http.disconnect"}


def _with_head(headers: Any) -> Any:
    """Headers whose Allow names HEAD wherever it names GET."""
    return [
        (name, value.replace(b"GET", b"GET, HEAD"))
        if name == b"allow" and b"HEAD" not in value
        else (name, value)
        for name, value in headers
    ]


def _of(state: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", state["request_id"].encode())]
    if timing := state["timing"].header():
        headers.append((b"server-timing", timing.encode()))
    return headers


def cross_origin(app: ASGIApp, origins: frozenset[str]) -> ASGIApp:
    """`app` for the scripts of pages from these origins, or from all for `*`.

    The answer to a preflight is given here: it carries no key. The framework's own layer
    overwrites Vary.
    """
    if not origins:
        return app

    async def crossed(scope: Any, receive: Receive, send: Send) -> None:
        asked = scope["state"]["headers"]
        headers = _allowing(asked.get(b"origin", b""), origins)
        if b"access-control-request-method" in asked and scope["method"] == "OPTIONS":
            return await _preflight(send, headers, asked)

        async def allow(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        return await app(scope, receive, allow)

    return crossed


def _allowing(origin: bytes, origins: frozenset[str]) -> list[tuple[bytes, bytes]]:
    exposed = (b"access-control-expose-headers", SHOWN_TO_SCRIPTS)
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*"), exposed]
    vary = (b"vary", b"Origin")
    if origin.decode("latin-1") not in origins:
        return [vary]
    return [vary, (b"access-control-allow-origin", origin), exposed]


async def _preflight(
    send: Send, headers: list[tuple[bytes, bytes]], asked: dict[bytes, bytes]
) -> None:
    wanted = asked.get(b"access-control-request-headers", b"")
    allowed = [*PREFLIGHT, (b"access-control-allow-headers", wanted)]
    start: Any = {"type": "http.response.start", "status": 204, "headers": [*headers, *allowed]}
    await send(start)
    await send(NO_BODY)
