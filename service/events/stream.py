"""Listeners: each has a bounded queue of its own, and an answer without end that empties it."""

import asyncio
import random
from collections import deque
from contextlib import AbstractContextManager

from litestar.types import Receive, Scope, Send

from grokprobe.store.catalogue.events import Event
from service.telemetry.requests import state_of

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would hold events back
COMPLETE = "complete"  # the id of that event: it stays valid when the stream forgets or is lost
HEARTBEAT = b":\n\n"
QUEUE = 256  # frames that wait for one listener
REPLAYED = 1_000  # events told to one who comes back; who missed more comes back for the rest
RETRY_MS = (1000, 5000)  # when a listener comes back; at random, for all come back at once


def frame(event: Event) -> bytes:
    """An event as it is sent."""
    event_id = COMPLETE if event.kind == "complete" else event.id
    fields = (event_id.encode(), event.kind.encode(), event.data)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % fields


def greeting(since: str, missed: list[Event]) -> bytes:
    """What a listener is sent first: what it missed, else where it stands in the stream."""
    retry = b"retry: %d\n" % random.randint(*RETRY_MS)
    return retry + (b"".join(map(frame, missed[:REPLAYED])) or b"id: %b\n\n" % since.encode())


class Listener:
    """Frames that wait to be sent to one listener, at most QUEUE."""

    def __init__(self, first: bytes) -> None:
        self._frames = deque([first])
        self._ended = False
        self._news = asyncio.Event()

    def tell(self, chunk: bytes) -> bool:
        """Have a frame sent; False if too many wait."""
        if len(self._frames) >= QUEUE:
            return False
        self._frames.append(chunk)
        self._news.set()
        return True

    def end(self) -> None:
        """Nothing follows what waits."""
        self._ended = True
        self._news.set()

    async def take(self) -> bytes:
        """All that waits, once there is something; empty at the end."""
        if not self._frames and not self._ended:
            self._news.clear()
            await self._news.wait()
        taken = b"".join(self._frames)
        self._frames.clear()
        return taken


class EventStream:
    """The answer to a listener: an ASGI application that ends when the run or the process does."""

    def __init__(self, listening: AbstractContextManager[Listener]) -> None:
        self._listening = listening

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what waits, again and again, until the listener is gone or told all."""
        headers = {"Content-Type": MEDIA_TYPE, **HEADERS}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        may_stay = state_of(scope).may_stay
        with self._listening as listener:
            watch = asyncio.create_task(_end_when_gone(receive, listener))
            try:
                await send({"type": "http.response.start", "status": 200, "headers": raw})
                while (chunk := await listener.take()) and may_stay():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                watch.cancel()


async def _end_when_gone(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()
