"""How long a request is worked on: to its deadline, and only while its client is there.

The layer stands around the application and ends the request's task, until the answer begins. What
others wait for too (a load, a grid, a result of analysis) goes on without it.
"""

import asyncio
import time
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Send

from grokprobe.errors import GrokprobeError, InvalidInput
from service.errors import ClientGone, DeadlineExceeded, IncompleteBody, Stopping
from service.problems import send_problem

HEADER = "X-Request-Timeout-Ms"
KEY = HEADER.lower().encode()
MAX_MS = 3_600_000
BODY_S = 15.0  # shorter than the drain at a stop, which waits for bodies too
# Most requests are answered sooner: only for the others is it worth asking who still waits.
LOOK_S = 0.05


def timeout_ms(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The time that the client gives, None if it gives none. Raises InvalidInput."""
    for name, value in headers:
        if name == KEY:
            if value.isdigit() and 0 < int(value[:10]) <= MAX_MS:
                return int(value)
            given = value.decode("latin-1")[:40]
            raise InvalidInput(HEADER, f"must be an integer 1..{MAX_MS}, got {given!r}")
    return None


class Bound:
    """The two ends of a request, and what may end its task before the answer begins."""

    def __init__(self, scope: Any, receive: Receive, send: Send, waiting: "set[Bound]") -> None:
        self._receive, self._send = receive, send
        self._task = asyncio.current_task()
        self._began = time.monotonic()
        # No message may be taken away from who reads the body; nobody reads that of a GET.
        self._body_read = scope["method"] == "GET"
        self._watch: asyncio.Task[None] | None = None
        self._waiting = waiting
        waiting.add(self)
        self._reason: GrokprobeError | None = None

    async def receive(self) -> Any:
        """The next message to the application."""
        message = await self._receive()
        self._body_read = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """The next message to the client."""
        if self in self._waiting:
            self._lift()
        await self._send(message)

    def _lift(self) -> None:
        self._waiting.discard(self)
        if self._watch:
            self._watch.cancel()

    def look(self) -> None:
        """End the task if its body is late; once it is old, watch whether its client is there."""
        age_s = time.monotonic() - self._began
        if not self._body_read and age_s > BODY_S:
            self.end(IncompleteBody(f"the body did not arrive within {BODY_S:g} s"))
        elif self._body_read and age_s > LOOK_S and not self._watch:
            self._watch = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end(ClientGone("the client went away before its answer began"))

    def end(self, reason: GrokprobeError) -> None:
        """End the task, unless its answer has begun or its end is near."""
        if self in self._waiting and self._reason is None and self._task:
            self._reason = reason
            self._task.cancel()

    async def run(self, app: ASGIApp, scope: Any) -> None:
        """Run the application. Raises why it was ended, or Stopping if that was not done here.

        An answer that has begun is cut off.
        """
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            if self._task:
                self._task.uncancel()
            if self in self._waiting:
                raise self._reason or Stopping("the process stops and cannot wait") from None
        finally:
            self._lift()


class Bounded:
    """An application with each of its requests bound in time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: set[Bound] = set()  # for their answers to begin
        self._looking = False

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            given_ms = timeout_ms(scope["headers"])
            bound = Bound(scope, receive, send, self._waiting)
            if not self._looking:
                self._look()
            if given_ms is None:
                return await bound.run(self._app, scope)
            late = DeadlineExceeded(f"not answered within the {given_ms} ms of {HEADER}")
            timer = asyncio.get_running_loop().call_later(given_ms / 1000, bound.end, late)
            try:
                await bound.run(self._app, scope)
            finally:
                timer.cancel()
        except GrokprobeError as error:
            await send_problem(scope, send, error)

    def _look(self) -> None:
        """Look after all who wait, again and again as long as there are any."""
        for bound in self._waiting:
            bound.look()
        self._looking = bool(self._waiting)
        if self._looking:
            asyncio.get_running_loop().call_later(LOOK_S, self._look)
