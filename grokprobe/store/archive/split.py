"""The train mask as bytes: an npy file of bool (p*p,) in canonical order."""

import io

import numpy as np

from grokprobe.errors import CheckpointCorrupt
from grokprobe.task import MAX_MODULUS, Mask

READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
SPLIT_MAX_BYTES = MAX_MODULUS**2 + 2**16  # the mask, and more of header than there is


def encode_split(train_mask: Mask) -> bytes:
    """The npy bytes of a train mask, bool (p*p,)."""
    buffer = io.BytesIO()
    np.save(buffer, train_mask, allow_pickle=False)
    return buffer.getvalue()


def decode_split(data: bytes, where: str) -> Mask:
    """A train mask from its npy bytes; `where` names the object in the CheckpointCorrupt."""
    buffer = io.BytesIO(data)
    try:  # its header alone: numpy would make room for whatever shape that names
        read_header = READERS[np.lib.format.read_magic(buffer)]
        shape, _, dtype = read_header(buffer)
    # A broken one also comes out as KeyError, SyntaxError, TypeError, MemoryError, RecursionError.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointCorrupt(f"{where} is not an npy file: {reason}") from None
    if dtype != np.bool_:
        raise CheckpointCorrupt(f"{where} is not an npy file of bool")
    values = np.frombuffer(data, np.uint8, offset=buffer.tell())
    if shape != values.shape:
        raise CheckpointCorrupt(f"{where} is not as long as its header says")
    if values.max(initial=0) > 1:
        raise CheckpointCorrupt(f"{where} is not an npy file of bool: one is {values.max()}")
    return values.astype(np.bool_)
