"""Interventions by their definitions, whole arrays at a time: slow twins."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

from grokprobe.analysis.fourier import Array


def functions(n: int) -> list[tuple[int, Array]]:
    """Every function of the basis with its frequency, the constant's 0; each of norm 1."""
    found = [(0, np.full(n, n**-0.5))]
    for k in range(1, n // 2 + 1):
        angle = 2 * np.pi * k * np.arange(n) / n
        for wave in (np.cos(angle), np.sin(angle)):
            if (norm := float(np.linalg.norm(wave))) > 1e-6:
                found.append((k, wave / norm))
    return found


def slow_cube_without(M: Array, removed: Sequence[int]) -> Array:
    """A cube (n, n, classes) as the sum of those products of two functions that stay."""
    kept = [wave for k, wave in functions(len(M)) if k not in removed]
    total = np.zeros(M.shape)
    for f, g in product(kept, kept):
        grid = np.outer(f, g)
        total += grid[:, :, None] * np.einsum("ab,abc->c", grid, M)
    return total


def slow_rows_without(M: Array, removed: Sequence[int]) -> Array:
    """A table (n, width) as the sum of those functions that stay."""
    kept = [wave for k, wave in functions(len(M)) if k not in removed]
    total = np.zeros(M.shape)
    for f in kept:
        total += np.outer(f, f @ M)
    return total


def changed_logits(model: bytes, changes: Mapping[str, Any], asked: NDArray[np.int64]) -> Array:
    """The logits of pairs (m, 2) by ONNX Runtime, the model's initialisers changed, (m, p).

    `changes` gives what becomes of a parameter by its name.
    """
    proto = onnx.load_from_string(model)
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for name, change in changes.items():
        changed = change(numpy_helper.to_array(tensors[name]).copy()).astype(np.float32)
        tensors[name].raw_data = changed.tobytes()
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    logits: Array = session.run(["logits"], {"pairs": asked})[0].astype(np.float64)
    return logits
