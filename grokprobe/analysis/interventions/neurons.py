"""Neurons taken out, through the neuron-logit map: where the logits are

    logits = direct + N W_L^T      N (pairs, d_mlp), W_L (p, d_mlp), direct without any neuron

but for the rounding of float32: to LINEAR of their range.
A neuron that is taken out has its value at every pair replaced by r: 0, or its mean over the pairs.
What its removal changes is the matrix (N_j - r_j) W_L,j of rank one, whose Frobenius norm is the
norm by which neurons are matched. Source: docs/maths.md, "Interventions".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import Outputs

BLOCK_PAIRS = 512
# Of the logits' range, ten times what rounding is: 2e-7 to 3e-7 in models of ours.
LINEAR = 3e-6


@dataclass(frozen=True)
class WithoutNeurons:
    """A network whose neurons can be taken out: logits (pairs, p), neurons (pairs, d_mlp).

    `direct` (pairs, p) are the logits without any neuron, `replacement` (d_mlp,) what stands for
    one that is taken out.
    """

    logits: Outputs
    neurons: Outputs
    neuron_logit_map: Outputs  # (p, d_mlp)
    direct: Outputs
    replacement: NDArray[np.float32]

    def without(self, removed: Sequence[int]) -> Iterator[Outputs]:
        """The logits without these neurons, in blocks of consecutive pairs.

        By what goes or by what stays, whichever are fewer.
        """
        width = self.neurons.shape[1]
        gone = np.isin(np.arange(width), removed)
        less = len(removed) <= width / 2
        used = np.flatnonzero(gone if less else ~gone)
        weights = np.ascontiguousarray(self.neuron_logit_map.T[used])
        off = self.replacement[used] @ weights
        instead = self.replacement[gone] @ self.neuron_logit_map.T[gone]
        for start in range(0, len(self.logits), BLOCK_PAIRS):
            rows = slice(start, start + BLOCK_PAIRS)
            added = np.take(self.neurons[rows], used, axis=1) @ weights
            yield self.logits[rows] - (added - off) if less else self.direct[rows] + added + instead

    @property
    def norms(self) -> Array:
        """How much the removal of each neuron alone changes the logits, (d_mlp,)."""
        of_map = np.linalg.norm(self.neuron_logit_map.astype(np.float64), axis=0)
        norms: Array = change_norms(self.neurons, self.replacement) * of_map
        return norms


def change_norms(neurons: Outputs, replacement: NDArray[np.float32]) -> Array:
    """How much each neuron changes over the pairs where it is replaced, (d_mlp,)."""
    squares = np.zeros(neurons.shape[1])
    for start in range(0, len(neurons), BLOCK_PAIRS):
        rows = np.subtract(neurons[start : start + BLOCK_PAIRS], replacement, dtype=np.float64)
        squares += np.square(rows).sum(axis=0)
    norms: Array = np.sqrt(squares)
    return norms


def added_by(neurons: Outputs, neuron_logit_map: Outputs) -> Array:
    """What neurons (pairs, d_mlp) add to the logits through their map (p, d_mlp): (pairs, p)."""
    weights = neuron_logit_map.T.astype(np.float64)
    added = np.empty((len(neurons), weights.shape[1]))
    for start in range(0, len(neurons), BLOCK_PAIRS):
        rows = slice(start, start + BLOCK_PAIRS)
        added[rows] = neurons[rows].astype(np.float64) @ weights
    return added


def miss(logits: Outputs, direct: Outputs, added: Array) -> float:
    """By how much `direct` and what the neurons add miss a logit at most, all (pairs, p)."""
    return float(np.abs(direct + added - logits).max(initial=0.0))


def is_linear(logits: Outputs, missed: float) -> bool:
    """Whether rounding explains what the map misses of the logits (pairs, p)."""
    return missed <= LINEAR * float(np.ptp(logits))
