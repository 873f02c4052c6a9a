"""Request bodies: read within a time and a size, and decoded strictly."""

import asyncio
from typing import Any, TypeVar, get_args

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from grokprobe.errors import InvalidInput
from service.context import Context
from service.errors import EncodedBody, IncompleteBody, TooLarge
from service.schemas.probes import Extra

T = TypeVar("T")

BODY_S = 15.0  # shorter than the drain at a stop, which waits for bodies too
BODY_TYPES = ("application/json", "application/msgpack")
MSGPACK_TYPES = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


async def read_body(request: Request[Any, Any, Any], context: Context) -> bytes:
    """The whole body. Raises TooLarge, EncodedBody, IncompleteBody.

    No permit is held meanwhile: clients that send nothing must not keep others out.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise EncodedBody("the body is compressed; send it as it is, without Content-Encoding")
    return await receive(request, context)


async def receive(request: Request[Any, Any, Any], context: Context) -> bytes:
    """The body's bytes, whatever their encoding. Raises TooLarge, IncompleteBody."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.body()
    except TimeoutError:
        raise IncompleteBody(f"the body did not arrive within {BODY_S:g} s") from None
    except RequestEntityTooLarge:
        limit = context.settings.max_body_bytes
        raise refused(
            context, "body", f"the body is above {limit} bytes (GROKPROBE_MAX_BODY_BYTES)"
        ) from None
    except InternalServerException:  # how the framework says that the client went away
        raise IncompleteBody("the client went away before its body had arrived") from None


def refused(context: Context, reason: str, message: str) -> TooLarge:
    """The error for a request above a limit, counted."""
    context.metrics.refusals.labels(reason).inc()
    return TooLarge(message)


def decode(body: bytes, content_type: str, kind: type[T]) -> T:
    """A body as `kind`: a string, a float or a boolean is not an integer.

    JSON unless the content type is MsgPack's: curl sends JSON under a form's name. Raises
    InvalidInput with the place in the body.
    """
    if not body:
        raise InvalidInput("$", "the body is empty")
    as_msgpack = content_type.partition(";")[0].strip().lower() in MSGPACK_TYPES
    decoder = msgspec.msgpack.decode if as_msgpack else msgspec.json.decode
    try:
        return decoder(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        if place.startswith("$.include["):
            message += f"; choose {', '.join(get_args(Extra))}"
        raise InvalidInput(place.rstrip("`") or "$", message) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("$", f"the body cannot be read: {error}") from None
