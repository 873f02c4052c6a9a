"""numpy's own file format, without pickle and without copies beyond one."""

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray


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


def npy_bytes(array: NDArray[Any]) -> bytes:
    """An array as a file."""
    return b"".join((npy_head(array.shape, array.dtype), np.ascontiguousarray(array).data))


def npy_array(file: bytes) -> NDArray[Any]:
    """The array in a file of `npy_bytes`, which it stays a view of and cannot change."""
    head = io.BytesIO(file)
    npy_format.read_magic(head)
    shape, _, dtype = npy_format.read_array_header_1_0(head)
    return np.frombuffer(file, dtype, offset=head.tell()).reshape(shape)
