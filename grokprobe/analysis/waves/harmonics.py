"""How much of what a neuron reads is a wave with its odd harmonics, as a square wave is.

Of a neuron of frequency f in a group of order n: the frequencies f, 3f and 5f are folded into
0..n/2, m f becoming min(m f mod n, n - m f mod n), and each is counted once: a harmonic that folds
onto the constant, onto f or onto an earlier one has nothing of its own. Source: docs/maths.md,
"Harmonics of neurons", which says what of the papers has been read.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array
from grokprobe.analysis.neurons import column_power

MULTIPLES = (1, 3, 5)


@dataclass(frozen=True)
class Harmonics:
    """Of each neuron at f, 3f and 5f: `input_share` (3, neurons), and `fve` of all, (neurons,).

    `input_share` is of the power of what it reads of operand a, the constant excluded; `fve` of its
    activations' variance over all pairs. NaN where dead, and where nothing that it reads varies.
    """

    input_share: Array
    fve: Array

    def mean_share(self, i: int) -> float | None:
        """The mean of `input_share[i]` over the neurons that have one; None without any."""
        return _mean(self.input_share[i])

    @property
    def mean_fve(self) -> float | None:
        """The mean of `fve` over live neurons; None if all are dead."""
        return _mean(self.fve)


def read_harmonics(read: Array, explained: Array, frequency: NDArray[np.int64]) -> Harmonics:
    """Those of neurons of these frequencies, (neurons,), 0 where dead.

    `read` (n, neurons) is what they read of a, `explained` (frequencies, neurons) their FVE.
    """
    folded, nowhere = fold(frequency, len(read)), np.full(len(frequency), np.nan)
    fve = np.where(frequency > 0, _take(explained, folded).sum(axis=0), nowhere)
    if read.shape[1] != len(frequency):
        return Harmonics(np.stack([nowhere] * len(MULTIPLES)), fve)
    power = column_power(read)
    total = power.sum(axis=0)
    varies = (frequency > 0) & (total >= NEGLIGIBLE**2)
    share = _take(power, folded) / np.where(varies, total, 1.0)
    return Harmonics(np.where(varies, share, np.nan), fve)


def fold(frequency: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """f, 3f and 5f in 0..order/2, (3, neurons): 0 where one is the constant, or there already."""
    turns = np.outer(MULTIPLES, frequency) % order
    folded: NDArray[np.int64] = np.minimum(turns, order - turns)
    for i in range(1, len(MULTIPLES)):
        folded[i, (folded[i] == folded[:i]).any(axis=0)] = 0
    return folded


def _take(power: Array, folded: NDArray[np.int64]) -> Array:
    """The power (frequencies, neurons) of each neuron at its frequencies, 0 at 0: as `folded`."""
    taken: Array = power[folded - 1, np.arange(power.shape[1])]
    return np.where(folded > 0, taken, 0.0)


def _mean(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
