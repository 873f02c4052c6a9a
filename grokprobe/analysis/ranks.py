"""How many directions a matrix uses: effective ranks by its singular values s_i.

    participation ratio = (sum s_i^2)^2 / sum s_i^4                 of the eigenvalues s_i^2
    effective rank      = exp(- sum p_i ln p_i)     p_i = s_i / sum s     (Roy and Vetterli 2007)

1 <= participation ratio <= effective rank <= rank; n equal values give n. Of what represents (rows
of the embedding, activations) the column means are taken out first; weights are read as they are.
Source: docs/maths.md, "Effective ranks".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array
from grokprobe.analysis.outputs import Outputs
from grokprobe.cached import cached_property

MOST_MATRICES = 1_000  # of one file
LARGEST_SIDE = 2_048  # the shorter one: its singular values take seconds


def participation_ratio(values: ArrayLike | None) -> float | None:
    """Of singular values (n,), 1..n; None where there are none, or all are negligible."""
    s = _scaled(values)
    return None if s is None else float(np.sum(s**2) ** 2 / np.sum(s**4))


def effective_rank(values: ArrayLike | None) -> float | None:
    """Of singular values (n,), 1..n; None where there are none, or all are negligible."""
    s = _scaled(values)
    if s is None:
        return None
    p = s[s > 0] / s.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


def _scaled(values: ArrayLike | None) -> Array | None:
    """Singular values over the largest: their fourth powers are floats."""
    s = np.asarray([] if values is None else values, dtype=np.float64)
    largest = s.max(initial=0.0)
    return s / largest if largest >= NEGLIGIBLE else None


class Gram:
    """What is read of activations (pairs, neurons): the products of their columns, centred.

    Around the mean of the first rows, so that little is left to be taken out at the end.
    """

    def __init__(self) -> None:
        self._rows, self._around = 0, np.zeros(0)
        self._sum, self._products = np.zeros(0), np.zeros((0, 0))

    def take(self, _first: int, rows: Outputs) -> None:
        """The activations (some, neurons) of further pairs."""
        if not self._rows:
            width = rows.shape[1]
            self._around = rows.mean(axis=0, dtype=np.float64)
            self._sum, self._products = np.zeros(width), np.zeros((width, width))
        X = rows - self._around
        self._rows += len(X)
        self._sum += X.sum(axis=0)
        self._products += X.T @ X

    @property
    def singular_values(self) -> Array:
        """Of the centred activations, (neurons,); what is rounding error of the largest is 0."""
        centred = self._products - np.outer(self._sum, self._sum) / max(self._rows, 1)
        found = np.linalg.eigvalsh(centred) if centred.size else np.zeros(0)
        floor = len(found) * np.finfo(np.float64).eps * found.max(initial=0.0)
        values: Array = np.sqrt(np.where(found > floor, found, 0.0))
        return values


@dataclass(frozen=True)
class WeightMatrices:
    """The parameters of a checkpoint by name, of which those that are matrices are read."""

    weights: Mapping[str, NDArray[Any]]

    def each(self, measure: Callable[[Array], float | None]) -> dict[str, float] | None:
        """A measure of the singular values of each matrix that has one, by name; None without."""
        found = {name: measure(values) for name, values in self.singular_values.items()}
        return {name: value for name, value in found.items() if value is not None} or None

    @cached_property
    def singular_values(self) -> dict[str, Array]:
        """The singular values of each matrix by name."""
        matrices = islice(self._matrices(), MOST_MATRICES)
        return {name: np.linalg.svdvals(matrix) for name, matrix in matrices}

    def _matrices(self) -> Iterator[tuple[str, Array]]:
        """Matrices in float64; of three axes, as heads have, one for each index of the first.

        Left out are vectors, what is not all numbers, and what would take too long.
        """
        for name, weight in self.weights.items():
            if weight.dtype.kind != "f" or weight.ndim not in (2, 3):
                continue
            if not 1 < min(weight.shape[-2:]) <= LARGEST_SIDE or not np.isfinite(weight).all():
                continue
            parts = [(name, weight)] if weight.ndim == 2 else _named(name, weight)
            yield from ((part, matrix.astype(np.float64)) for part, matrix in parts)


def _named(name: str, stack: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    return ((f"{name}[{i}]", matrix) for i, matrix in enumerate(stack))
