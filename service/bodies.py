"""Request bodies: read within a size (`service.bounds` has the time), and decoded strictly."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, get_args

import msgspec
from litestar import Request
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.types import Receive

from grokprobe.errors import InvalidInput
from service.context import Context
from service.errors import EncodedBody, IncompleteBody, TooLarge
from service.schemas.probes import Extra

T = TypeVar("T", bound=msgspec.Struct)

BODY_TYPES = ("application/json", "application/msgpack")
MSGPACK_TYPES = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


async def read_body(request: Request[Any, Any, Any], context: Context) -> bytes:
    """The whole body, uncompressed. Raises EncodedBody and what `receive_body` does."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise EncodedBody("the body is compressed; send it as it is, without Content-Encoding")
    if int(request.headers.get("content-length", 0)) > context.settings.max_body_bytes:
        raise _above_limit(context)
    return await receive_body(request.receive, context)


async def receive_body(receive: Receive, context: Context) -> bytes:
    """The whole body as it comes. Raises TooLarge, IncompleteBody.

    No permit is held meanwhile: clients that send nothing must not keep others out.
    """
    parts, size, more = [], 0, True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise IncompleteBody("the client went away before its body had arrived")
        parts.append(message["body"])
        more = message["more_body"]
        size += len(message["body"])
        if size > context.settings.max_body_bytes:
            raise _above_limit(context)
    return b"".join(parts)


def _above_limit(context: Context) -> TooLarge:
    limit = context.settings.max_body_bytes
    return refused(context, "body", f"the body is above {limit} bytes (GROKPROBE_MAX_BODY_BYTES)")


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
    try:
        found: T = _decoder(kind, as_msgpack).decode(body)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        if place.startswith("$.include["):
            message += f"; choose {', '.join(get_args(Extra))}"
        raise InvalidInput(place.rstrip("`") or "$", message) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("$", f"the body cannot be read: {error}") from None
    return found


@cache
def _decoder(kind: Hashable, as_msgpack: bool) -> Any:
    return msgspec.msgpack.Decoder(kind) if as_msgpack else msgspec.json.Decoder(kind)


@dataclass
class WithPairs(Operation):
    """The OpenAPI entry of a body that the framework does not decode."""

    def __post_init__(self) -> None:
        """Describe `PredictionRequest`."""
        residue = Schema(type=OpenAPIType.INTEGER, minimum=0)
        pair = Schema(type=OpenAPIType.ARRAY, items=residue, min_items=2, max_items=2)
        extra = Schema(type=OpenAPIType.STRING, enum=list(get_args(Extra)))
        schema = Schema(
            type=OpenAPIType.OBJECT,
            required=["pairs"],
            properties={
                "pairs": Schema(type=OpenAPIType.ARRAY, items=pair, min_items=1),
                "top": Schema(type=OpenAPIType.INTEGER, minimum=0, default=0),
                "include": Schema(type=OpenAPIType.ARRAY, items=extra),
            },
            examples=[{"pairs": [[3, 5]], "top": 3, "include": ["logits"]}],
        )
        media = {kind: OpenAPIMediaType(schema=schema) for kind in BODY_TYPES}
        self.request_body = RequestBody(content=media, required=True)
