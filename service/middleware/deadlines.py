"""How long a request is worked on: to its deadline, and only while its client is there.

The layer stands around the application and ends the request's task, until the answer begins. What
others wait for too (a load, a grid, a result of analysis) goes on without it.
"""

import asyncio
import time

from litestar.types import HTTPScope, Receive, Send
from litestar.types.asgi_types import ReceiveMessage

from grokprobe.errors import GrokprobeError, InvalidInput
from service.errors import ClientGone, DeadlineExceeded, IncompleteBody, Stopping
from service.http.problems import send_problem
from service.telemetry.requests import HTTPApp, state_of

HEADER = "X-Request-Timeout-Ms"
KEY = HEADER.lower().encode()
MAX_MS = 3_600_000
BODY_HEADERS = (b"content-length", b"transfer-encoding")
BODY_S = 15.0  # shorter than the drain at a stop, which waits for bodies too
# Most requests are answered sooner: only for the others is it worth asking who still waits.
LOOK_S = 0.05


def timeout_ms(value: bytes) -> int:
    """The time that the client gives. Raises InvalidInput."""
    if value.isdigit() and len(value) <= len(str(MAX_MS)) and 0 < (ms := int(value)) <= MAX_MS:
        return ms
    given = value.decode("latin-1")[:40]
    raise InvalidInput(HEADER, f"must be an integer 1..{MAX_MS}, got {given!r}")


def _has_body(scope: HTTPScope) -> bool:
    """Whether a request says that a body follows it, which somebody reads."""
    headers = state_of(scope).headers
    return scope["method"] != "GET" and any(headers.get(n, b"0") != b"0" for n in BODY_HEADERS)


class Deadline:
    """A request, and what may end its task before its answer begins."""

    def __init__(self, scope: HTTPScope, receive: Receive, given_ms: int | None) -> None:
        self._scope, self._receive = scope, receive
        self._task = asyncio.current_task()
        self._began = time.monotonic()
        self._body_read = False
        self._watch: asyncio.Task[None] | None = None
        self._reason: GrokprobeError | None = None
        self._timer: asyncio.TimerHandle | None = None
        if given_ms:
            late = DeadlineExceeded(f"not answered within the {given_ms} ms of {HEADER}")
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(given_ms / 1000, self._exceed, late)

    async def receive(self) -> ReceiveMessage:
        """The next message to the application."""
        message = await self._receive()
        self._body_read = message["type"] != "http.request" or not message.get("more_body")
        return message

    def lift(self) -> None:
        """Let the task come to its own end."""
        if self._watch:
            self._watch.cancel()
        if self._timer:
            self._timer.cancel()

    def look(self) -> None:
        """End the task if its body is late; once it is old, watch whether its client is there."""
        age_s = time.monotonic() - self._began
        if self._has_begun:
            self.lift()
        elif age_s < LOOK_S or self._watch:
            pass
        # No message may be taken away from who reads the body.
        elif self._body_read or not _has_body(self._scope):
            self._watch = asyncio.create_task(self._until_gone())
        elif age_s > BODY_S:
            self.end(IncompleteBody(f"the body did not arrive within {BODY_S:g} s"))

    def _exceed(self, late: DeadlineExceeded) -> None:
        self.end(state_of(self._scope).unfinished or late)

    @property
    def _has_begun(self) -> bool:
        return state_of(self._scope).begun

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end(ClientGone("the client went away before its answer began"))

    def end(self, reason: GrokprobeError) -> None:
        """End the task, unless its answer has begun or its end is near."""
        if not self._has_begun and self._reason is None and self._task:
            self._reason = reason
            self._task.cancel()

    def ended(self) -> GrokprobeError | None:
        """Why the task was ended, after it was; None if its answer had begun and is cut off."""
        if self._task:
            self._task.uncancel()
        if self._has_begun:
            return None
        return self._reason or Stopping("the process stops and cannot wait")


class Deadlines:
    """An application with each of its requests bound in time."""

    def __init__(self, app: HTTPApp) -> None:
        self._app = app
        self._bounds: set[Deadline] = set()  # of all requests
        self._looking = False

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        given = state_of(scope).headers.get(KEY)
        try:
            given_ms = None if given is None else timeout_ms(given)
        except InvalidInput as error:
            return await send_problem(scope, send, error)
        bound = Deadline(scope, receive, given_ms)
        self._bounds.add(bound)
        if not self._looking:
            self._look()
        try:
            await self._app(scope, bound.receive, send)
        except asyncio.CancelledError:
            if reason := bound.ended():
                await send_problem(scope, send, reason)
        finally:
            self._bounds.discard(bound)
            bound.lift()

    def _look(self) -> None:
        """Look after all requests, again and again as long as there are any."""
        for bound in self._bounds:
            bound.look()
        self._looking = bool(self._bounds)
        if self._looking:
            asyncio.get_running_loop().call_later(LOOK_S, self._look)
