"""The phases of neurons: with which phase each reads its frequency, and with which it writes it.

Of a neuron of frequency k in a group of order n, v its column in a matrix with one row for each of
the group's elements,

    v(a) ~ alpha cos(2 pi k a / n + phase)        phase = atan2(-s_k v, c_k v)   in (-pi, pi]

with the rows c_k, s_k of `fourier`. Input phase phi: of the effective embedding of operand a, where
the model has it, else of the neuron's mean over b for each a. Output phase psi: of the neuron-logit
map, over the answers. A neuron is aligned where 2 phi = psi (mod 2 pi). Source: docs/maths.md,
"Phases of neurons"; He et al. 2026.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis
from grokprobe.analysis.probe import Probe

COLUMNS = ("frequency", "fve", "input_phase", "output_phase")
Input = Literal["effective_embedding", "mean_over_b"]


def phases(matrix: Array, frequency: NDArray[np.int64]) -> Array:
    """The phase of each column of `matrix` (n, width) at its frequency (width,), in radians.

    NaN at frequency 0 and at Nyquist, which has no sine, and where the column has nothing there.
    """
    n = len(matrix)
    has_plane = (frequency > 0) & (2 * frequency < n)
    at = np.where(has_plane, frequency, 1) - 1
    u, v = (np.einsum("wn,nw->w", rows[at], matrix) for rows in basis(n))
    is_there = has_plane & (np.hypot(u, v) >= NEGLIGIBLE)
    return np.where(is_there, np.arctan2(-v, u), np.nan)


def read_neurons(probe: Probe, read: Array | None, written: Array | None) -> Array | None:
    """COLUMNS of each neuron, (neurons, 4): frequency 0 and phases NaN where there is none.

    `read` is the effective embedding, `written` the neuron-logit map, both (n, neurons) in the
    order of the group; None where the model lacks them. None where it has no neurons.
    """
    sums, found = probe.neuron_sums, probe.read_neurons
    if sums is None or found is None:
        return None
    given = (sums.means if read is None else read), written
    width, nowhere = len(found.frequency), np.full(len(found.frequency), np.nan)
    both = [
        nowhere if matrix is None or matrix.shape[1] != width else phases(matrix, found.frequency)
        for matrix in given
    ]
    return np.stack([found.frequency, found.fve, *both], axis=1)
