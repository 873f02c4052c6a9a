"""Bodies in gzip and deflate: what the protocol's clients send, and unpack when they ask for it."""

import zlib

from grokprobe.errors import InvalidInput
from service.context import Context
from service.errors import EncodedBody
from service.http.bodies import refused

# zlib's name for each format; HTTP's deflate is the one with zlib's header (RFC 9110, 8.4.1.2).
FORMATS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
LEVEL = 1  # trained floats shrink by 8 % at any


async def unpack(context: Context, body: bytes, encoding: str) -> bytes:
    """A request's body as it was before its Content-Encoding, within the limit of any body.

    In a thread: ten kilobytes may take 30 ms to unpack. Raises EncodedBody, TooLarge, InvalidInput.
    """
    name, limit = encoding.lower(), context.settings.max_body_bytes
    if name == "identity":
        return body
    if name not in FORMATS:
        raise EncodedBody(f"Content-Encoding {encoding!r} is not understood; send gzip or deflate")
    plain = await context.inference.apart(lambda: _unpacked(body, name, limit + 1))
    if len(plain) > limit:
        message = f"the body unpacks to over {limit} bytes (GROKPROBE_MAX_BODY_BYTES)"
        raise refused(context, "body", message)
    return plain


def _unpacked(body: bytes, name: str, limit: int) -> bytes:
    """The plain bytes, or the first `limit` of them."""
    unpacker = zlib.decompressobj(FORMATS[name])
    try:
        plain = unpacker.decompress(body, limit)
    except zlib.error as error:
        raise InvalidInput("$", f"the body is not in {name}: {error}") from None
    if len(plain) < limit and (unpacker.unused_data or not unpacker.eof):
        raise InvalidInput("$", f"the body is not one whole {name} stream")
    return plain


def pack(body: bytes, encoding: str) -> bytes:
    """A body in one of FORMATS."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, FORMATS[encoding])
    return packer.compress(body) + packer.flush()
