"""The threshold of a series that tells members that will generalise from those that never do.

With m_i the largest value of a series before member i generalised, M_j the largest value of a
member j that never does, P and N members of either kind, a threshold t, `above`, has

    hits = #{m_i >= t}      false alarms = #{M_j >= t}      J = hits / P - false alarms / N

(Youden 1950). J changes only at those P + N values: t is the middle of the widest gap between
neighbours of them in which J is largest, so that it is as far from every member as can be. `below`
is the same of -y. Of both the one with the larger J, then the wider gap, then `above`. Without a
positive J there is none. Source: docs/maths.md, "Precursors".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.precursors.members import SIGNS, Threshold


class _Gap(NamedTuple):
    """J times P N, a whole number, and the neighbours that the threshold lies between."""

    score: int
    low: float
    high: float


def choose(generalised: Sequence[Array], never: Sequence[Array]) -> Threshold | None:
    """The best threshold of a series, by its known values in members of either kind.

    Those of `generalised` are from before it and may be none; those of `never` at least one each.
    None without members of both kinds, or if no threshold tells more hits than false alarms.
    """
    found = None
    for direction, sign in SIGNS.items():
        gap = _widest([sign * values for values in generalised], [sign * v for v in never])
        if gap and (found is None or _rank(gap) > _rank(found[1])):
            found = direction, gap
    if found is None:
        return None
    direction, gap = found
    value = _middle(gap)
    return Threshold(direction, SIGNS[direction] * value, min(value - gap.low, gap.high - value))


def _widest(generalised: Sequence[Array], never: Sequence[Array]) -> _Gap | None:
    """The widest gap of the largest J, of thresholds above."""
    if not generalised or not never:
        return None
    ours = np.sort([values.max(initial=-np.inf) for values in generalised])
    theirs = np.sort([values.max() for values in never])
    levels = np.unique(np.concatenate((ours[np.isfinite(ours)], theirs)))
    hits = len(ours) - np.searchsorted(ours, levels)
    alarms = len(theirs) - np.searchsorted(theirs, levels)
    scores = hits * len(theirs) - alarms * len(ours)
    if scores.max() <= 0:
        return None
    # At the lowest level every member that never generalises is a false alarm: it is not the best.
    best = np.flatnonzero(scores == scores.max())
    with np.errstate(over="ignore"):  # of the largest floats
        widest = best[np.argmax(levels[best] - levels[best - 1])]
    return _Gap(int(scores.max()), float(levels[widest - 1]), float(levels[widest]))


def _rank(gap: _Gap) -> tuple[int, float]:
    return gap.score, gap.high - gap.low


def _middle(gap: _Gap) -> float:
    """Above `low`, whatever floats there are between the two."""
    middle = gap.low / 2 + gap.high / 2
    return middle if gap.low < middle <= gap.high else gap.high
