"""Requests as fast as they are answered: kept connections, each with one request in flight."""

import asyncio
import re
import time
from typing import cast

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """Sends the same request again whenever its answer is there, and counts the answers.

    Answers have a Content-Length or no body.
    """

    def __init__(self, request: bytes, status: bytes) -> None:
        self._request, self._status = request, status
        self._data = b""
        self.answered = 0
        self.stopping = False
        self.stopped = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Send the next when an answer is complete."""
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or (length and len(body) < int(length[1])):
            return
        assert self._status in head[:20], head
        self._data = b""
        self.answered += 1
        if self.stopping:
            self._transport.close()
            self.stopped.set()
        else:
            self._transport.write(self._request)


async def rate(
    port: int, path: str, connections: int, seconds: float, status: int = 200, **headers: str
) -> float:
    """Answers per second of a GET by this many connections, all with this status."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode()
    loop, expected = asyncio.get_running_loop(), f" {status} ".encode()
    opened = [Connection(request, expected) for _ in range(connections)]
    for connection in opened:
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", port)  # type: ignore[misc]
    began, before = time.perf_counter(), sum(c.answered for c in opened)
    await asyncio.sleep(seconds)
    answered, elapsed = sum(c.answered for c in opened) - before, time.perf_counter() - began
    for connection in opened:  # nothing is left for the next measurement to wait for
        connection.stopping = True
    await asyncio.gather(*(connection.stopped.wait() for connection in opened))
    return answered / elapsed
