"""Scalars of one checkpoint, from its logits and weights (docs/maths.md, "Progress measures")."""

import numpy as np
from numpy.typing import ArrayLike

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis
from grokprobe.task import Residues

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
    return float(np.mean(np.argmax(np.asarray(logits), axis=1) == answers))


def circularity(rows: ArrayLike) -> float | None:
    """How much of each of the first 4 principal components is one frequency, 0..1; their mean.

    For a component v (unit norm) of the centred rows (n, width): max_k (2/n) |sum_a v_a
    exp(2 pi i k a / n)|^2 over the frequencies below Nyquist, clipped to 1. None with fewer than 4
    components. It falls when several circles of similar power mix in the components. Source: Zhong
    et al. 2023, appendix.
    """
    M = np.asarray(rows, dtype=np.float64)
    if min(M.shape) < COMPONENTS:
        return None
    left, values, _ = np.linalg.svd(M - M.mean(axis=0), full_matrices=False)
    if values[COMPONENTS - 1] < NEGLIGIBLE:
        return None
    cosine, sine = (rows[: (len(M) - 1) // 2] @ left[:, :COMPONENTS] for rows in basis(len(M)))
    energy = cosine**2 + sine**2
    return float(np.minimum(energy, 1.0).max(axis=0).mean())


def distance_irrelevance(L: Array, direction: str) -> float | None:
    """How much the correct logit depends on a - b beside a + b: high for clock, low for pizza.

    For M[a + b, a - b] = L[a, b, a + b] of a cube of odd order: the mean over a - b of the standard
    deviation over a + b, over the standard deviation of M. Differences are read as a + (-b). None
    for an even order, where a + b and a - b share their parity, and for constant M.
    Source: Zhong et al. 2023, section 4 (whose table holds the best incorrect logit: not this).
    """
    n = L.shape[0]
    if n % 2 == 0:
        return None
    a, b = np.divmod(np.arange(n * n), n)
    other = b if direction == "sum" else -b % n
    answer, distance = (a + other) % n, (a - other) % n
    M = np.empty((n, n))
    M[answer, distance] = L[a, b, answer]
    spread = float(M.std())
    return float(M.std(axis=0).mean() / spread) if spread >= NEGLIGIBLE else None


def softmax_collapse(logits: ArrayLike) -> float | None:
    """The share of rows whose float32 sum of exp(z - max) is exactly 1: their gradient is lost.

    logits (n, classes), the train rows; None without any. Source: Prieto et al. 2025.
    """
    L = np.asarray(logits, dtype=np.float32)
    if len(L) == 0:
        return None
    totals = np.exp(L - L.max(axis=1, keepdims=True)).sum(axis=1, dtype=np.float32)
    return float(np.mean(totals == np.float32(1)))
