"""Key frequencies: three rules, each with its threshold and its margin. An empty set is an answer.

    logits     cosine_similarity_k > 0.1: more than 1 % of the centred logits' energy (default)
    neurons    frequencies that own at least max(3, 1 % of live neurons) with fve >= 0.85
    embedding  share_k above twice the flat share and above the largest share of 200 permutations

Source: MATHS, "Key frequencies". Never a silent fallback from one rule to another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from grokprobe.analysis.fourier import Array, frequencies, spectrum
from grokprobe.analysis.logits import LogitCoefficients
from grokprobe.analysis.neurons import Neurons
from grokprobe.analysis.nulls import spectrum_null

LOGITS, NEURON_SHARE, NEURON_COUNT, FLAT_SHARES = 0.1, 0.01, 3, 2.0


@dataclass(frozen=True)
class Keys:
    """A key set with how it was chosen; margin = (last key in, first frequency out)."""

    frequencies: list[int]
    rule: str
    threshold: float
    margin: tuple[float | None, float | None]


def _above(scores: Array, order: int, rule: str, threshold: float, thresholds: Array) -> Keys:
    """The frequencies whose score is above its threshold; the margin is in scores."""
    chosen = scores > thresholds
    return Keys(
        frequencies(order)[chosen].tolist(),
        rule,
        threshold,
        (
            float(scores[chosen].min()) if chosen.any() else None,
            float(scores[~chosen].max()) if not chosen.all() else None,
        ),
    )


def keys_by_logits(coefficients: LogitCoefficients, threshold: float = LOGITS) -> Keys:
    """The frequencies whose cosine explains more than threshold^2 of the centred logits."""
    order = coefficients.spectrum.order
    similarity = coefficients.cosine_similarity
    scores = np.zeros(len(frequencies(order))) if similarity is None else similarity
    return _above(scores, order, "logits", threshold, np.full(len(scores), threshold))


def keys_by_neurons(neurons: Neurons, order: int) -> Keys:
    """The frequencies that own a cluster of enough neurons; scores are counts."""
    threshold = max(NEURON_COUNT, NEURON_SHARE * neurons.live)
    scores = np.array([neurons.clusters.get(k, 0) for k in frequencies(order).tolist()], float)
    just_below = np.full(len(scores), np.nextafter(threshold, 0))  # "at least"
    return _above(scores, order, "neurons", threshold, just_below)


def keys_by_embedding(rows: ArrayLike, seed: int = 0) -> Keys:
    """The frequencies of the embedding (order, width) that stand out of flatness and of chance."""
    found = spectrum(rows)
    order, n = found.order, len(found.power)
    null = spectrum_null(rows, seed=seed, statistic="max_share")
    if null is None or found.share is None:
        return _above(np.zeros(n), order, "embedding", FLAT_SHARES / n, np.zeros(n))
    flat = np.full(n, 2 / (order - 1))
    if order % 2 == 0:
        flat[-1] /= 2  # Nyquist has a cosine row only
    thresholds = np.maximum(FLAT_SHARES * flat, null.max)
    return _above(found.share, order, "embedding", float(thresholds[0]), thresholds)
