"""Is the answer in a representation, for a linear readout to find? Ridge regression, held out.

Of features x (n, d) of the n pairs that have an answer, with y the one-hot answers (n, p), each
fold is scored by the readout that was fitted to the other folds:

    W      = (X^T X + l 1)^-1 X^T Y       X, Y centred over the fitted pairs
    scores = (x - mean x) W + mean y      the prediction is the largest; ties: the lowest class
    l      = RIDGE tr X^T X

So predictions do not change when the features are turned, scaled or moved, or get columns that
are constant. Folds: of `default_rng(0).permutation(n)` the pair at place i is of fold i mod FOLDS.
Of each fold only sums are kept, so that features are read some rows at a time, twice. Source:
docs/maths.md, "Linear readouts".
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import Outputs
from grokprobe.task import UNDEFINED, Residues

FOLDS = 5
RIDGE = 1e-6  # of the summed variance
SEED = 0
CONSTANT = 1e-12  # variance below this share of the squares is the rounding of a constant

Hits = NDArray[np.bool_]
Rows = NDArray[np.floating[Any]]


def folds(pairs: int) -> NDArray[np.int64]:
    """The fold of each of so many pairs, (pairs,)."""
    found = np.empty(pairs, dtype=np.int64)
    found[np.random.default_rng(SEED).permutation(pairs)] = np.arange(pairs) % FOLDS
    return found


@dataclass
class _Sums:
    """What a readout is fitted to, of the pairs of some folds."""

    answers: NDArray[np.int64]  # (p,): how many pairs have each
    of_class: Array  # (p, d): the features summed by answer
    squares: Array  # (d, d): x^T x

    @staticmethod
    def empty(p: int, width: int) -> "_Sums":
        zeros = np.zeros((p, width)), np.zeros((width, width))
        return _Sums(np.zeros(p, dtype=np.int64), *zeros)

    def take(self, x: Array, answers: Residues) -> None:
        self.answers += np.bincount(answers, minlength=len(self.answers))
        np.add.at(self.of_class, answers, x)
        self.squares += x.T @ x

    def add(self, other: "_Sums") -> None:
        self.answers += other.answers
        self.of_class += other.of_class
        self.squares += other.squares

    def without(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.answers - other.answers,
            self.of_class - other.of_class,
            self.squares - other.squares,
        )

    @property
    def mean(self) -> Array:
        mean: Array = self.of_class.sum(axis=0) / self.answers.sum()
        return mean

    @property
    def centred(self) -> Array:
        """X^T X, (d, d)."""
        mean = self.mean
        centred: Array = self.squares - self.answers.sum() * np.outer(mean, mean)
        return centred

    @property
    def varies(self) -> bool:
        return bool(np.trace(self.centred) > CONSTANT * np.trace(self.squares))

    def readout(self) -> tuple[Array, Array]:
        """Weights (d, p) and biases (p,)."""
        square, mean, frequent = self.centred, self.mean, self.answers / self.answers.sum()
        if not self.varies:
            return np.zeros(self.of_class.T.shape), frequent
        square.flat[:: len(square) + 1] += RIDGE * np.trace(square)
        products = self.of_class.T - np.outer(mean, self.answers)
        weights = np.asarray(np.linalg.solve(square, products), dtype=np.float64)
        biases: Array = frequent - mean @ weights
        return weights, biases


def held_out(read: Callable[[], Iterable[Rows]], answers: Residues, p: int) -> Hits | None:
    """Whether each pair with an answer is answered right by the readout of the other folds.

    `read` gives the features of all pairs (p*p, d) in blocks of consecutive rows, each time the
    same; `answers` (p*p,) are UNDEFINED where there is none. None where nothing varies.
    """
    known = answers != UNDEFINED
    fold = np.full(len(answers), -1)
    fold[known] = folds(int(known.sum()))
    of_folds = _summed(read(), answers, fold, p)
    total = _Sums.empty(p, len(of_folds[0].squares))
    for one in of_folds:
        total.add(one)
    if not total.varies:
        return None
    readouts = [total.without(one).readout() for one in of_folds]
    hits: Hits = np.zeros(len(answers), dtype=np.bool_)
    for f, where, x in _by_fold(read(), fold):
        weights, biases = readouts[f]
        hits[where] = np.argmax(x @ weights + biases, axis=1) == answers[where]
    of_known: Hits = hits[known]
    return of_known


def _summed(
    blocks: Iterable[Rows], answers: Residues, fold: NDArray[np.int64], p: int
) -> list[_Sums]:
    sums: list[_Sums] = []
    for f, where, x in _by_fold(blocks, fold):
        sums = sums or [_Sums.empty(p, x.shape[1]) for _ in range(FOLDS)]
        sums[f].take(x, answers[where])
    return sums


def _by_fold(
    blocks: Iterable[Rows], fold: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], Array]]:
    """Each fold's rows of each block: the fold, which pairs, their features (m, d)."""
    first = 0
    for block in blocks:
        here = fold[first : first + len(block)]
        for f in range(FOLDS):
            rows = np.flatnonzero(here == f)
            yield f, first + rows, block[rows].astype(np.float64)
        first += len(block)


def embedding_sums(first: Outputs, second: Outputs) -> Iterator[Rows]:
    """The sum of the embeddings (p, d) of both operands for each pair, (p, d) for each a."""
    of_b = second.astype(np.float64)
    for row in first.astype(np.float64):
        yield row + of_b
