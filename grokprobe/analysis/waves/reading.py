"""The waves of all neurons of a checkpoint, and how these share out frequencies and phases.

Conventions: phases.py, harmonics.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array, frequencies
from grokprobe.analysis.neurons import Neurons, NeuronSums
from grokprobe.analysis.waves.harmonics import Harmonics, read_harmonics
from grokprobe.analysis.waves.phases import Wave, wave
from grokprobe.cached import cached_property

SIGNS = {"sum": 1.0, "difference": -1.0, None: np.nan}  # of phi_b, by the answer's direction
MULTIPLES = (1, 2, 3, 4)  # of the phases that are to be spread evenly


@dataclass(frozen=True)
class Waves:
    """Of each neuron: its frequency (0 where dead), what it reads of a and of b, what it writes.

    `order` is the group's, `direction` the answer's (analysis.basis): None where it is neither sum
    nor difference.
    """

    order: int
    frequency: NDArray[np.int64]
    read: Wave
    read_b: Wave
    written: Wave
    direction: str | None
    harmonics: Harmonics

    @cached_property
    def misalignment(self) -> Array:
        """|phi_a +- phi_b - psi|, wrapped into 0..pi, (neurons,); NaN where a phase is missing."""
        apart = self.read.phase + SIGNS[self.direction] * self.read_b.phase - self.written.phase
        wrapped: Array = np.abs(np.angle(np.exp(1j * apart)))
        return wrapped

    @property
    def mean_misalignment(self) -> float | None:
        """The mean of `misalignment` over the neurons that have one; None without any."""
        known = self.misalignment[~np.isnan(self.misalignment)]
        return float(known.mean()) if known.size else None

    @property
    def resultant(self) -> float | None:
        """How far from even the phases phi_a of a frequency's neurons are: 0 even, 1 all alike.

        The mean over neurons of R_k, k their frequency: the mean over the m of MULTIPLES of
        |mean over the neurons of k of exp(i m phi)|. A neuron that is alone with its frequency is
        left out; None if all are.
        """
        phase = self.read.phase
        has_phase = ~np.isnan(phase)
        _, of_group, counts = np.unique(
            self.frequency[has_phase], return_inverse=True, return_counts=True
        )
        many = counts > 1
        if not many.any():
            return None
        turns = np.exp(1j * np.outer(MULTIPLES, phase[has_phase]))
        sums = [np.bincount(of_group, part) for turn in turns for part in (turn.real, turn.imag)]
        lengths = np.hypot(sums[0::2], sums[1::2]) / counts  # (multiples, groups)
        return float(np.average(lengths.mean(axis=0)[many], weights=counts[many]))

    @property
    def coverage(self) -> float | None:
        """The share of the group's frequencies that a live neuron has; None if all are dead."""
        found = np.unique(self.frequency[self.frequency > 0])
        return found.size / frequencies(self.order).size if found.size else None


def read_waves(
    sums: NeuronSums,
    neurons: Neurons,
    direction: str | None,
    read: Array | None,
    read_b: Array | None,
    written: Array | None,
) -> Waves:
    """The waves of neurons in these matrices, (n, neurons): what they read, and what they write.

    Where nothing is known of what they read, it is their mean over b for each a, and over a for
    each b; where b has no table of its own, a's.
    """
    if read is None:
        read, read_b = sums.means, sums.means_b
    frequency = neurons.frequency
    of_a = wave(read, frequency)
    return Waves(
        len(read),
        frequency,
        of_a,
        of_a if read_b is None else wave(read_b, frequency),
        wave(written, frequency),
        direction,
        read_harmonics(read, sums.explained, frequency),
    )
