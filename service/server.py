"""uvicorn as we run it: answers in one write, slow heads cut, and a stop that loses no request."""

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.http.problems import MEDIA_TYPE, unnamed_problem
from service.telemetry.requests import HTTPApp, request_id

logger = logging.getLogger("grokprobe.service")

DRAIN_S = 20  # requests in flight at a stop get this long
CLOSE_S = 5  # and what is still open then
# Silence between requests, or before the first: longer than the 60 s of most proxies, which then
# never meet a closed door.
KEEP_ALIVE_S = 75.0
HEAD_S = 15.0  # a request's head, from its first byte
HEAD_BYTES = 65_536
LENGTH_WITHIN = 4_096  # bytes in which the head of an answer announces its length


class Joined:
    """A transport that sends the head of an answer together with its body.

    uvicorn writes them one after the other, and each write is a call of the system, a packet, and
    a client that wakes up: a sixth of a small answer. A head that announces a length is followed by
    its body at once; where none is sent (HEAD), the protocol flushes.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""
        self.is_closing = transport.is_closing  # asked after each answer: not by __getattr__

    def write(self, data: bytes) -> None:
        """Send what is held back and the data, or hold the data back for a moment."""
        if self.is_closing():  # of a client that is gone: the transport would raise
            return
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif b"\r\ncontent-length: " in data[:LENGTH_WITHIN]:
            self._held = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close after all is sent."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what is held back."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP over a transport that joins writes, with a bound on heads.

    uvicorn itself waits for the rest of a head as long as its client likes.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._joined = Joined(cast(asyncio.Transport, transport))
        self._head_bytes = 0  # that have come of a head that is not whole
        # The head that was awaited at the last look, and since when.
        self._awaited, self._since = self._awaits(), time.monotonic()
        super().connection_made(cast(asyncio.Transport, self._joined))

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        before = self._awaits()
        super().data_received(data)
        awaited = self._awaits()
        cycle = self._latest
        if awaited is None or (cycle and awaited is not before):  # some of the data is of others
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES and self._is_free():
            self.refuse(431, f"the head of the request is above {HEAD_BYTES} bytes")

    def on_response_complete(self) -> None:
        """An answer is whole."""
        self._joined.flush()
        super().on_response_complete()

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The latest request whose head is whole; None before the first."""
        return self.cycle

    def _awaits(self) -> object:
        """What stands for a head that has begun and is not whole; None if there is none.

        A connection that has sent nothing yet awaits one too.
        """
        scope: object = self.scope  # of the latest head, None before the first
        cycle = self._latest
        if cycle is None:
            return scope or self
        return None if cycle.scope is scope else scope

    def _is_free(self) -> bool:
        """Whether no request of it is being answered."""
        cycle = self._latest
        return cycle is None or bool(cycle.response_complete)

    def look(self, now: float) -> None:
        """Cut the connection if its head is late; without a word if it never sent any."""
        if not self._is_free():  # nobody reads yet what it sends
            self._awaited = None
            return
        awaited = self._awaits() or self.cycle
        is_idle = awaited is self or awaited is self.cycle
        if awaited is not self._awaited:
            self._awaited, self._since = awaited, now
        elif now - self._since < (KEEP_ALIVE_S if is_idle else HEAD_S):
            return
        elif is_idle:
            self._joined.close()
        else:
            self.refuse(408, f"the head of a request did not arrive within {HEAD_S:g} s")

    def send_400_response(self, _msg: str) -> None:
        """What cannot be read as HTTP; uvicorn has logged it."""
        self.refuse(400, "this is no HTTP request that can be read", logged=True)

    def refuse(self, status: int, detail: str, logged: bool = False) -> None:
        """Answer what never became a request, and close."""
        if self._joined.is_closing():
            return
        name = request_id()
        if not logged:
            logger.info("%d %s request_id=%s", status, detail, name)
        body = unnamed_problem(status, detail, name)
        lines = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(body)}",
            "cache-control: no-store",
            f"x-request-id: {name}",
            "connection: close",
            "\r\n",
        )
        self._joined.write("\r\n".join(lines).encode())
        self._joined.write(body)
        self._joined.close()


class Server(uvicorn.Server):
    """uvicorn's, but before it closes its doors it finishes what is in flight.

    Until then it answers, so that readiness can be seen to be off and whoever still sends is
    served. `stop` is called when the stop is asked for.
    """

    def __init__(self, app: HTTPApp, stop: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                cast(Any, app),
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing here depends on the client's address
                timeout_keep_alive=int(KEEP_ALIVE_S),
                timeout_graceful_shutdown=CLOSE_S,
            )
        )
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: uvicorn's own, and a look after slow clients."""
        if counter % 10 == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Protocol):
                    connection.look(now)
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        """Serve until a signal, and then as long as requests of before it are at work."""
        await super().main_loop()
        self._stop()
        in_flight, began = set(self.server_state.tasks), time.monotonic()
        while in_flight & self.server_state.tasks and time.monotonic() - began < DRAIN_S:
            if self.force_exit:  # a second Ctrl-C
                break
            await asyncio.sleep(0.05)
