"""uvicorn's HTTP, with the bytes of each message kept together and a bound on what is no body.

The parser (llhttp) stops at an Upgrade and reads what follows as the next message, and nobody
learns where in the data a message ended. So it is given what has come in pieces, none of which
reaches beyond the end of a message:

    a head                   up to its empty line, and with it
    a body of known length   as many bytes as are left of it
    a body in chunks         a line, and after one that is a size as many bytes as it says

and no next head before the answer is whole. The parser alone decides what a message is; here is
only counted how much it may see.
"""

import asyncio
import logging
import re
import time
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.server.flow import Joined, ReadAhead
from service.server.heads import HEAD_BYTES, check_fields, check_line, empty_lines
from service.server.refusals import Refusal, refusal
from service.server.state import CLOSE, State
from service.telemetry.requests import KEY, RequestState, request_id

logger = logging.getLogger("grokprobe.service")

HEAD_S = 15.0  # a request's head, from its first byte
LINGER_S = 2.0  # a client that was refused gets this long to read why

UPGRADE = re.compile(rb"(?<=\n)upgrade(?=:)", re.IGNORECASE)
CHUNK_BYTES = 16  # of a chunk's size line are nobody's excess, nor is twice its data


class Upgrade(Exception):
    """A request asks for another protocol, which a server may ignore (RFC 9110, section 7.8).

    The parser cannot: it reads the head again, with the header under another name.
    """


class Protocol(HttpToolsProtocol):
    """One connection: one request after the other, each consumed before the next is looked at."""

    server_state: State

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._joined = Joined(cast(asyncio.Transport, transport))
        self._unread = b""  # begins with a piece that is not whole, or has to wait
        self._seen = 0  # bytes of it that the parser has
        self._line = b""  # the latest between chunks
        self._in_message = False  # a head is whole, its message is not
        self._left = 0  # bytes of body that may follow
        self._excess = 0  # bytes of lines between chunks, beyond what chunks need
        self._awaited, self._since = self._awaits(), time.monotonic()
        joined = cast(asyncio.Transport, self._joined)
        super().connection_made(joined)
        self.flow = self._ahead = ReadAhead(joined)
        self.server_state.last_came = self._since
        self._joined.lingers = CLOSE in self.server_state.default_headers

    def drain(self) -> None:
        """Close after the next answer that has not begun; one that has could no longer say so."""
        self._joined.lingers = True
        if not self._is_free() and not self.cycle.response_started:
            self.cycle.default_headers = self.server_state.default_headers

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        if not self._joined.is_closing():
            self._advance(self._unread + data if self._unread else data)

    def _advance(self, data: bytes) -> None:
        """Give the parser what it may see of what has come, and keep the rest."""
        try:
            self._unread = data[self._feed(data) :]
        except Refusal as refusal:
            self.refuse(refusal.status, refusal.detail)
        except httptools.HttpParserError as error:
            cause = error.__context__  # where a callback of ours raised it
            if isinstance(cause, Refusal):
                self.refuse(cause.status, cause.detail)
            else:
                reason = "its target" if cause else error
                self.refuse(400, f"this is no HTTP request that can be read: {reason}")
        self._ahead.is_full = len(self._unread) > HEAD_BYTES
        if self._ahead.is_full:
            self._ahead.pause_reading()

    def _feed(self, data: bytes) -> int:
        """Give the parser one piece after the other; how many bytes were of whole ones."""
        at, size = 0, len(data)
        while at < size:
            if left := self._left:
                piece = data[at : at + left]
                self._left = left - len(piece)
                at += len(piece)
                self.parser.feed_data(piece)
                continue
            feed = self._feed_line if self._in_message else self._feed_head
            if not (consumed := feed(data, at)):
                break
            at += consumed
        return at

    def _feed_head(self, data: bytes, at: int) -> int:
        """The size of a head that begins there, or of empty lines before it; 0 if not whole."""
        if not self._is_free():
            return 0
        seen = self._seen
        if data[at] in b"\r\n" and not seen:
            return empty_lines(data, at)
        last = data.find(b"\r\n\r\n", at + seen - 3 if seen > 3 else at)
        end = last + 4 if last >= 0 else 0
        if (end or len(data)) - at > HEAD_BYTES:
            raise Refusal(431, f"the head of the request is above {HEAD_BYTES} bytes")
        if not end:
            return self._feed_rest(data, at)
        head, self._seen = data[at:end], 0
        check_line(head)
        try:
            self.parser.feed_data(head[seen:])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, Upgrade):
                raise
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(UPGRADE.sub(b"x-upgrade", head))
        return end - at

    def _feed_line(self, data: bytes, at: int) -> int:
        """The same of a line between chunks: a size, the end of a chunk, or one of a trailer."""
        seen = self._seen
        end = data.find(b"\n", at + seen) + 1
        if self._excess + (end or len(data)) - at > HEAD_BYTES:
            raise Refusal(400, f"what stands between chunks is above {HEAD_BYTES} bytes")
        if not end:
            return self._feed_rest(data, at)
        self._line, self._seen = data[at:end], 0
        self._excess += end - at
        self.parser.feed_data(self._line[seen:])
        return end - at

    def _feed_rest(self, data: bytes, at: int) -> int:
        """What has come of a piece that is not whole, so that nonsense is seen at once."""
        self.parser.feed_data(data[at + self._seen :])
        self._seen = len(data) - at
        return 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of a head, or of a trailer; the parser leaves spaces after a value."""
        self.headers.append((name.lower(), value.strip()))

    def on_headers_complete(self) -> None:
        """A head is whole."""
        fields = self.headers
        found = dict(fields)
        if b"upgrade" in found:
            raise Upgrade
        check_fields(fields, found, self.parser.get_http_version())
        self._left = int(found.get(b"content-length", 0))
        if b"expect" in found:
            self.expect_100_continue = found[b"expect"].lower() == b"100-continue"
        super().on_headers_complete()
        self._in_message, self._excess = True, 0
        self.headers = []  # trailers are no headers: nobody reads these

    def on_chunk_header(self) -> None:
        """A line was the size of a chunk."""
        self._left = int(self._line.partition(b";")[0], 16)
        self._excess = max(0, self._excess - CHUNK_BYTES - 2 * self._left)

    def on_message_complete(self) -> None:
        """A message is whole."""
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is whole. uvicorn's own would set a timer each time; here `look` is enough."""
        self._joined.flush()
        if self._in_message and self.expect_100_continue:
            # Its client may keep the body back for good: what comes next is nobody's to tell.
            self._unread = b""
            self._joined.end()
        if self._joined.is_closing():
            self._unread, self._ahead.is_full = b"", False  # what still comes is thrown away
        elif self._unread:
            self._advance(self._unread)
        if self._is_free():  # else the next request reads on as it is answered
            self._ahead.resume_reading()

    def shutdown(self) -> None:
        """The end of a stop: nobody waits any more for who still does not ask."""
        self._joined.lingers = False
        super().shutdown()

    def _is_free(self) -> bool:
        """Whether no request of it is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _awaits(self) -> tuple[object, bool]:
        """The latest request, and whether the head of another has begun."""
        return self.cycle, bool(self._unread) and not self._in_message

    def look(self, now: float) -> None:
        """Cut the connection if its head is late; without a word if it never sent any."""
        if self._joined.ended_at is not None:
            if now - self._joined.ended_at >= LINGER_S:
                self._joined.close()
            return
        if not self._is_free():  # nobody reads yet what it sends
            return
        awaited = self._awaits()
        _, is_late = awaited
        if awaited != self._awaited:
            self._awaited, self._since = awaited, now
        elif now - self._since < (HEAD_S if is_late else self.timeout_keep_alive):
            return
        elif is_late:
            self.refuse(408, f"the head of a request did not arrive within {HEAD_S:g} s")
        else:
            self._joined.close()

    def refuse(self, status: int, detail: str) -> None:
        """Answer what never became a request, or one whose rest cannot be read, and close.

        Where its answer has been sent already, or a part of it, nothing is added.
        """
        self._unread = b""
        if self._joined.is_closing():
            return
        cycle, name = self.cycle, request_id()
        if not self._is_free():  # its body is broken: it ends, and says so in the log
            state: RequestState | None = cycle.scope["state"].get(KEY)
            name = state.request_id if state else name
            cycle.disconnected = cycle.response_complete = True
            cycle.message_event.set()
        elif not self._in_message:
            logger.info("%d %s request_id=%s", status, detail, name)
        if not (self._in_message and cycle.response_started):
            self._joined.write(refusal(status, detail, name))
        self._joined.end()
