"""Which frequency each neuron computes with, and which neurons form a cluster.

Over the full grid each neuron is centred and taken through the two-dimensional transform in the
basis of `fourier`. FVE_k is the energy of its 8 terms {c0, s0, 0c, 0s, cc, cs, sc, ss} at frequency
k over its total. `frequency` = argmax_k (ties: lowest), `fve` = max_k; a neuron belongs to the
cluster of its frequency if fve >= CLUSTERED. Dead: centred energy at most 1e-12 of the largest
neuron's, or rounding error. Source: docs/maths.md, "Neurons"; Nanda et al. 2023, section 4.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis, first_largest, frequencies
from grokprobe.analysis.logits import add_by_answer
from grokprobe.cached import cached_property

CLUSTERED = 0.85
DEAD = 1e-12


@dataclass(frozen=True)
class Neurons:
    """One entry a neuron, (d_mlp,): frequency (0 where dead), fve (0 where dead), dead."""

    frequency: NDArray[np.int64]
    fve: Array
    dead: NDArray[np.bool_]

    @property
    def clustered(self) -> NDArray[np.bool_]:
        """Which neurons belong to the cluster of their frequency."""
        return self.fve >= CLUSTERED

    @property
    def clusters(self) -> dict[int, int]:
        """The number of neurons of each cluster by frequency, ascending."""
        found, counts = np.unique(self.frequency[self.clustered], return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))

    @property
    def live(self) -> int:
        """How many neurons are not dead."""
        return int(np.sum(~self.dead))

    @property
    def clustered_share(self) -> float | None:
        """The share of live neurons in clusters; None if all are dead."""
        return float(self.clustered.sum() / self.live) if self.live else None

    @property
    def mean_fve(self) -> float | None:
        """The mean fve of live neurons; None if all are dead."""
        return float(self.fve[~self.dead].mean()) if self.live else None


class NeuronSums:
    """What is read of activations (n, n, neurons), from those of one a after another.

    The 8 terms at one frequency never need the two-dimensional transform. With F_g(k) the transform
    of the sums over the pairs of each a, each b, each a + b or each a - b,

        c0^2 + s0^2 + 0c^2 + 0s^2 = (|F_a|^2 + |F_b|^2) / n
        cc^2 + cs^2 + sc^2 + ss^2 = (|F_(a+b)|^2 + |F_(a-b)|^2) / n       (Nyquist: half of it)

    The centred energy is that around the mean of each a, and of these means (Chan et al. 1979);
    a difference of sums of squares would be rounding error of a neuron that hardly varies.
    """

    def __init__(self, order: int) -> None:
        # Over the pairs of each a, b, a + b and a - b; the width comes with the first.
        self._sums, self._energy = np.zeros((4, order, 0)), np.zeros(0)

    def take(self, i: int, values: NDArray[np.floating[Any]]) -> None:
        """The activations (n, neurons) over b of the element i of a."""
        if not self._energy.size:
            self._sums = np.zeros((*self._sums.shape[:2], values.shape[1]))
            self._energy = np.zeros(values.shape[1])
        of_a, of_b, of_sums, of_differences = self._sums
        rows = values.astype(np.float64)
        of_a[i] = rows.sum(axis=0)
        of_b += rows
        add_by_answer(of_sums, rows, i, "sum")
        add_by_answer(of_differences, rows, i, "difference")
        rows -= of_a[i] / len(rows)
        self._energy += np.einsum("ij,ij->j", rows, rows)

    @property
    def means(self) -> Array:
        """The mean of each neuron over b, for each a, (n, neurons)."""
        means: Array = self._sums[0] / self._sums.shape[1]
        return means

    @property
    def means_b(self) -> Array:
        """The mean of each neuron over a, for each b, (n, neurons)."""
        means: Array = self._sums[1] / self._sums.shape[1]
        return means

    @property
    def energy(self) -> Array:
        """The centred energy of each neuron, (neurons,)."""
        means = self.means
        spread = np.sum((means - means.mean(axis=0)) ** 2, axis=0)
        energy: Array = self._energy + len(means) * spread
        return energy

    @cached_property
    def explained(self) -> Array:
        """FVE of each neuron, (frequencies, neurons), once all activations have been taken."""
        of_a, of_b, of_sums, of_differences = self._sums
        share, energy = column_power(of_sums) + column_power(of_differences), self.energy
        if len(of_a) % 2 == 0:
            share[-1] /= 2  # (-1)^(a+b) = (-1)^(a-b): one term, cc, seen twice
        share = (column_power(of_a) + column_power(of_b) + share) / len(of_a)
        share /= np.where(energy > 0, energy, 1.0)
        return share

    @property
    def neurons(self) -> Neurons:
        """Frequency and fve of every neuron, once all activations have been taken."""
        share, energy = self.explained, self.energy
        dead = energy <= np.maximum(DEAD * energy.max(initial=0.0), NEGLIGIBLE**2)
        best = first_largest(share)
        return Neurons(
            frequency=np.where(dead, 0, frequencies(self._sums.shape[1])[best]),
            fve=np.where(dead, 0.0, share[best, np.arange(len(best))]),
            dead=dead,
        )


def column_power(sums: Array) -> Array:
    """Power of each column of (n, neurons) at each frequency: (frequencies, neurons)."""
    cosine, sine = basis(len(sums))
    power: Array = (cosine @ sums) ** 2 + (sine @ sums) ** 2
    return power
