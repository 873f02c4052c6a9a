"""The structure of a file: its bytes but for the numbers of its tensors, found without parsing it.

Two bytes of structure can become a message of a hundred in memory, an empty node; numbers take what
they take in the file. And the checkpoints of a run share their structure.
"""

from collections.abc import Iterator, Mapping

MAX_STRUCTURE_BYTES = 2**20  # some 100 bytes for a node of ours
SMALL = 512  # what has so few bytes is structure, whatever it holds: all numbers that are followed
VARINT, I64, LENGTH, I32 = 0, 1, 2, 5  # wire types; groups (3, 4) are in no ONNX file

# Where the numbers of tensors lie, by field numbers of onnx.proto.
Fields = Mapping[int, "Fields | None"]
TENSOR: Fields = {4: None, 9: None, 10: None}  # float_data, raw_data, double_data
ATTRIBUTE: Fields = {5: TENSOR, 7: None}  # t, floats
NODE: Fields = {5: ATTRIBUTE}
GRAPH: Fields = {1: NODE, 5: TENSOR}
MODEL: Fields = {7: GRAPH}


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
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            _, at = _varint(data, at)
        elif kind in (I64, I32):
            at += 8 if kind == I64 else 4
        elif kind == LENGTH:
            length, begin = _varint(data, at)
            at = begin + length
            yield key >> 3, begin, at
        else:
            raise Malformed
    if at > len(data):
        raise Malformed


def structure(data: bytes) -> bytes:
    """The structure of a model, lengths of its numbers included. Raises Malformed.

    Where a stretch of it alone is longer than MAX_STRUCTURE_BYTES, nobody looks further.
    """
    return b"".join(_pieces(memoryview(data), MODEL))


def _pieces(data: memoryview, fields: Fields) -> Iterator[memoryview]:
    kept = 0
    for number, begin, end in _parts(data):
        if begin - kept > MAX_STRUCTURE_BYTES:
            break
        if end - begin > SMALL and end <= len(data) and number in fields:
            yield data[kept:begin]
            if inner := fields[number]:
                yield from _pieces(data[begin:end], inner)
            kept = end
    yield data[kept:]
