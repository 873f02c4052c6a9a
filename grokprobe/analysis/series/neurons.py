"""What a series over a run has of each neuron: its frequency, its waves and harmonics.

The input phases are those of the effective embedding of each operand, where the model has it, else
of the neuron's mean over b for each a, and over a for each b.
"""

from typing import Literal

import numpy as np

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.probe import Probe

COLUMNS = (
    "frequency",
    "fve",
    "input_phase",
    "output_phase",
    "input_phase_b",
    "input_amplitude",
    "input_amplitude_b",
    "output_amplitude",
    "misalignment",
    *("input_share_f", "input_share_3f", "input_share_5f"),
    "fve_harmonics",
)
Input = Literal["effective_embedding", "mean_over_b"]


def read_neurons(probe: Probe) -> Array | None:
    """COLUMNS of each neuron, (neurons, columns): NaN where there is none, but of frequency 0.

    None where the model has no neurons.
    """
    found, waves = probe.read_neurons, probe.waves
    if found is None or waves is None:
        return None
    of_a, of_b, written = waves.read, waves.read_b, waves.written
    columns = (
        *(found.frequency, found.fve),
        *(of_a.phase, written.phase, of_b.phase),
        *(of_a.amplitude, of_b.amplitude, written.amplitude),
        waves.misalignment,
        *(*waves.harmonics.input_share, waves.harmonics.fve),
    )
    return np.stack(columns, axis=1)
