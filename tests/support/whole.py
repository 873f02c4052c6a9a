"""Analyses of whole arrays, as they were before these were read a few rows at a time: slow twins.

And what feeds whole arrays to the forms that read them by rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.basis import Basis
from grokprobe.analysis.fourier import Array, basis, spectrum
from grokprobe.analysis.logits import LogitCoefficients, LogitSums, add_by_answer
from grokprobe.analysis.measures import cross_entropy
from grokprobe.analysis.neurons import NeuronSums
from grokprobe.analysis.outputs import WholeOutputs
from grokprobe.analysis.progress import Excluded, answer_elements, excluded

Values = NDArray[np.floating[Any]]


def whole(**arrays: NDArray[np.float32] | None) -> WholeOutputs:
    """Outputs of all pairs by name, those that are there."""
    return WholeOutputs({name: array for name, array in arrays.items() if array is not None})


def cube(logits: Values, of: Basis) -> Array:
    """Logits of all pairs (p*p, p) as (n, n, n) over the group's elements of a, b and c."""
    L = logits.astype(np.float64).reshape((logits.shape[1],) * 3)
    kept: Array = L[np.ix_(of.residues, of.residues, of.residues)]
    return kept


def by_answer(values: Values, direction: str) -> Array:
    """The sum of values (n, n, width) over the pairs of each answer: (n, width)."""
    grouped = np.zeros(values.shape[1:])
    for i, rows in enumerate(values):
        add_by_answer(grouped, rows, i, direction)
    return grouped


def sums_of(L: Array, direction: str) -> LogitSums:
    """A cube (n, n, n), read."""
    sums = LogitSums(len(L), direction)
    for i, rows in enumerate(L):
        sums.take(i, rows)
    return sums


def coefficients_of(L: Array, direction: str) -> LogitCoefficients:
    """The coefficients of a cube (n, n, n)."""
    return sums_of(L, direction).coefficients


def neurons_of(activations: Values) -> NeuronSums:
    """Activations (n, n, neurons), read."""
    sums = NeuronSums(len(activations))
    for i, rows in enumerate(activations):
        sums.take(i, rows)
    return sums


def excluded_of(
    L: Array, keys: Sequence[int], direction: str, train: NDArray[np.bool_]
) -> Excluded | None:
    """The excluded losses of a cube (n, n, n)."""
    rows = ((i, of_a[train[i]]) for i, of_a in enumerate(L))
    return excluded(rows, sums_of(L, direction), keys, train)


def whole_coefficients(L: Array, direction: str) -> LogitCoefficients:
    """The coefficients of a cube, centred as a whole."""
    n = len(L)
    answers = by_answer(L, direction)
    answers -= answers.mean(axis=1, keepdims=True)
    t = np.arange(n)
    G = answers[t[None, :], (t[None, :] - t[:, None]) % n].sum(axis=1)
    norm = float(np.linalg.norm(L - L.mean(axis=2, keepdims=True)))
    return LogitCoefficients(spectrum(G[:, None] / n), norm)


def whole_explained(N: Values) -> tuple[Array, Array]:
    """FVE (frequencies, neurons) and centred energy (neurons,) of activations (n, n, neurons)."""
    n, (cosine, sine) = len(N), basis(len(N))

    def power(sums: Array) -> Array:
        found: Array = (cosine @ sums) ** 2 + (sine @ sums) ** 2
        return found

    of_a, of_b = (N.sum(axis=other, dtype=np.float64) for other in (1, 0))
    mixed = power(by_answer(N, "sum")) + power(by_answer(N, "difference"))
    if n % 2 == 0:
        mixed[-1] /= 2
    energy: Array = np.sum((N - of_a.sum(axis=0) / n**2) ** 2, axis=(0, 1))
    share = (power(of_a) + power(of_b) + mixed) / n / np.where(energy > 0, energy, 1.0)
    return share, energy


def whole_projections(grouped: Array, keys: Sequence[int]) -> Array:
    """The projection of each key alone over (t, c), (keys, n, n), of logits summed by answer."""
    n, rows = len(grouped), np.asarray(keys, dtype=np.int64) - 1
    parts = [np.einsum("kt,kc->ktc", w[rows], w[rows] @ grouped) / n for w in basis(n)]
    return np.asarray(parts[0] + parts[1])


def whole_excluded(
    L: Array, keys: Sequence[int], direction: str, train: NDArray[np.bool_]
) -> dict[int, float]:
    """The excluded loss of each key alone, and of all as that of the key 0, every row at once."""
    t = answer_elements(len(L), direction)[train]
    rows, tables = L[train], whole_projections(by_answer(L, direction), keys)
    every = [tables.sum(axis=0), *tables]
    losses = [float(cross_entropy(rows - table[t], t).mean()) for table in every]
    return dict(zip((0, *keys), losses, strict=True))
