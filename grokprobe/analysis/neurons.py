"""Which frequency each neuron computes with, and which neurons form a cluster.

Over the full grid each neuron is centred and taken through the two-dimensional transform in the
basis of `fourier`. FVE_k is the energy of its 8 terms {c0, s0, 0c, 0s, cc, cs, sc, ss} at frequency
k over its total. `frequency` = argmax_k (ties: lowest), `fve` = max_k; a neuron belongs to the
cluster of its frequency if fve >= CLUSTERED. Dead: centred energy at most 1e-12 of the largest
neuron's. Source: MATHS, "Neurons"; Nanda et al. 2023, section 4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import Array, basis, frequencies

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
    """FVE (frequencies, neurons) and centred energy (neurons,) of activations (n, n, neurons)."""
    N = np.asarray(activations, dtype=np.float64)
    n = N.shape[0]
    N = N - N.mean(axis=(0, 1))
    cosine, sine = basis(n)
    along_b = np.tensordot(np.concatenate([cosine, sine]), N, axes=(1, 1))  # (2k, a, neurons)
    mixed = np.zeros((len(cosine), N.shape[2]))
    for k in range(len(cosine)):  # both factors at the same frequency: cc, cs, sc, ss
        rows = along_b[[k, k + len(cosine)]]  # (2, a, neurons)
        mixed[k] = sum(
            np.sum(np.tensordot(w[k], rows, axes=(0, 1)) ** 2, axis=0) for w in (cosine, sine)
        )
    alone = _energy(N.sum(axis=1), cosine, sine) + _energy(N.sum(axis=0), cosine, sine)
    energy = np.einsum("abm,abm->m", N, N)
    return (mixed + alone / n) / np.where(energy > 0, energy, 1.0), energy


def _energy(sums: Array, cosine: Array, sine: Array) -> Array:
    """Energy of (n, neurons) at each frequency: the terms that depend on one operand alone."""
    energy: Array = (cosine @ sums) ** 2 + (sine @ sums) ** 2
    return energy


def read_neurons(activations: ArrayLike) -> Neurons:
    """Frequency and fve of every neuron from its activations over all pairs, (n, n, neurons)."""
    share, energy = explained(activations)
    dead = energy <= DEAD * energy.max(initial=0.0)
    best = share.argmax(axis=0)
    return Neurons(
        frequency=np.where(dead, 0, frequencies(np.shape(activations)[0])[best]),
        fve=np.where(dead, 0.0, share[best, np.arange(len(best))]),
        dead=dead,
    )
