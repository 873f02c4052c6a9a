"""What is known of an array before it is computed: its shape, its type, sometimes its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from grokprobe.safety.sizes import MAX_SIZE, NotUnderstood, Shape, Size

# Bytes of a number by its type; what is not here (text, complex, 8 bits of a float) is refused.
ITEM_BYTES: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.DOUBLE: 8,
    TensorProto.FLOAT16: 2,
    TensorProto.BFLOAT16: 2,
    TensorProto.INT64: 8,
    TensorProto.INT32: 4,
    TensorProto.INT16: 2,
    TensorProto.INT8: 1,
    TensorProto.UINT8: 1,
    TensorProto.BOOL: 1,
}
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
INTEGERS = (TensorProto.INT64, TensorProto.INT32)
MAX_RANK = 8
MAX_NUMBERS = 64  # that are followed: shapes and indices are shorter
# The fields of a tensor that may hold its numbers, besides raw_data.
TYPED = ("float_data", "int32_data", "int64_data", "double_data")

Numbers = NDArray[Any]  # of Size


@dataclass(frozen=True, slots=True)
class Value:
    """An array: `numbers` where it is small and whole, `varies` where it depends on the pairs."""

    shape: Shape
    kind: int  # a type of TensorProto
    numbers: Numbers | None = None
    varies: bool = False

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)


def sizes(numbers: Any) -> Numbers:
    """Numbers, nested as they may be, as sizes: those beyond all sizes are as good as the last."""
    given = np.clip(np.asarray(numbers), -MAX_SIZE, MAX_SIZE)
    found = np.empty(given.size, dtype=object)
    # Not index by index: of no numbers at all the shape may still be as long as it likes.
    found[:] = [Size(int(number)) for number in given.flat]
    return found.reshape(given.shape)


def tensor_value(tensor: onnx.TensorProto) -> Value:
    """A tensor that the file holds. Raises NotUnderstood unless its numbers are those of its shape.

    No array is made before their number is known to be right.
    """
    dims = list(tensor.dims)
    if tensor.data_type not in ITEM_BYTES:
        raise NotUnderstood(f"a tensor has the type {tensor.data_type}, which is not allowed")
    if len(dims) > MAX_RANK or min(dims, default=0) < 0:
        raise NotUnderstood(f"a tensor has the shape {dims[: MAX_RANK + 1]}")
    count, held = math.prod(dims), len(tensor.raw_data)
    if tensor.HasField("raw_data"):
        fits = held == count * ITEM_BYTES[tensor.data_type]
    else:
        fits = sum(len(getattr(tensor, name)) for name in TYPED) == count
    if not fits or tensor.string_data or tensor.HasField("segment"):
        raise NotUnderstood(f"a tensor of shape {dims} holds another number of numbers")
    shape = tuple(map(Size, dims))
    if tensor.data_type not in INTEGERS or count > MAX_NUMBERS:
        return Value(shape, tensor.data_type)
    try:
        numbers = numpy_helper.to_array(tensor)
    except ValueError:  # they lie in the field of another type
        raise NotUnderstood(f"a tensor of shape {dims} does not hold its numbers") from None
    return Value(shape, tensor.data_type, sizes(numbers))


@dataclass(slots=True)
class Node:
    """A node with what is known of its inputs, for the rule of its operator to read.

    `work` is what the rule says that it takes beside reading and writing, in multiply-adds.
    """

    kind: str
    inputs: list[Value | None]
    attributes: dict[str, Any]
    outputs: int
    work: Size = field(default_factory=lambda: Size(0))

    def given(self, index: int) -> Value | None:
        """An input that may be left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def __getitem__(self, index: int) -> Value:
        """An input. Raises NotUnderstood."""
        value = self.given(index)
        if value is None:
            raise NotUnderstood("an input is missing")
        return value

    def get(self, name: str, default: int) -> int:
        """An attribute that is an integer. Raises NotUnderstood."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise NotUnderstood(f"its attribute {name} is no integer")
        return value

    def axis(self, default: int | None = None, rank: int | None = None, name: str = "axis") -> int:
        """The axis that an attribute names, from 0. Raises NotUnderstood."""
        if name not in self.attributes and default is None:
            raise NotUnderstood("its axis is missing")
        return axis_of(self.get(name, default or 0), self[0].rank if rank is None else rank)

    def numbers(self, index: int) -> Numbers:
        """An input's numbers. Raises NotUnderstood where they are not known beforehand."""
        found = self[index].numbers
        if found is None:
            raise NotUnderstood("a size or an index is computed from data")
        return found

    def integers(self, index: int, name: str) -> list[int] | None:
        """A list of integers, which is an input or, in older opsets, an attribute; or is absent."""
        if self.given(index) is None:
            given = self.attributes.get(name)
            if given is not None and not all(isinstance(number, int) for number in given):
                raise NotUnderstood(f"its attribute {name} holds no integers")
            return given
        found = list(self.numbers(index).ravel())
        if any(number.per_pair for number in found):
            raise NotUnderstood("an axis or index depends on the number of pairs")
        return [number.of for number in found]


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from 0. Raises NotUnderstood."""
    if not -rank <= axis < rank:
        raise NotUnderstood(f"there is no axis {axis} among {rank}")
    return axis % rank
