"""When each pair was learnt, from what one checkpoint after another answers to it.

    right[t] = predicted[t] == answer, for the checkpoints t = 0, 1, ... in the order of their steps
    learnt = min { t : right[u] for every u >= t }, none where the last is wrong
    lost = number of t >= 1 with right[t - 1] and not right[t]

A pair is learnt between two checkpoints, learnt - 1 and learnt: always that bracket. What it does
between them is not seen, so `lost` is a lower bound; while a run goes on, or is read up to some
step, the last checkpoint decides. A pair without an answer is never right.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.pairs.answers import comparable
from grokprobe.task import Mask, Residues

Masked = np.ma.MaskedArray[tuple[int, ...], np.dtype[np.int64]]
NEVER = -1  # what is not right at the last checkpoint


class LearningOrder:
    """Of all checkpoints so far: `learnt` (p*p,), a checkpoint's number or NEVER; `lost` (p*p,)."""

    def __init__(self, answers: Residues) -> None:
        self._answers = comparable(answers)
        self._right = np.zeros(len(answers), dtype=np.bool_)
        self.learnt = np.full(len(answers), NEVER, dtype=np.int32)
        self.lost = np.zeros(len(answers), dtype=np.int32)
        self.checkpoints = 0

    def take(self, predicted: NDArray[np.unsignedinteger]) -> Mask:
        """What the next checkpoint predicts (p*p,); returns where it is right."""
        right: Mask = predicted == self._answers
        changed = np.flatnonzero(right != self._right)
        gained = right[changed]
        self.learnt[changed] = np.where(gained, self.checkpoints, NEVER)
        self.lost[changed[~gained]] += 1
        self._right = right
        self.checkpoints += 1
        return right


def bracket(steps: ArrayLike, learnt: NDArray[np.int32]) -> tuple[Masked, Masked]:
    """The step of each number of a checkpoint, and the one before: masked where there is none."""
    padded = np.concatenate([np.asarray(steps, dtype=np.int64), [0, 0]])
    step = np.ma.masked_array(padded[learnt], learnt == NEVER)
    previous = np.ma.masked_array(padded[learnt - 1], learnt <= 0)
    return step, previous
