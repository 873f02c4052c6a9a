"""What a checkpoint answers to every pair, as bytes: an npy file (p*p,) in canonical order.

Residues are uint8 up to p = 256 and uint16 above: the smallest exact form that every program reads
without a decoder, and whose length is known before it is read. Packing would save half of an early
checkpoint and nearly all of a late one, for a decoder that the bytes of anybody could blow up.

The object is optional: checkpoints of older trainers have none, and are inferred.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store.archive import names
from grokprobe.store.archive.npy import decode_npy, encode_npy
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import CheckpointManifest, PredictionsRecord, sha256

Predicted = NDArray[np.uint8 | np.uint16]


def residue_type(modulus: int) -> np.dtype[np.uint8 | np.uint16]:
    """The smallest type of which every residue is one, little-endian."""
    return np.dtype(np.uint8) if modulus <= 2**8 else np.dtype("<u2")


def encode_predictions(predicted: ArrayLike, modulus: int) -> bytes:
    """The npy bytes of the predicted residues (p*p,)."""
    return encode_npy(np.asarray(predicted).astype(residue_type(modulus)))


def describe_predictions(data: bytes) -> PredictionsRecord:
    """What a manifest says of these bytes."""
    return PredictionsRecord(sha256=sha256(data), bytes=len(data))


def decode_predictions(data: bytes, modulus: int, where: str) -> Predicted:
    """The predicted residues (p*p,); `where` names the object in the CheckpointCorrupt."""
    predicted = decode_npy(data, residue_type(modulus), where)
    if len(predicted) != modulus**2:
        raise CheckpointCorrupt(f"{where} has {len(predicted)} predictions, {modulus**2} are due")
    if (highest := predicted.max(initial=0)) >= modulus:
        raise CheckpointCorrupt(f"{where} predicts {highest}, which is no residue of {modulus}")
    return predicted


async def read_predictions(
    archive: ArchiveReader, manifest: CheckpointManifest, modulus: int
) -> Predicted | None:
    """The predictions of a checkpoint (p*p,), verified; None where none are stored.

    Raises CheckpointCorrupt, RunNotFound where the run has been deleted meanwhile.
    """
    recorded = manifest.predictions
    if recorded is None:
        return None
    path = names.predictions_path(manifest.run, manifest.step)
    data = await archive.objects.read(path, recorded.bytes)
    if data is None:
        await archive.run(manifest.run)  # which may have been deleted since the manifest was read
        raise CheckpointCorrupt(f"{path} is missing, though its manifest is published")
    if describe_predictions(data) != recorded:
        raise CheckpointCorrupt(f"{path} is not the predictions that its manifest records")
    return decode_predictions(data, modulus, path)
