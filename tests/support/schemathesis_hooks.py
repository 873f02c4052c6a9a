"""What schemathesis has to be told: how a body is written as MsgPack."""

import msgspec
import schemathesis
from schemathesis.transport import SerializationContext


@schemathesis.serializer("application/msgpack")
def msgpack(_: SerializationContext, value: object) -> bytes:
    """The body's bytes; numbers that MsgPack does not have go as text, as wrong as they were."""
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        return msgspec.msgpack.encode(str(value))
