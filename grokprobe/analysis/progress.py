"""Progress measures that need key frequencies: the loss with them alone, and without them.

With the key set K, a cube L (n, n, n) over the elements of a, b and c, and t = a + b (or a - b):

    C_k ~ cos(w_k t), S_k ~ sin(w_k t)          unit vectors over the grid
    P = sum over K of C_k (C_k . L) + S_k (S_k . L)
    R = P + mean over (a, b) of L               (the mean of P is exactly 0)

`restricted` is the cross-entropy of R, `excluded` that of L - P on the train pairs. P depends on
(t, c) alone, and so does R: a table (n, n) holds either. Source: docs/maths.md, "Progress
measures"; Nanda et al. 2023, section 5.2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array, basis, first_largest, key_rows
from grokprobe.analysis.logits import LogitSums, answer_row
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


class Projection:
    """The projection P of each key alone, by (t, c), of logits summed by answer, (n, n).

    Raises InvalidInput for a key that is no frequency of the group or stands twice.
    """

    def __init__(self, grouped: Array, keys: Sequence[int]) -> None:
        cosine, sine = basis(len(grouped))
        rows = key_rows(keys, len(cosine))
        # (keys, n) each: the unit vectors over t, and their products with the logits.
        self._parts = [(w[rows], w[rows] @ grouped) for w in (cosine, sine)]

    def rows(self, key: int, t: NDArray[np.int64] | slice) -> Array:
        """The rows t of the projection of the key at that place, (t, n)."""
        # A unit vector over t becomes one over the n^2 pairs when it is divided by sqrt(n).
        along, across = (np.outer(w[key, t], of[key]) / of.shape[1] for w, of in self._parts)
        both: Array = np.add(along, across, out=along)
        return both

    def table(self) -> Array:
        """P of all keys, (n, n); zeros without any."""
        (w, of), _ = self._parts
        table = np.zeros((w.shape[1], of.shape[1]))
        for key in range(len(w)):
            table += self.rows(key, slice(None))
        return table


def answer_elements(n: int, direction: str) -> NDArray[np.int64]:
    """The answer's element t of each pair of group elements, (n, n)."""
    return np.stack([answer_row(i, n, direction) for i in range(n)])


def restricted(sums: LogitSums, keys: Sequence[int], train: NDArray[np.bool_] | None) -> Restricted:
    """Loss and accuracy of the key frequencies alone; `train` (n, n) marks the train pairs.

    Without keys R is the mean over the grid, and says nothing. Raises InvalidInput as `Projection`
    does.
    """
    n = len(sums.grouped)
    table = Projection(sums.grouped, keys).table() + sums.grouped.sum(axis=0) / n**2
    losses = cross_entropy(table, np.arange(n))  # the answer of row t is t
    of_pair = losses[answer_elements(n, sums.direction)]
    hits = first_largest(table.T) == np.arange(n)  # at Nyquist alone, half the classes tie

    def over(mask: NDArray[np.bool_] | None) -> float | None:
        return float(of_pair[mask].mean()) if mask is not None and mask.any() else None

    test = None if train is None else ~train
    return Restricted(float(losses.mean()), float(hits.mean()), over(train), over(test))


def excluded(
    rows: Iterable[tuple[int, Array]],
    sums: LogitSums,
    keys: Sequence[int],
    train: NDArray[np.bool_],
) -> Excluded | None:
    """Loss of the train pairs with all keys taken out of the logits, and with each one alone.

    `rows` has each element i of a with the logits (pairs, n) of its train pairs; `train` (n, n)
    marks those. None where the group leaves out every train pair. Raises InvalidInput as
    `Projection` does.
    """
    if not train.any():
        return None
    n, projection = len(train), Projection(sums.grouped, keys)
    together, totals = projection.table(), np.zeros(1 + len(keys))
    for i, L in rows:
        t = answer_row(i, n, sums.direction)[train[i]]
        totals[0] += cross_entropy(L - together[t], t).sum()
        for key in range(len(keys)):
            totals[1 + key] += cross_entropy(L - projection.rows(key, t), t).sum()
    mean, *per_key = (totals / train.sum()).tolist()
    return Excluded(mean, dict(zip(keys, per_key, strict=True)))
