"""The parameters in an ONNX file: its initialisers, by name, and the digest of all of them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety.check import check_finite, checked_graph

Weights = Mapping[str, NDArray[Any]]


def read_weights(data: bytes, where: str, modulus: int) -> dict[str, NDArray[Any]]:
    """The parameters of a model, in the order of its file.

    Raises CheckpointCorrupt for a file that is not safe to load, or a parameter that is none. In a
    model that was exported here each is learnt, and finite; another may have a mask of infinities.
    """
    graph, bounds = checked_graph(data, where, modulus)
    weights = {tensor.name: _array(tensor, where) for tensor in graph.initializer}
    if bounds.is_ours:
        for name, array in weights.items():
            check_finite(array, where, f"parameter {name}")
    return weights


def _array(tensor: onnx.TensorProto, where: str) -> NDArray[Any]:
    """The array of an initialiser. CheckpointCorrupt for one that says something else than it has.

    Or has what is neither a number nor a truth value.
    """
    try:
        array = numpy_helper.to_array(tensor)
        if array.dtype.kind == "V":  # bfloat16 and smaller ones, which numpy has not
            array = array.astype(np.float32)
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError, AssertionError):
        array = np.empty(0, dtype=np.object_)
    if array.dtype.kind not in "fiub":
        raise CheckpointCorrupt(f"{where} is refused: its parameter {tensor.name[:60]!r} is none")
    return array


def weights_sha256(weights: Weights) -> str:
    """The digest of all parameters: of each name, type, shape and bytes, whatever their order.

    Two files of equal digests have identical weights, though they say that they are of other steps.
    """
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(repr((name, str(array.dtype), array.shape)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
