"""Textbook definitions, term by term: the slow twins that the tests compare with."""

import cmath
import math
from collections.abc import Sequence

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
    total = sum(values)
    if total < 1e-9:
        return None
    return sum(abs(x - y) for x in values for y in values) / (2 * len(values) * total)


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


def slow_cross_entropy(row: Sequence[float], answer: int) -> float:
    """-log of the softmax's answer entry, in nats."""
    highest = max(row)
    return math.log(sum(math.exp(x - highest) for x in row)) + highest - row[answer]
