"""Key frequencies: three rules, each with its threshold and its margin. An empty set is an answer.

    logits     cosine_similarity_k > 0.1: more than 1 % of the centred logits' energy (default)
    neurons    frequencies that own at least max(3, 1 % of live neurons) with fve >= 0.85
    embedding  share_k above twice the flat share and above the largest share of 200 permutations

Source: docs/maths.md, "Key frequencies". Never a silent fallback from one rule to another.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, frequencies, spectrum
from grokprobe.analysis.logits import LogitCoefficients
from grokprobe.analysis.neurons import Neurons
from grokprobe.analysis.nulls import SMALLEST_ORDER, spectrum_null
from grokprobe.errors import InvalidInput

LOGITS, NEURON_SHARE, NEURON_COUNT, FLAT_SHARES = 0.1, 0.01, 3, 2.0


@dataclass(frozen=True)
class Keys:
    """A key set with how it was chosen; margin = (last key in, first frequency out)."""

    frequencies: list[int]
    rule: str
    threshold: float
    margin: tuple[float | None, float | None]


def _above(scores: Array, order: int, rule: str, threshold: float, thresholds: Array) -> Keys:
    """The frequencies whose score is above its threshold; the margin is in scores.

    Raises InvalidInput below 5 residues: there are one or two frequencies to choose from.
    """
    if order < SMALLEST_ORDER:
        raise InvalidInput("keys", f"need at least {SMALLEST_ORDER} residues, this has {order}")
    chosen = scores > thresholds + NEGLIGIBLE  # equal but for rounding is not above
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
    below = np.full(len(scores), ceil(threshold) - 0.5)  # "at least", of whole numbers
    return _above(scores, order, "neurons", threshold, below)


def keys_by_embedding(rows: ArrayLike, seed: int = 0) -> Keys:
    """The frequencies of the embedding (order, width) that stand out of flatness and of chance.

    In a group of 5 or 7 elements some of 200 draws only turn them: nothing is above chance there.
    """
    found = spectrum(rows)
    null = spectrum_null(rows, seed=seed, statistic="max_share")
    flat = np.full(len(found.power), 2 / (found.order - 1))
    if found.order % 2 == 0:
        flat[-1] /= 2  # Nyquist has a cosine row only
    chance = null.max if null else 0.0
    thresholds = np.maximum(FLAT_SHARES * flat, chance)
    scores = np.zeros_like(flat) if found.share is None else found.share
    return _above(scores, found.order, "embedding", float(thresholds[0]), thresholds)
