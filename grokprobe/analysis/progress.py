"""Progress measures that need key frequencies: the loss with them alone, and without them.

With the key set K, a cube L (n, n, n) over the elements of a, b and c, and t = a + b (or a - b):

    C_k ~ cos(w_k t), S_k ~ sin(w_k t)          unit vectors over the grid
    P = sum over K of C_k (C_k . L) + S_k (S_k . L)
    R = P + mean over (a, b) of L               (the mean of P is exactly 0)

`restricted` is the cross-entropy of R, `excluded` that of L - P on the train pairs. P depends on
(t, c) alone, and so does R: a table (n, n) holds either. Source: docs/maths.md, "Progress
measures"; Nanda et al. 2023, section 5.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array, basis, first_largest, key_rows
from grokprobe.analysis.logits import by_answer
from grokprobe.analysis.measures import cross_entropy


@dataclass(frozen=True)
class Restricted:
    """Loss in nats and accuracy of R; R needs the whole grid and so uses test inputs by design."""

    loss: float  # over all pairs
    accuracy: float  # over all pairs: a multiple of 1/n
    loss_train: float | None  # None where the split is unknown or that part is empty
    loss_test: float | None


@dataclass(frozen=True)
class Excluded:
    """Loss in nats of the train pairs without the key frequencies; it can exceed ln n by far."""

    loss: float
    per_key: dict[int, float]


def answer_elements(n: int, direction: str) -> NDArray[np.int64]:
    """The answer's element t of each pair of group elements, (n, n)."""
    elements = np.arange(n)
    other = elements if direction == "sum" else -elements
    return (elements[:, None] + other[None, :]) % n


def projections(grouped: Array, keys: Sequence[int]) -> Array:
    """The projection P of each key alone over (t, c): (keys, n, n), from `by_answer` of the cube.

    Raises InvalidInput for a key that is no frequency of the group or stands twice.
    """
    n = len(grouped)
    cosine, sine = basis(n)
    rows = key_rows(keys, len(cosine))
    # A unit vector over t becomes one over the n^2 pairs when it is divided by sqrt(n).
    parts = [np.einsum("kt,kc->ktc", w[rows], w[rows] @ grouped) / n for w in (cosine, sine)]
    return np.asarray(parts[0] + parts[1])


def restricted(
    L: Array, keys: Sequence[int], direction: str, train: NDArray[np.bool_] | None
) -> Restricted:
    """Loss and accuracy of the key frequencies alone; `train` (n, n) marks the train pairs.

    Without keys R is the mean over the grid, and says nothing. Raises InvalidInput as `projections`
    does.
    """
    n, grouped = L.shape[0], by_answer(L, direction)
    table = projections(grouped, keys).sum(axis=0) + grouped.sum(axis=0) / n**2
    losses = cross_entropy(table, np.arange(n))  # the answer of row t is t
    of_pair = losses[answer_elements(n, direction)]
    hits = first_largest(table.T) == np.arange(n)  # at Nyquist alone, half the classes tie

    def over(mask: NDArray[np.bool_] | None) -> float | None:
        return float(of_pair[mask].mean()) if mask is not None and mask.any() else None

    test = None if train is None else ~train
    return Restricted(float(losses.mean()), float(hits.mean()), over(train), over(test))


def excluded(
    L: Array, keys: Sequence[int], direction: str, train: NDArray[np.bool_]
) -> Excluded | None:
    """Loss of the train pairs with all keys taken out of the logits, and with each one alone.

    None where the group leaves out every train pair. Raises InvalidInput as `projections` does.
    """
    if not train.any():
        return None
    t = answer_elements(L.shape[0], direction)[train]
    rows, tables = L[train], projections(by_answer(L, direction), keys)

    def without(table: Array) -> float:
        return float(cross_entropy(rows - table[t], t).mean())

    return Excluded(
        without(tables.sum(axis=0)),
        {k: without(table) for k, table in zip(keys, tables, strict=True)},
    )
