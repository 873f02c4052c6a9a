"""Answers in gzip or zstd, for clients that take them.

Text only: trained floats shrink by 8 % in any packing, so npy, Arrow, Parquet and model files go as
they are. So does everything of the inference protocol, whose clients ask for more than they unpack,
and everything small.
"""

import asyncio
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

import zstandard
from litestar.types import HTTPScope, Message, Receive, Send

from grokprobe.preferences import OPENMETRICS, preferences
from service.formats.pictures import PICTURES
from service.formats.registry import FORMATS
from service.telemetry.requests import HTTPApp, state_of

MIN_BYTES = 1024  # less fits in one packet anyhow
INLINE_BYTES = 32_768  # about a millisecond; more is done in a thread
GZIP_LEVEL, ZSTD_LEVEL = 4, 3
PAGES = ("text/html", "text/plain", "text/css")
SCRIPTS = ("text/javascript", "application/javascript", "application/vnd.oai.openapi")
ANSWERS = (known.media_type for known in (*FORMATS.values(), *PICTURES) if known.is_text)
TYPES = tuple(name.encode() for name in (*ANSWERS, *PAGES, *SCRIPTS, OPENMETRICS))
UNTOUCHED = "/v2"
SHORT = 256  # bytes of an Accept-Encoding whose choice is kept

Headers = Iterable[tuple[bytes, bytes]]


class Packer(Protocol):
    """Takes an answer in pieces and gives it packed."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def choose_encoding(header: str) -> str | None:
    """The encoding of an answer by Accept-Encoding, zstd where both are as welcome; or none.

    Who names `identity` with a higher quality than both gets it.
    """
    wanted = preferences(header)
    others = wanted.get("*", 0.0)
    welcome = {
        "zstd": wanted.get("zstd", others),
        "gzip": wanted.get("gzip", wanted.get("x-gzip", others)),  # RFC 9110, section 8.4.1.3
    }
    best = max(welcome, key=lambda name: welcome[name])
    return best if welcome[best] > 0 and welcome[best] >= wanted.get("identity", 0.0) else None


_kept_choice = lru_cache(choose_encoding)


def _choice(header: bytes) -> str | None:
    choose = _kept_choice if len(header) <= SHORT else choose_encoding
    return choose(header.decode("latin-1")) if header else None


def compressor(encoding: str) -> Packer:
    """What packs an answer."""
    if encoding == "gzip":
        return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return zstandard.ZstdCompressor(ZSTD_LEVEL).compressobj()


def _pack(packer: Packer, body: bytes, last: bool) -> bytes:
    packed = packer.compress(body)
    return packed + packer.flush() if last else packed


def _is_worth(headers: Headers) -> bool:
    """Whether an answer is text and not small; of a stream nobody knows."""
    found = dict(headers)
    is_text = found.get(b"content-type", b"").startswith(TYPES)
    return is_text and int(found.get(b"content-length", MIN_BYTES)) >= MIN_BYTES


def _repacked(headers: Headers, encoding: str) -> Headers:
    """The headers of an answer in an encoding: strong ETag and ranges are of the plain bytes."""
    kept = [
        (name, b"W/" + value if name == b"etag" and not value.startswith(b"W/") else value)
        for name, value in headers
        if name not in (b"content-length", b"vary", b"accept-ranges")
    ]
    vary = b"Accept, Accept-Encoding" if b"vary" in dict(headers) else b"Accept-Encoding"
    return [*kept, (b"content-encoding", encoding.encode()), (b"vary", vary)]


def compress(app: HTTPApp) -> HTTPApp:
    """`app` with its text compressed as the client asks, in pieces as they come."""

    async def compressed(scope: HTTPScope, receive: Receive, send: Send) -> None:
        state = state_of(scope)
        encoding = _choice(state.headers.get(b"accept-encoding", b""))
        # A range is one of the plain bytes: whoever asks for one, or by HEAD what there is to ask
        # for, is answered in them.
        plain = state.is_head or b"range" in state.headers
        if encoding is None or plain or scope["path"].startswith(UNTOUCHED):
            return await app(scope, receive, send)
        packer: Packer | None = None

        async def pack(message: Message) -> None:
            nonlocal packer
            if message["type"] == "http.response.start":
                if _is_worth(message["headers"]):
                    packer = compressor(encoding)
                    message["headers"] = _repacked(message["headers"], encoding)
            elif packer and message["type"] == "http.response.body":
                body, last = message["body"], not message.get("more_body")
                if len(body) > INLINE_BYTES:
                    message["body"] = await asyncio.to_thread(_pack, packer, body, last)
                else:
                    message["body"] = _pack(packer, body, last)
            await send(message)

        return await app(scope, receive, pack)

    return compressed
