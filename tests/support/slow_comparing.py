"""Comparisons of two checkpoints term by term: the slow twins of `grokprobe.analysis.comparing`."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from grokprobe.analysis.fourier import Array


def slow_probabilities(logits: Sequence[float]) -> list[float]:
    """The softmax of one row."""
    largest = max(logits)
    terms = [math.exp(z - largest) for z in logits]
    return [term / math.fsum(terms) for term in terms]


def slow_divergence(a: Sequence[float], b: Sequence[float]) -> float:
    """KL(a || b) of one pair's logits, in nats, a class at a time."""
    return math.fsum(
        p * (math.log(p) - math.log(q))
        for p, q in zip(slow_probabilities(a), slow_probabilities(b), strict=True)
    )


def slow_cka(x: ArrayLike, y: ArrayLike) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of the Gram matrices of rows, centred by H."""
    X, Y = (np.asarray(one, dtype=np.float64) for one in (x, y))
    n = len(X)
    H = np.eye(n) - np.ones((n, n)) / n
    K, L = H @ X @ X.T @ H, H @ Y @ Y.T @ H
    return float(np.trace(K @ L) / math.sqrt(np.trace(K @ K) * np.trace(L @ L)))


def at_frequency(rows: Array, k: int) -> Array:
    """The part of `rows` (n, width) at one frequency, by the double sum of the definition."""
    n = len(rows)
    scale = (1 if 2 * k == n else 2) / n
    angle = [2 * math.pi * k * a / n for a in range(n)]
    weights = [[scale * math.cos(angle[a] - angle[c]) for c in range(n)] for a in range(n)]
    return np.array(weights) @ rows


def slow_alignment(a: Array, b: Array, k: int) -> float:
    """The best orthogonal map of the part of a at k onto that of b: by singular values."""
    F_a, F_b = at_frequency(a, k), at_frequency(b, k)
    best = np.linalg.svd(F_a.T @ F_b, compute_uv=False).sum()
    return float(best / (np.linalg.norm(F_a) * np.linalg.norm(F_b)))


def slow_overlap(a: Array, b: Array, keys_a: Sequence[int], keys_b: Sequence[int]) -> float:
    """The mean squared cosine of the principal angles between two spans, by their projections."""
    A = np.concatenate([at_frequency(a, k) for k in keys_a])
    B = np.concatenate([at_frequency(b, k) for k in keys_b])
    P, Q = np.linalg.pinv(A) @ A, np.linalg.pinv(B) @ B
    return float(np.trace(P @ Q) / min(np.trace(P), np.trace(Q)))


def slow_longest_axis(rows: Array, k: int) -> float:
    """The phase of the longest axis, in (-pi/2, pi/2], by the first left singular vector."""
    direction = np.linalg.svd(at_frequency(rows, k))[0][:, 0]
    turn = sum(v * np.exp(-2j * math.pi * k * a / len(rows)) for a, v in enumerate(direction))
    phase = float(np.angle(turn))
    return phase - math.pi * round(phase / math.pi)
