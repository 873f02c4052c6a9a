"""Scalars of one checkpoint, from its logits and weights (docs/maths.md, "Progress measures")."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis
from grokprobe.task import UNDEFINED, Mask, Residues

COMPONENTS = 4  # of circularity


def cross_entropy(logits: ArrayLike, answers: Residues) -> Array:
    """Cross-entropy of each row in nats, float64: logits (n, classes), answers (n,) -> (n,).

    Where the own logit is the largest this is log1p(sum over others of exp(other - own)): the
    usual log-softmax loses everything below 1e-16, and the late phase lives there.
    """
    return surprise(logits, answers)[0]


def surprise(logits: ArrayLike, answers: Residues) -> tuple[Array, Array]:
    """`cross_entropy` (n,), and sum over classes of exp(logit - largest logit) (n,), in one pass.

    The second is what softmax divides by: the largest softmax of a row is one over it.
    """
    L = np.asarray(logits)
    rows = np.arange(len(L))
    below = np.subtract(L, L.max(axis=1, keepdims=True), dtype=np.float64)
    own = below[rows, answers]
    terms = np.exp(below, out=below)
    terms[rows, answers] = 0.0
    others = terms.sum(axis=1)
    total = others + np.exp(own)
    losses: Array = np.where(own == 0, np.log1p(others), np.log(total) - own)
    return losses, total


def accuracy(logits: ArrayLike, answers: Residues) -> float:
    """The share of rows, 0..1, whose largest logit is the answer's; ties go to the lowest class."""
    return float(np.mean(predictions(logits) == answers))


def predictions(logits: ArrayLike) -> Residues:
    """What each row of logits (n, classes) answers, (n,): its largest; ties: the lowest class."""
    highest: Residues = np.argmax(np.asarray(logits), axis=1)
    return highest


def quantile(ascending: Array, level: float) -> float:
    """The quantile of sorted values (n,), n at least 1, at a level 0..1.

    Linear between neighbours, at the position level (n - 1) (Hyndman and Fan 1996, type 7).
    """
    position = level * (len(ascending) - 1)
    below = int(position)
    above = min(below + 1, len(ascending) - 1)
    part = position - below
    return float((1 - part) * ascending[below] + part * ascending[above])


def circularity(rows: ArrayLike) -> float | None:
    """How much of each of the first 4 principal components is one frequency, 0..1; their mean.

    For a component v (unit norm) of the centred rows (n, width): max_k (2/n) |sum_a v_a
    exp(2 pi i k a / n)|^2 over the frequencies below Nyquist, clipped to 1. None with fewer than 4
    components. It falls when several circles of similar power mix in the components. Source: Zhong
    et al. 2023, appendix.
    """
    return circularity_of(*principal_components(rows))


def principal_components(rows: ArrayLike) -> tuple[Array, Array]:
    """Of centred rows (n, width): components (n, c) of unit norm, and singular values (c,)."""
    M = np.asarray(rows, dtype=np.float64)
    left, values, _ = np.linalg.svd(M - M.mean(axis=0), full_matrices=False)
    return left, values


def circularity_of(left: Array, values: Array) -> float | None:
    """`circularity` by `principal_components`."""
    if len(values) < COMPONENTS or values[COMPONENTS - 1] < NEGLIGIBLE:
        return None
    cosine, sine = (
        rows[: (len(left) - 1) // 2] @ left[:, :COMPONENTS] for rows in basis(len(left))
    )
    energy = cosine**2 + sine**2
    return float(np.minimum(energy, 1.0).max(axis=0).mean())


def distance_irrelevance(correct: Array, direction: str) -> float | None:
    """How much the correct logit depends on a - b beside a + b: high for clock, low for pizza.

    For M[a + b, a - b] = L[a, b, a + b], the `correct` logits (n, n) by (a, b), of odd order: the
    mean over a - b of the standard deviation over a + b, over the standard deviation of M.
    Differences are read as a + (-b). None for an even order, where a + b and a - b share their
    parity, and for constant M.
    Source: Zhong et al. 2023, section 4 (whose table holds the best incorrect logit: not this).
    """
    n = len(correct)
    if n % 2 == 0:
        return None
    a, b = np.divmod(np.arange(n * n), n)
    other = b if direction == "sum" else -b % n
    M = np.empty((n, n))
    M[(a + other) % n, (a - other) % n] = correct[a, b]
    spread = float(M.std())
    return float(M.std(axis=0).mean() / spread) if spread >= NEGLIGIBLE else None


def collapsed(logits: ArrayLike) -> NDArray[np.bool_]:
    """Whether the float32 sum of exp(z - max) of each row (n, classes) is exactly 1, (n,).

    The gradient of such a row is lost. Source: Prieto et al. 2025.
    """
    L = np.asarray(logits, dtype=np.float32)
    totals = np.exp(L - L.max(axis=1, keepdims=True)).sum(axis=1, dtype=np.float32)
    ones: NDArray[np.bool_] = totals == np.float32(1)
    return ones


class PairFigures:
    """What is read of the logits of each pair by itself, (p*p,).

    What it is answered, and whether that is right; loss in nats, collapse. Losses and hits are
    those of pairs that have an answer, `is_collapsed` of train pairs: elsewhere 0 and False.
    """

    def __init__(self, answers: Residues, train: Mask | None) -> None:
        self._answers, self._known, self._train = answers, answers != UNDEFINED, train
        self.losses = np.zeros(len(answers))
        self.predicted = np.zeros(len(answers), dtype=np.uint16)
        self.hits, self.is_collapsed = np.zeros((2, len(answers)), dtype=np.bool_)

    def take(self, first: int, logits: NDArray[np.float32]) -> None:
        """The logits (some, p) of the pairs from the row `first` on."""
        rows = slice(first, first + len(logits))
        known = self._known[rows]
        self.predicted[rows] = predictions(logits)
        L, answers = (logits, self._answers[rows])
        if not known.all():
            L, answers = L[known], answers[known]
        self.losses[rows][known] = cross_entropy(L, answers)
        self.hits[rows][known] = self.predicted[rows][known] == answers
        if self._train is not None:
            train = self._train[rows]
            self.is_collapsed[rows][train] = collapsed(logits[train])
