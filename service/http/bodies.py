"""Request bodies: read within a size, decoded strictly. (Time: middleware/deadlines.py.)"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from litestar.types import Receive

from grokprobe.errors import InvalidInput
from grokprobe.text import utf8
from service.context import Context
from service.errors import EncodedBody, IncompleteBody, TooLarge
from service.http.asgi import AnyRequest
from service.telemetry.requests import header

T = TypeVar("T", bound=msgspec.Struct)

BODY_TYPES = ("application/json", "application/msgpack")
NO_CHOICES: Mapping[str, Sequence[str]] = MappingProxyType({})
MSGPACK_TYPES = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


async def read_body(request: AnyRequest, context: Context) -> bytes:
    """The whole body, uncompressed. Raises EncodedBody and what `read_encoded_body` does."""
    if header(request.scope, b"content-encoding") not in ("", "identity"):
        raise EncodedBody("the body is compressed; send it as it is, without Content-Encoding")
    return await read_encoded_body(request, context)


async def read_encoded_body(request: AnyRequest, context: Context) -> bytes:
    """The body's bytes, whatever their encoding. Raises TooLarge, IncompleteBody."""
    if int(request.headers.get("content-length", 0)) > context.settings.max_body_bytes:
        raise _above_limit(context)
    return await receive_body(request.receive, context)


async def receive_body(receive: Receive, context: Context) -> bytes:
    """The body as it comes. Raises TooLarge, IncompleteBody.

    No permit is held meanwhile: clients that send nothing must not keep others out.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise IncompleteBody("the client went away before its body had arrived")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        size += len(parts[-1])
        if size > context.settings.max_body_bytes:
            raise _above_limit(context)
    return b"".join(parts)


def _above_limit(context: Context) -> TooLarge:
    limit = context.settings.max_body_bytes
    return refused(context, "body", f"the body is above {limit} bytes (GROKPROBE_MAX_BODY_BYTES)")


def refused(context: Context, reason: str, message: str) -> TooLarge:
    """The error for a request above a limit, counted."""
    context.metrics.refusals.inc(reason)
    return TooLarge(message)


def decode_body(
    body: bytes, content_type: str, kind: type[T], choices: Mapping[str, Sequence[str]] = NO_CHOICES
) -> T:
    """A body as `kind`: a string, a float or a boolean is not an integer.

    JSON unless the content type is MsgPack's: curl sends JSON under a form's name. Raises
    InvalidInput with the place in the body, and what `choices` has for places that begin so.
    """
    as_msgpack = content_type.partition(";")[0].strip().lower() in MSGPACK_TYPES
    if not as_msgpack:
        body = utf8(body, "$")
    if not body:
        raise InvalidInput("$", "the body is empty")
    try:
        found: T = _decoder(kind, as_msgpack).decode(body)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        for beginning, names in choices.items():
            if place.startswith(beginning):
                message += f"; choose {', '.join(names)}"
        raise InvalidInput(place.rstrip("`") or "$", message) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("$", f"the body cannot be read: {error}") from None
    return found


@cache
def _decoder(kind: type[msgspec.Struct], as_msgpack: bool) -> Any:
    return msgspec.msgpack.Decoder(kind) if as_msgpack else msgspec.json.Decoder(kind)
