"""uvicorn as we run it: answers in one write, and a stop in which no request is lost."""

import asyncio
import time
from typing import Any, cast

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DRAIN_S = 20  # requests in flight at a stop get this long
CLOSE_S = 5  # and what is still open then
HEAD = 4_096  # bytes in which the head of an answer announces its length


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
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif b"\r\ncontent-length: " in data[:HEAD]:
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
    """uvicorn's HTTP over a transport that joins writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._joined = Joined(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, self._joined))

    def on_response_complete(self) -> None:
        """An answer is whole."""
        self._joined.flush()
        super().on_response_complete()


class Server(uvicorn.Server):
    """uvicorn's, but before it closes its doors it finishes what is in flight.

    Until then it answers, so that readiness can be seen to be off, whoever still sends is served,
    and `draining` tells.
    """

    def __init__(self, app: ASGIApp, draining: asyncio.Event) -> None:
        super().__init__(
            uvicorn.Config(
                cast(Any, app),
                http=Protocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing here depends on the client's address
                timeout_graceful_shutdown=CLOSE_S,
            )
        )
        self._draining = draining

    async def main_loop(self) -> None:
        """Serve until a signal, and then as long as requests of before it are at work."""
        await super().main_loop()
        self._draining.set()
        in_flight, began = set(self.server_state.tasks), time.monotonic()
        while in_flight & self.server_state.tasks and time.monotonic() - began < DRAIN_S:
            if self.force_exit:  # a second Ctrl-C
                break
            await asyncio.sleep(0.05)
