"""Textbook definitions, term by term: the slow twins that the tests compare with."""

import cmath
import math
import statistics
from collections.abc import Sequence

import numpy as np

from grokprobe.analysis.fourier import Array


def slow_spectrum(matrix: Array) -> tuple[list[float], list[float], float]:
    """Cosine norms, sine norms and constant power by the double sum of the definition."""
    n, width = matrix.shape
    cosines, sines = [], []
    for k in range(1, n // 2 + 1):
        scale = math.sqrt((1 if 2 * k == n else 2) / n)
        angle = [2 * math.pi * k * a / n for a in range(n)]
        c = [scale * sum(math.cos(angle[a]) * matrix[a, j] for a in range(n)) for j in range(width)]
        s = [scale * sum(math.sin(angle[a]) * matrix[a, j] for a in range(n)) for j in range(width)]
        cosines.append(math.hypot(*c))
        sines.append(0.0 if 2 * k == n else math.hypot(*s))
    constant = sum(sum(matrix[a, j] for a in range(n)) ** 2 for j in range(width)) / n
    return cosines, sines, constant


def slow_gini(values: Sequence[float]) -> float | None:
    """Half the relative mean absolute difference over all ordered pairs."""
    if math.hypot(*values) < 1e-9:
        return None
    return sum(abs(x - y) for x in values for y in values) / (2 * len(values) * sum(values))


def slow_winding(points: Array, frequency: int) -> int:
    """Turns of centred points (n, 2) about 0, each step taken on the branch nearest 2 pi k / n."""
    n = len(points)
    z = [complex(x, y) for x, y in points]
    turn = cmath.exp(2j * cmath.pi * frequency / n)
    slips = [cmath.phase(z[(a + 1) % n] / z[a] / turn) for a in range(n)]
    return frequency + round(sum(slips) / (2 * cmath.pi))


def slow_r_squared(points: Array, frequency: int) -> float:
    """The share of variance left to the best circle at a frequency, by projecting onto it."""
    n = len(points)
    x0, y0 = sum(points[:, 0]) / n, sum(points[:, 1]) / n
    z = [complex(x - x0, y - y0) for x, y in points]
    waves = [cmath.exp(2j * cmath.pi * frequency * a / n) for a in range(n)]
    amplitude = sum(v * w.conjugate() for v, w in zip(z, waves, strict=True)) / n
    residual = sum(abs(v - amplitude * w) ** 2 for v, w in zip(z, waves, strict=True))
    return 1 - residual / sum(abs(v) ** 2 for v in z)


def slow_circularity(rows: Array) -> float:
    """Mean over 4 eigenvectors of the centred Gram matrix of the energy of their best frequency."""
    n = len(rows)
    centred = rows - rows.mean(axis=0)
    components = np.linalg.eigh(centred @ centred.T).eigenvectors[:, -4:].T
    best: list[float] = []
    for v in components.tolist():
        energies = []
        for k in range(1, (n + 1) // 2):  # below Nyquist
            total = sum(v[a] * cmath.exp(2j * cmath.pi * k * a / n) for a in range(n))
            energies.append(2 / n * abs(total) ** 2)
        best.append(min(max(energies), 1.0))
    return statistics.mean(best)


def slow_distance_irrelevance(L: Array, direction: str) -> float:
    """The definition with lists: one deviation for each a - b, over that of all."""
    n = len(L)
    by_distance: dict[int, list[float]] = {}
    for a in range(n):
        for b in range(n):
            i = b if direction == "sum" else -b % n
            by_distance.setdefault((a - i) % n, []).append(float(L[a, b, (a + i) % n]))
    every = [value for values in by_distance.values() for value in values]
    return sum(statistics.pstdev(v) for v in by_distance.values()) / n / statistics.pstdev(every)


def slow_by_answer(values: Array, direction: str) -> Array:
    """The sum over the pairs of each answer, pair by pair."""
    n = len(values)
    grouped = np.zeros(values.shape[1:])
    for a in range(n):
        for b in range(n):
            grouped[(a + b if direction == "sum" else a - b) % n] += values[a, b]
    return grouped


def slow_cross_entropy(row: Sequence[float], answer: int) -> float:
    """-log of the softmax's answer entry, in nats."""
    highest = max(row)
    return math.log(sum(math.exp(x - highest) for x in row)) + highest - row[answer]


def slow_logit_coefficients(L: Array, direction: str) -> tuple[list[float], list[float], float]:
    """|alpha_k|, |beta_k| and ||centred L|| from the whole cube, one frequency at a time."""
    n = len(L)
    centred = L - L.mean(axis=2, keepdims=True)
    a, b, c = np.meshgrid(*[np.arange(n)] * 3, indexing="ij")
    s = a + (b if direction == "sum" else -b) - c
    alphas: list[float] = []
    betas: list[float] = []
    for k in range(1, n // 2 + 1):
        for waves, out in ((np.cos, alphas), (np.sin, betas)):
            direction_k = waves(2 * np.pi * k * s / n)
            norm = math.sqrt(n**3 if 2 * k == n else n**3 / 2)
            out.append(abs(float((centred * direction_k).sum() / norm)))
    return alphas, betas, float(np.linalg.norm(centred))


def slow_explained(activations: Array) -> list[float]:
    """FVE_k of one neuron (n, n): the energy of the 8 products of rows at k over its energy."""
    n = len(activations)
    centred = activations - activations.mean()
    constant = np.full(n, n**-0.5)
    found = []
    for k in range(1, n // 2 + 1):
        angle = 2 * np.pi * k * np.arange(n) / n
        scale = math.sqrt((1 if 2 * k == n else 2) / n)
        c, s = scale * np.cos(angle), scale * np.sin(angle) * (2 * k != n)
        terms = [(c, constant), (s, constant), (constant, c), (constant, s)]
        terms += [(c, c), (c, s), (s, c), (s, s)]
        found.append(sum(float(x @ centred @ y) ** 2 for x, y in terms) / float((centred**2).sum()))
    return found


def slow_projection(L: Array, keys: Sequence[int], direction: str) -> Array:
    """P over the whole cube (n, n, n): C_k (C_k . L) + S_k (S_k . L), normalised on the grid."""
    n = len(L)
    a, b = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    t = a + (b if direction == "sum" else -b)
    projected = np.zeros_like(L)
    for k in keys:
        for wave in (np.cos(2 * np.pi * k * t / n), np.sin(2 * np.pi * k * t / n)):
            if (norm := np.linalg.norm(wave)) > 1e-6:
                unit = wave / norm
                projected += unit[:, :, None] * np.einsum("ab,abc->c", unit, L)
    return projected


def slow_participation_ratio(M: Array) -> float:
    """trace(M'M)^2 / trace((M'M)^2), no singular value being computed."""
    gram = M.T @ M
    return float(np.trace(gram) ** 2 / np.trace(gram @ gram))


def slow_effective_rank(M: Array) -> float:
    """exp of the entropy of the singular values, each the root of an eigenvalue of M'M or M M'."""
    gram = M.T @ M if M.shape[0] >= M.shape[1] else M @ M.T
    values = [math.sqrt(max(value, 0.0)) for value in np.linalg.eigvals(gram).real]
    shares = [value / sum(values) for value in values if value > 1e-7 * max(values)]
    return math.exp(-sum(share * math.log(share) for share in shares))


def slow_held_out(x: Array, answers: Sequence[int], p: int, folds: int, ridge: float) -> list[bool]:
    """Ridge by least squares with rows sqrt(l) e_j of target 0, a fold and a class at a time."""
    place = {int(pair): i for i, pair in enumerate(np.random.default_rng(0).permutation(len(x)))}
    hits = [False] * len(x)
    for fold in range(folds):
        fitted = [i for i in range(len(x)) if place[i] % folds != fold]
        mean = sum(x[i] for i in fitted) / len(fitted)
        X = np.array([x[i] - mean for i in fitted])
        penalty = math.sqrt(ridge * (X**2).sum()) * np.eye(x.shape[1])
        scores = np.zeros((p, len(x)))
        for c in range(p):
            y = np.array([float(answers[i] == c) for i in fitted])
            target = np.concatenate([y - y.mean(), np.zeros(x.shape[1])])
            w = np.linalg.lstsq(np.concatenate([X, penalty]), target, rcond=None)[0]
            scores[c] = [(row - mean) @ w + y.mean() for row in x]
        for i in range(len(x)):
            if place[i] % folds == fold:
                hits[i] = max(range(p), key=lambda c: (scores[c, i], -c)) == answers[i]
    return hits


def slow_quantile(values: Sequence[float], level: float) -> float:
    """numpy's own, of which linear interpolation is the default."""
    return float(np.quantile(np.array(values), level, method="linear"))


def slow_loops(points: Array) -> list[tuple[float, float]]:
    """Births and deaths of loops by reducing the boundary matrix of all edges and triangles."""
    n = len(points)

    def size(simplex: Sequence[int]) -> float:
        pairs = ((i, j) for i in simplex for j in simplex if i < j)
        return max(math.dist(points[i], points[j]) for i, j in pairs)

    edges = sorted(((i, j) for j in range(n) for i in range(j)), key=size)
    triangles = sorted(((i, j, k) for k in range(n) for j in range(k) for i in range(j)), key=size)
    place = {edge: number for number, edge in enumerate(edges)}
    reduced: dict[int, set[int]] = {}  # by the latest edge of each
    found = []
    for i, j, k in triangles:
        boundary = {place[i, j], place[i, k], place[j, k]}
        while boundary and max(boundary) in reduced:
            boundary ^= reduced[max(boundary)]
        if boundary:
            reduced[max(boundary)] = boundary
            found.append((size(edges[max(boundary)]), size((i, j, k))))
    return [(birth, death) for birth, death in found if death > birth]
