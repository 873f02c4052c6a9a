"""The train mask as bytes: an npy file of bool (p*p,) in canonical order."""

import io

import numpy as np

from grokprobe.errors import CheckpointCorrupt
from grokprobe.task import Mask


def encode_split(train_mask: Mask) -> bytes:
    """The npy bytes of a train mask, bool (p*p,)."""
    buffer = io.BytesIO()
    np.save(buffer, train_mask, allow_pickle=False)
    return buffer.getvalue()


def decode_split(data: bytes, where: str) -> Mask:
    """A train mask from its npy bytes; `where` names the object in the CheckpointCorrupt."""
    try:  # not np.load, which would also open a zip file
        mask = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    # A broken header also comes out as TokenError, SyntaxError, TypeError or MemoryError.
    except Exception as error:
        raise CheckpointCorrupt(f"{where} is not an npy file: {error}") from None
    if mask.dtype != np.bool_:
        raise CheckpointCorrupt(f"{where} is not an npy file of bool")
    return mask
