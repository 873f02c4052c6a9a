"""Tensors as they lie in a file: their kinds and shapes are known, their numbers read when asked.

torch writes a tensor as a storage, which is a row of bytes, and the numbers of shape, strides and
offset (in elements) by which it looks at it. Several tensors may share a storage.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from trainer.importing.formats.sources import Source
from trainer.importing.plain_values import text_of

MOST_AXES, LONGEST_AXIS = 32, 2**31
# The kinds of numbers that are read, by torch's names of them; numpy's names of these.
NUMPY = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",  # numpy does not know it: the upper half of a float32
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "?",
    "complex64": "c8",
    "complex128": "c16",
}


@dataclass(eq=False)
class Stored:
    """A tensor of a file; `np.asarray` reads its numbers, bfloat16 as float32.

    `place` is equal for two names of one tensor.
    """

    dtype: str
    shape: tuple[int, ...]
    place: Hashable
    fetch: Callable[[], NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """The bytes of its numbers, once they are read."""
        return prod(self.shape) * (4 if self.dtype == "bfloat16" else itemsize(self.dtype))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the numbers. Raises InvalidInput if they are of a kind that is not read."""
        return np.asarray(self.fetch(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"{self.dtype} {self.shape}"


def itemsize(dtype: str) -> int:
    """The bytes of a number in the file; 1 where the kind is none that is read."""
    return np.dtype(NUMPY[dtype]).itemsize if dtype in NUMPY else 1


def natural(*values: Any) -> bool:
    """Whether all are whole numbers from 0."""
    return all(type(value) is int and value >= 0 for value in values)


def _overlaps(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether rows share elements; a stride of 0, which repeats one row, is none of that."""
    reach = 0
    for stride, length in sorted(zip(strides, shape, strict=True)):
        if stride and length > 1:
            if stride <= reach:
                return True
            reach += stride * (length - 1)
    return False


def _is_view(offset: Any, shape: Any, strides: Any) -> bool:
    lists = isinstance(shape, tuple | list) and isinstance(strides, tuple | list)
    if not lists or len(shape) != len(strides) or len(shape) > MOST_AXES:
        return False
    return natural(offset, *shape, *strides) and max((0, *shape)) < LONGEST_AXIS


def _reach(shape: Sequence[int], strides: Sequence[int]) -> int:
    """The elements from the first to the last."""
    return 1 + sum(s * (n - 1) for n, s in zip(shape, strides, strict=True))


def stored(
    source: Source, dtype: str, offset: Any, shape: Any, strides: Any, order: str = "<"
) -> Stored:
    """A tensor by the numbers that a file gives. Raises InvalidInput unless they fit `source`."""
    if not _is_view(offset, shape, strides):
        look = f"{text_of(shape)} by {text_of(strides)} from {text_of(offset)}"
        raise InvalidInput("", f"has a tensor of no shape: {look}")
    if dtype in NUMPY and prod(shape):
        needed = (offset + _reach(shape, strides)) * itemsize(dtype)
        if needed > source.size or _overlaps(shape, strides):
            look = f"{text_of(shape)} by {text_of(strides)} from {text_of(offset)}"
            raise InvalidInput("", f"has a tensor that its storage cannot hold: {look}")
    fetch = partial(_look, source, dtype, offset, tuple(shape), tuple(strides), order)
    return Stored(dtype, tuple(shape), (id(source), offset), fetch)


def contiguous(shape: Sequence[int], fortran: bool = False) -> tuple[int, ...]:
    """The strides, in elements, of a tensor that lies in one piece."""
    lengths = shape if fortran else shape[::-1]
    strides = tuple(prod(lengths[:axis]) for axis in range(len(lengths)))
    return strides if fortran else strides[::-1]


def _look(
    source: Source,
    dtype: str,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    order: str,
) -> NDArray[Any]:
    """Read what a tensor looks at."""
    if dtype not in NUMPY:
        raise InvalidInput("", f"holds {dtype}, which is not read here")
    kind = np.dtype(NUMPY[dtype]).newbyteorder("<" if order == "<" else ">")
    if not prod(shape):
        return np.zeros(shape, kind)
    start, count = offset * kind.itemsize, _reach(shape, strides)
    row = np.frombuffer(source.read(start, start + count * kind.itemsize), kind)
    row = row.astype(kind.newbyteorder("="), copy=False)
    if dtype == "bfloat16":
        row = (row.astype(np.uint32) << 16).view(np.float32)
    steps = [stride * row.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(row, shape, steps, writeable=False)
