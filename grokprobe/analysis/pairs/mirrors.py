"""Whether early test successes come from commutativity: the mirror (b, a) was trained on.

    mirrored[a, b] = train[b, a], of the test pairs
    right, right_mirrored = test pairs that are answered right, and those of them that are mirrored
    share = right_mirrored / right;   what chance gives is `mirrored` / `test pairs`
    explained = share - accuracy_others * mirrored / right

`explained` is the part of the successes that would be missing if mirrored pairs were answered right
as seldom as the others are: about 0 where mirrors do not matter (and in a run that has
generalised), near 1 where a network has learnt that order does not matter and nothing else. It is
no explanation where the operation does not commute: that is read from the table of answers, never
from its name. A pair of the diagonal is its own mirror: of the test pairs it is never mirrored.
"""

from typing import NamedTuple

import numpy as np

from grokprobe.task import Mask, Residues


class MirrorCounts(NamedTuple):
    """The test pairs at one checkpoint; None where a denominator is 0."""

    right: int
    right_mirrored: int
    share: float | None
    accuracy_mirrored: float | None
    accuracy_others: float | None
    explained: float | None


class Mirrors:
    """The test pairs of a split and their mirrors."""

    def __init__(self, test: Mask, train: Mask) -> None:
        """Masks (p*p,) over all pairs."""
        self._test, self._mirrored = test, test & mirror(train)
        self.test, self.mirrored = int(test.sum()), int(self._mirrored.sum())

    def count(self, right: Mask) -> MirrorCounts:
        """What is right (p*p,) of them."""
        found = int(np.count_nonzero(right & self._test))
        of_mirrored = int(np.count_nonzero(right & self._mirrored))
        others = _ratio(found - of_mirrored, self.test - self.mirrored)
        share, chance = _ratio(of_mirrored, found), _ratio(self.mirrored, found)
        explained = None
        if share is not None and chance is not None and others is not None:
            explained = share - others * chance
        return MirrorCounts(
            right=found,
            right_mirrored=of_mirrored,
            share=share,
            accuracy_mirrored=_ratio(of_mirrored, self.mirrored),
            accuracy_others=others,
            explained=explained,
        )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def mirror(of_pairs: Mask) -> Mask:
    """What holds of the mirror (b, a) of each pair (a, b), (p*p,)."""
    p = round(len(of_pairs) ** 0.5)
    return of_pairs.reshape(p, p).T.ravel()


def commutes(answers: Residues) -> bool:
    """Whether every pair has the answer of its mirror, from the answers (p*p,)."""
    p = round(len(answers) ** 0.5)
    table = answers.reshape(p, p)
    return bool(np.array_equal(table, table.T))
