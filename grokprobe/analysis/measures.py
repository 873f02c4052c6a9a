"""Scalars of one checkpoint, from its logits and weights (MATHS, "Progress measures")."""

import numpy as np
from numpy.typing import ArrayLike

from grokprobe.analysis.fourier import Array
from grokprobe.task import Residues


def cross_entropy(logits: ArrayLike, answers: Residues) -> Array:
    """Cross-entropy of each row in nats, float64: logits (n, classes), answers (n,) -> (n,).

    Where the own logit is the largest this is log1p(sum over others of exp(other - own)): the
    usual log-softmax loses everything below 1e-16, and the late phase lives there.
    """
    L = np.asarray(logits, dtype=np.float64)
    rows = np.arange(L.shape[0])
    own = L[rows, answers]
    highest = L.max(axis=1)
    terms = np.exp(L - highest[:, None])
    terms[rows, answers] = 0.0
    others = terms.sum(axis=1)
    surprise: Array = np.where(
        own == highest,
        np.log1p(others),
        (highest - own) + np.log(others + np.exp(own - highest)),
    )
    return surprise


def accuracy(logits: ArrayLike, answers: Residues) -> float:
    """The share of rows, 0..1, whose largest logit is the answer's; ties go to the lowest class."""
    return float(np.mean(np.argmax(np.asarray(logits), axis=1) == answers))
