"""The learning order summed over groups of pairs: by answer, by a - b, by mirror, apart by split.

    half = min { t : learnt <= t for at least half of the group's pairs }
    margin = mean margin of the group's pairs at the last checkpoint

There is no half where fewer are learnt. Half of an odd number is rounded up. Like `learnt` it is
the number of a checkpoint.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.pairs.learning import NEVER
from grokprobe.task import Mask

OF_NO_GROUP = -1


class PairSum(NamedTuple):
    """The pairs of one group in one part of the split."""

    group: int
    pairs: int
    learnt: int  # of them
    half: int  # a checkpoint, or NEVER
    lost: int  # in all
    margin: float | None  # None where no checkpoint tells


def sum_pairs(
    groups: NDArray[np.int64],
    part: Mask,
    learnt: NDArray[np.int32],
    lost: NDArray[np.int32],
    margins: NDArray[np.float32],
) -> Iterator[PairSum]:
    """A sum for each group that has pairs in a part of the split, ascending.

    All are (p*p,): `groups` has the group of each pair, OF_NO_GROUP for none.
    """
    chosen = part & (groups != OF_NO_GROUP)
    g, order = groups[chosen], learnt[chosen].astype(np.int64)
    pairs = np.bincount(g)
    known = np.bincount(g, order != NEVER)
    total_lost = np.bincount(g, lost[chosen])
    total_margin = np.bincount(g, margins[chosen].astype(np.float64))
    order[order == NEVER] = last = np.iinfo(np.int64).max
    in_order = order[np.lexsort((order, g))]
    middle = np.cumsum(pairs) - pairs + (pairs + 1) // 2 - 1
    for group in np.flatnonzero(pairs).tolist():
        half = int(in_order[middle[group]])
        margin = float(total_margin[group] / pairs[group])
        yield PairSum(
            group=group,
            pairs=int(pairs[group]),
            learnt=int(known[group]),
            half=NEVER if half == last else half,
            lost=int(total_lost[group]),
            margin=None if np.isnan(margin) else margin,
        )
