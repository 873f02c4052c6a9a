"""What a checkpoint answers to each pair, and by how much.

    predicted = the residue with the largest logit; ties: the lowest
    margin = correct logit - largest other logit, in float64 of float32 logits, rounded once

A positive margin is a right answer and a negative one a wrong one; at 0 the lower residue decides.
"""

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.measures import predictions
from grokprobe.task import UNDEFINED, Residues

NO_RESIDUE = 2**16 - 1


def comparable(answers: Residues) -> NDArray[np.uint16]:
    """The answers (p*p,) as predictions are stored; what has none is equal to no prediction."""
    return np.where(answers == UNDEFINED, NO_RESIDUE, answers).astype(np.uint16)


class PairAnswers:
    """What is read of the logits of each pair, (p*p,): `predicted`, and `margins`, float32.

    The margin of a pair without an answer is NaN; its prediction is a residue all the same.
    """

    def __init__(self, answers: Residues) -> None:
        self._answers = answers
        self.predicted = np.zeros(len(answers), dtype=np.uint16)
        self.margins = np.full(len(answers), np.nan, dtype=np.float32)

    def take(self, first: int, logits: NDArray[np.float32]) -> None:
        """The logits (some, p) of the pairs from the row `first` on."""
        rows = slice(first, first + len(logits))
        self.predicted[rows] = predictions(logits)
        known = np.flatnonzero(self._answers[rows] != UNDEFINED)
        L, answers = logits[known], self._answers[rows][known]
        each = np.arange(len(L))
        own = L[each, answers].astype(np.float64)
        L[each, answers] = -np.inf
        self.margins[rows][known] = own - L.max(axis=1)
