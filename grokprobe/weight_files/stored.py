"""Weights as a file of safetensors: the same bytes for the same weights, wherever it is made."""

import json
from collections.abc import Mapping

import numpy as np

from grokprobe.errors import NamesMissing
from grokprobe.weights import Weights

METADATA = "__metadata__"  # the name that the format keeps for itself
LENGTH = 8  # bytes that say how long the header is, little-endian
ALIGNED = 8  # bytes of which the header is a multiple, by spaces


def to_safetensors(weights: Weights, metadata: Mapping[str, str]) -> bytes:
    """The file, its metadata in the order given. Raises NamesMissing for a name it cannot hold."""
    from safetensors.numpy import save

    if METADATA in weights:
        raise NamesMissing(f"a parameter is called {METADATA}, as safetensors call something else")
    file = save({name: np.asarray(w, order="C") for name, w in weights.items()})
    size = LENGTH + int.from_bytes(file[:LENGTH], "little")
    # The library writes metadata in an order of chance: equal ETags would have other bytes.
    header = {METADATA: dict(metadata), **json.loads(file[LENGTH:size])}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(LENGTH, "little") + text + file[size:]
