"""Frequencies taken out of what a network computes of all pairs, or of a table of residues.

A cube M (n, n, classes) has a value for each pair (a, b) of group elements and each class. Without
the frequencies F it is

    M' = Q M Q      over a and over b, class by class,   Q = 1 - sum over F of c_k c_k^T + s_k s_k^T

Every product of two basis functions goes in which a frequency of F occurs, in a or in b; the mean
over all pairs stays. To keep F is to take out all others. Of the neurons the cube is what they add
to the logits, N W_L: their weights there do not depend on the pair, so that N without F adds the
cube without F. A table of residues (embedding) without F is Q W_E.

Along the directions of the answer alone, F is taken out of the logits as `excluded_loss` does, and
kept as `restricted_loss` does (progress.py). Source: docs/maths.md, "Interventions".
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array, basis, frequencies, key_rows
from grokprobe.analysis.logits import add_by_answer
from grokprobe.analysis.progress import Projection, answer_elements

Cube = NDArray[np.floating[Any]]
BLOCK_PAIRS = 512  # in a block of logits: it stays in the cache
# Of n rows r go: 2r + r^2/n products by what goes, m + m^2/n by what stays, the other m = n - r.
LESS = 0.4


def orthonormal_rows(order: int) -> tuple[Array, NDArray[np.int64]]:
    """All rows of the basis, (order, order), and the frequency of each; the constant's is 0."""
    cosine, sine = basis(order)
    k = frequencies(order)
    sines = (order - 1) // 2
    constant = np.full((1, order), 1 / np.sqrt(order))
    return np.concatenate([constant, cosine, sine[:sines]]), np.concatenate([[0], k, k[:sines]])


def rows_without(matrix: Array, removed: Sequence[int]) -> Array:
    """Rows (order, width) in group order without frequencies: Q M.

    Raises InvalidInput as `key_rows` does.
    """
    cosine, sine = basis(len(matrix))
    rows = key_rows(removed, len(cosine))
    gone = np.concatenate([cosine[rows], sine[rows]])  # a Nyquist frequency's sine row is zero
    projected: Array = matrix - gone.T @ (gone @ matrix)
    return projected


class WithoutFrequencies:
    """A cube without whatever frequencies are asked for, beside what does not change.

    `whole` (n, n, classes) is all that the network computes; of it `cube` changes, and `rest` stays
    where it is not all: whole = cube + rest, but for rounding.
    """

    def __init__(self, whole: Cube, cube: Cube | None = None, rest: Cube | None = None) -> None:
        n = len(whole)
        self._whole, self._rest = whole, rest
        self._rows, self._of = orthonormal_rows(n)
        M = np.asarray(whole if cube is None else cube, dtype=np.float64)
        self._in_a = _sum_over_rows(self._rows.T, M)  # (row, b, class)
        self._in_b = self._rows @ M  # (a, row, class)
        self._in_both = _sum_over_rows(self._rows.T, self._in_b)

    def without(self, removed: Sequence[int]) -> Iterator[Array]:
        """What the network computes without frequencies, in blocks of consecutive pairs.

        By what goes or by what stays, whichever is less work.
        """
        gone = np.isin(self._of, removed)
        less = gone.sum() <= LESS * len(gone)
        return self._minus(np.flatnonzero(gone)) if less else self._only(np.flatnonzero(~gone))

    def _blocks(self) -> Iterator[slice]:
        step = max(1, BLOCK_PAIRS // len(self._rows))
        return (slice(a, a + step) for a in range(0, len(self._rows), step))

    def _minus(self, gone: NDArray[np.int64]) -> Iterator[Array]:
        """M - P M - (Q M) P, with the projection P on what goes."""
        rows, in_a = self._rows[gone], self._in_a[gone]
        both = self._in_both[np.ix_(gone, gone)]
        in_b = self._in_b[:, gone] - _sum_over_rows(rows, both)
        for a in self._blocks():
            block = self._whole[a] - _sum_over_rows(rows[:, a], in_a)
            block -= rows.T @ in_b[a]
            yield block.reshape(-1, block.shape[2])

    def _only(self, kept: NDArray[np.int64]) -> Iterator[Array]:
        rows = self._rows[kept]
        in_a = rows.T @ self._in_both[np.ix_(kept, kept)]  # (row, b, class)
        for a in self._blocks():
            block = _sum_over_rows(rows[:, a], in_a)
            block += 0 if self._rest is None else self._rest[a]
            yield block.reshape(-1, block.shape[2])


def _sum_over_rows(rows: Array, coefficients: Array) -> Array:
    """Functions by their coefficients: rows (m, a) and (m, ...) make (a, ...)."""
    total: Array = np.tensordot(rows, coefficients, (0, 0))
    return total


class AlongAnswers:
    """Logits (n, n, n) without frequencies of the answer's element alone, or with those alone."""

    def __init__(self, logits: Cube, direction: str) -> None:
        n = len(logits)
        self._logits, self._answers = logits, answer_elements(n, direction)
        self._grouped = np.zeros((n, n))
        for i, rows in enumerate(logits):
            add_by_answer(self._grouped, rows, i, direction)

    def without(self, removed: Sequence[int]) -> Iterator[Array]:
        """L - P of these frequencies, in blocks of consecutive pairs."""
        table = Projection(self._grouped, removed).table()
        for rows, t in zip(self._logits, self._answers, strict=True):
            yield rows - table[t]

    def only(self, kept: Sequence[int]) -> Iterator[Array]:
        """P of these frequencies and the mean over all pairs, in blocks of consecutive pairs."""
        n = len(self._grouped)
        table = Projection(self._grouped, kept).table() + self._grouped.sum(axis=0) / n**2
        for t in self._answers:
            yield table[t]
