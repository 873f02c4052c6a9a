"""numpy's own file format, without pickle and without copies beyond one."""

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray


def npy_bytes(array: NDArray[Any]) -> bytes:
    """An array as a file."""
    head = io.BytesIO()
    whole = np.ascontiguousarray(array)
    npy_format.write_array_header_1_0(head, npy_format.header_data_from_array_1_0(whole))
    return b"".join((head.getvalue(), whole.data))


def npy_array(file: bytes) -> NDArray[Any]:
    """The array in a file of `npy_bytes`, which it stays a view of and cannot change."""
    head = io.BytesIO(file)
    npy_format.read_magic(head)
    shape, _, dtype = npy_format.read_array_header_1_0(head)
    return np.frombuffer(file, dtype, offset=head.tell()).reshape(shape)
