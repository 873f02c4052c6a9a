"""The train mask as bytes: an npy file of bool (p*p,) in canonical order."""

import numpy as np

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store.archive.npy import HEADER_MAX_BYTES, decode_npy, encode_npy
from grokprobe.task import MAX_MODULUS, Mask

SPLIT_MAX_BYTES = MAX_MODULUS**2 + HEADER_MAX_BYTES


def encode_split(train_mask: Mask) -> bytes:
    """The npy bytes of a train mask, bool (p*p,)."""
    return encode_npy(train_mask)


def decode_split(data: bytes, where: str) -> Mask:
    """A train mask from its npy bytes; `where` names the object in the CheckpointCorrupt."""
    mask = decode_npy(data, np.dtype(np.bool_), where)
    highest = mask.view(np.uint8).max(initial=0)
    if highest > 1:
        raise CheckpointCorrupt(f"{where} is not an npy file of bool: one is {highest}")
    return mask.copy()
