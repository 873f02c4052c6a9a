"""The wave that each neuron reads at its frequency, and the wave that it writes there.

Of a neuron of frequency k in a group of order n, v its column in a matrix with one row for each of
the group's elements,

    v(a) ~ amplitude cos(2 pi k a / n + phase)      amplitude = sqrt(2/n) |(c_k v, s_k v)|
                                                    phase = atan2(-s_k v, c_k v)   in (-pi, pi]

with the rows c_k, s_k of `fourier`. phi_a and phi_b are the phases of what it reads of the
operands, psi that of what it writes. It is aligned where phi_a + phi_b = psi (mod 2 pi), phi_a -
phi_b where the answer is a difference; of one table for both operands 2 phi = psi, or 0 = psi.
Source: docs/maths.md, "Phases of neurons", which says what of the papers has been read.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis


@dataclass(frozen=True)
class Wave:
    """Amplitude and phase, in radians, of each column at its frequency, (width,)."""

    amplitude: Array
    phase: Array


def wave(matrix: Array | None, frequency: NDArray[np.int64]) -> Wave:
    """The wave of each column of `matrix` (n, width) at its frequency (width,).

    NaN at frequency 0 and at Nyquist, which has no sine; the phase where the column has nothing
    there too. All NaN where there is no matrix, or not with a column for each frequency.
    """
    if matrix is None or matrix.shape[1] != len(frequency):
        nowhere = np.full(len(frequency), np.nan)
        return Wave(nowhere, nowhere)
    n = len(matrix)
    has_plane = (frequency > 0) & (2 * frequency < n)
    at = np.where(has_plane, frequency, 1) - 1, np.arange(len(frequency))
    u, v = ((rows @ matrix)[at] for rows in basis(n))
    norm = np.hypot(u, v)
    is_there = has_plane & (norm >= NEGLIGIBLE)
    return Wave(
        amplitude=np.where(has_plane, np.sqrt(2 / n) * norm, np.nan),
        phase=np.where(is_there, np.arctan2(-v, u), np.nan),
    )
