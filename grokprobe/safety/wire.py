"""The structure of a file: its bytes but for the numbers of its tensors, found without parsing it.

Two bytes of structure can become a message of a hundred in memory, an empty node; numbers take what
they take in the file. And the checkpoints of a run share their structure, but for the step that
each says of itself.
"""

from collections.abc import Iterator, Mapping

MAX_STRUCTURE_BYTES = 2**20  # some 100 bytes for a node of ours
SMALL = 512  # integers of so few bytes are structure: all numbers that are followed
VARINT, I64, LENGTH, I32 = 0, 1, 2, 5  # wire types; groups (3, 4) are in no ONNX file

# Where the numbers of tensors lie, by field numbers of onnx.proto.
Fields = Mapping[int, "Fields | None"]
TENSOR: Fields = {4: None, 9: None, 10: None}  # float_data, raw_data, double_data
ATTRIBUTE: Fields = {5: TENSOR, 7: None}  # t, floats
NODE: Fields = {5: ATTRIBUTE}
INITIALIZER: Fields = {**TENSOR}  # they are not merged, as two values of one attribute are
GRAPH: Fields = {1: NODE, 5: INITIALIZER}
DATA_TYPE, METADATA = 2, 14  # field numbers of a tensor, of a model
MODEL: Fields = {7: GRAPH, METADATA: None}
FLOATS = (1, 10, 11, 16)  # types of tensors whose numbers nobody follows


class Malformed(ValueError):
    """The bytes are no message of protobuf."""


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise Malformed


def _parts(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """What in a message has a length of its own: its field number, where it begins and ends."""
    return ((number, begin, end) for number, kind, begin, end in _fields(data) if kind == LENGTH)


def _fields(data: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a message: its number, its wire type, where its value begins and ends."""
    at = 0
    while at < len(data):
        key, begin = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            _, at = _varint(data, begin)
        elif kind in (I64, I32):
            at = begin + (8 if kind == I64 else 4)
        elif kind == LENGTH:
            length, begin = _varint(data, begin)
            at = begin + length
        else:
            raise Malformed
        yield key >> 3, kind, begin, at
    if at > len(data):
        raise Malformed


def structure(data: bytes) -> bytes:
    """The structure of a model, lengths of all that is left out included: numbers, metadata.

    Where it alone is longer than MAX_STRUCTURE_BYTES, nobody looks further. Raises Malformed.
    """
    return b"".join(_pieces(memoryview(data), MODEL))


def metadata_bytes(data: bytes) -> int:
    """How long all is that a model says of itself in `metadata_props`."""
    parts = _parts(memoryview(data))
    return sum(end - begin for number, begin, end in parts if number == METADATA)


def _pieces(data: memoryview, fields: Fields) -> Iterator[memoryview]:
    taken, kept = 0, 0
    always = fields is INITIALIZER and _holds_floats(data)
    for number, begin, end in _parts(data):
        if taken + begin - kept > MAX_STRUCTURE_BYTES:
            break
        if number not in fields or end > len(data):
            continue
        inner = fields[number]
        if end - begin > SMALL or always or inner is INITIALIZER or number == METADATA:
            yield data[kept:begin]
            taken, kept = taken + begin - kept, end
            if inner:
                yield from _pieces(data[begin:end], inner)
    yield data[kept:]


def _holds_floats(tensor: memoryview) -> bool:
    """Whether a tensor says that it holds floats, wherever it says what it holds."""
    says = [
        _varint(tensor, begin)[0] if kind == VARINT else None
        for number, kind, begin, _ in _fields(tensor)
        if number == DATA_TYPE
    ]
    return bool(says) and all(kind in FLOATS for kind in says)
