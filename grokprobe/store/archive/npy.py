"""Arrays with a number for each pair, as npy files whose header is read before anything is made."""

import io
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import CheckpointCorrupt

READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
HEADER_MAX_BYTES = 2**16  # more than any header takes

N = TypeVar("N", bound=np.generic)


def encode_npy(array: NDArray[Any]) -> bytes:
    """The bytes of an array (n,), the same each time."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def decode_npy(data: bytes, dtype: np.dtype[N], where: str) -> NDArray[N]:
    """An array (n,) of numbers of this type, a view of its npy bytes.

    `where` names the object in the CheckpointCorrupt.
    """
    buffer = io.BytesIO(data)
    try:  # its header alone: numpy would make room for whatever shape that names
        read_header = READERS[np.lib.format.read_magic(buffer)]
        shape, _, found = read_header(buffer)
    # A broken one also comes out as KeyError, SyntaxError, TypeError, MemoryError, RecursionError.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointCorrupt(f"{where} is not an npy file: {reason}") from None
    if found != dtype:
        raise CheckpointCorrupt(f"{where} is not an npy file of {dtype.name}")
    length, rest = divmod(len(data) - buffer.tell(), dtype.itemsize)
    if rest or shape != (length,):
        raise CheckpointCorrupt(f"{where} is not as long as its header says")
    return np.frombuffer(data, dtype, offset=buffer.tell())
