"""How fast bytes go either way: answers in one write, and no more read than there is room for."""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

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
        self.lingers = False  # close by `end`: nobody has told the client not to send more
        self.ended_at: float | None = None
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
        if self.lingers and self.ended_at is None:
            self.end()
            return
        self.flush()
        self._transport.close()

    def end(self) -> None:
        """Send no more, but leave the client the time to read what was sent.

        Closed at once, what it still sends would be answered with a reset, at which its system may
        throw away the answer that it has not read yet (RFC 9112, section 9.6).
        """
        self.flush()
        self.ended_at = time.monotonic()
        self._transport.write_eof()
        self.is_closing = lambda: True  # to all who would write

    def flush(self) -> None:
        """Send what is held back."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ReadAhead(FlowControl):
    """uvicorn's, but while enough has been read ahead of the requests, no more is read."""

    is_full = False

    def resume_reading(self) -> None:
        """Read on, unless there is enough."""
        if not self.is_full:
            super().resume_reading()
