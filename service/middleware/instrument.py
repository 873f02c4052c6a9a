"""The layers around the application: what every request and every answer gets.

They stand outside the framework so that they also see unmatched routes and the framework's own
errors. From the outside in: counting, HEAD and request ids; then other origins; then compression.
"""

import asyncio
import time
from functools import partial

from litestar.types import HTTPScope, Message, Receive, Send
from litestar.types.asgi_types import HTTPDisconnectEvent, RawHeaders

from grokprobe.errors import InvalidInput
from service.http.asgi import NO_BODY
from service.http.problems import send_problem
from service.telemetry.headers import ONCE, by_name, doubled
from service.telemetry.metrics import Metrics
from service.telemetry.requests import KEY, HTTPApp, RequestState, current_request, request_id


def instrument(app: HTTPApp, metrics: Metrics) -> HTTPApp:
    """`app` with its requests counted, timed and named, and with HEAD wherever it has GET."""

    async def instrumented(scope: HTTPScope, receive: Receive, send: Send) -> None:
        started, status, method = time.perf_counter(), 500, scope["method"]
        head = method == "HEAD"
        if head:
            answered = asyncio.Event()
            scope, receive = _as_get(scope), partial(_ended, answered)
        headers = by_name(scope["headers"])
        state = RequestState(request_id(headers.get(b"x-request-id")), headers, head)
        scope.setdefault("state", {})[KEY] = state
        current_request.set(scope)  # each request runs in a task of its own

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status, state.begun = message["status"], True
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
            if error := _ambiguity(scope, headers):
                return await send_problem(scope, watch, error)
            return await app(scope, receive, watch)
        finally:
            metrics.observe(scope, method, status, time.perf_counter() - started)

    return instrumented


def _ambiguity(scope: HTTPScope, headers: dict[bytes, bytes]) -> InvalidInput | None:
    """The error for a header that must come once and comes on several lines."""
    lines = [*scope["headers"]]
    if len(headers) == len(lines):
        return None
    names = [name.decode().title() for name in doubled(lines) if name in ONCE]
    return InvalidInput(names[0], "comes on several lines: send it once") if names else None


def _as_get(scope: HTTPScope) -> HTTPScope:
    """A copy of a HEAD's scope that says GET: the server must still see HEAD.

    A range is defined for GET alone (RFC 9110, section 14.2).
    """
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    return {**scope, "method": "GET", "headers": headers}


async def _ended(answered: asyncio.Event) -> HTTPDisconnectEvent:
    """What is received of a HEAD: its client waits for no body, so that a stream ends at once."""
    await answered.wait()
    return {"type": "http.disconnect"}


def _with_head(headers: RawHeaders) -> RawHeaders:
    """Headers whose Allow names HEAD wherever it names GET."""
    return [
        (name, value.replace(b"GET", b"GET, HEAD"))
        if name == b"allow" and b"HEAD" not in value
        else (name, value)
        for name, value in headers
    ]


def _of(state: RequestState) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", state.request_id.encode())]
    if timing := state.timing.header():
        headers.append((b"server-timing", timing.encode()))
    return headers
