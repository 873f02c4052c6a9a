"""Which frequency each neuron computes with, and which neurons form a cluster.

Over the full grid each neuron is centred and taken through the two-dimensional transform in the
basis of `fourier`. FVE_k is the energy of its 8 terms {c0, s0, 0c, 0s, cc, cs, sc, ss} at frequency
k over its total. `frequency` = argmax_k (ties: lowest), `fve` = max_k; a neuron belongs to the
cluster of its frequency if fve >= CLUSTERED. Dead: centred energy at most 1e-12 of the largest
neuron's, or rounding error. Source: docs/maths.md, "Neurons"; Nanda et al. 2023, section 4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis, first_largest, frequencies
from grokprobe.analysis.logits import by_answer

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


def explained(activations: ArrayLike) -> tuple[Array, Array]:
    """FVE (frequencies, neurons) and centred energy (neurons,) of activations (n, n, neurons).

    The 8 terms at one frequency never need the two-dimensional transform. With F_g(k) the transform
    of the sums over the pairs of each a, each b, each a + b or each a - b,

        c0^2 + s0^2 + 0c^2 + 0s^2 = (|F_a|^2 + |F_b|^2) / n
        cc^2 + cs^2 + sc^2 + ss^2 = (|F_(a+b)|^2 + |F_(a-b)|^2) / n       (Nyquist: half of it)
    """
    N = np.asarray(activations)
    n = len(N)
    of_a, of_b = (N.sum(axis=other, dtype=np.float64) for other in (1, 0))
    mixed = _power(by_answer(N, "sum")) + _power(by_answer(N, "difference"))
    if n % 2 == 0:
        mixed[-1] /= 2  # (-1)^(a+b) = (-1)^(a-b): one term, cc, seen twice
    mean = of_a.sum(axis=0) / n**2
    energy: Array = np.sum([np.sum((rows - mean) ** 2, axis=0) for rows in N], axis=0)
    share = (_power(of_a) + _power(of_b) + mixed) / n / np.where(energy > 0, energy, 1.0)
    return share, energy


def _power(sums: Array) -> Array:
    """Power of each column of (n, neurons) at each frequency: (frequencies, neurons)."""
    cosine, sine = basis(len(sums))
    power: Array = (cosine @ sums) ** 2 + (sine @ sums) ** 2
    return power


def read_neurons(activations: ArrayLike) -> Neurons:
    """Frequency and fve of every neuron from its activations over all pairs, (n, n, neurons)."""
    share, energy = explained(activations)
    dead = energy <= np.maximum(DEAD * energy.max(initial=0.0), NEGLIGIBLE**2)
    best = first_largest(share)
    return Neurons(
        frequency=np.where(dead, 0, frequencies(np.shape(activations)[0])[best]),
        fve=np.where(dead, 0.0, share[best, np.arange(len(best))]),
        dead=dead,
    )
