"""numpy's own file format, without pickle and without copies beyond one."""

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from service.formats.tables import AnyArray, Block


class NpyRows:
    """numpy's own file format, without pickle, of an array (length, m) that comes in blocks."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._shape, self._dtype = shape, dtype

    def head(self) -> bytes:
        """The header with shape and type."""
        return npy_head(self._shape, self._dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of each row."""
        return math.prod(self._shape[1:]) * self._dtype.itemsize

    def rows(self, block: Block) -> bytes:
        """The rows as they lie in memory."""
        return np.ascontiguousarray(block, dtype=self._dtype).tobytes()

    def tail(self) -> bytes:
        """Nothing: the header told the length."""
        return b""


def npy_head(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What stands before the numbers of an array, in C order."""
    data = io.BytesIO()
    fields = {
        "descr": npy_format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    npy_format.write_array_header_1_0(data, fields)
    return data.getvalue()


def npy_bytes(array: AnyArray) -> bytes:
    """An array as a file."""
    return b"".join((npy_head(array.shape, array.dtype), np.ascontiguousarray(array).data))


def npy_array(file: bytes) -> AnyArray:
    """The array in a file of `npy_bytes`, which it stays a view of and cannot change."""
    head = io.BytesIO(file)
    npy_format.read_magic(head)
    shape, _, dtype = npy_format.read_array_header_1_0(head)
    return np.frombuffer(file, dtype, offset=head.tell()).reshape(shape)
