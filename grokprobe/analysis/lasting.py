"""What of a run lasts: stretches in which a property held, and series that have come to rest.

A property, test accuracy >= HELD, may be lost again. Of the checkpoints whose value is known, in
the order of their steps, an interval is a stretch as long as can be in which it held: it began in
(previous_step, step] of `gained` and ended in that of `lost`, None if the last checkpoint has it.

A series has reached a plateau where no value of the last WINDOW of the training, from step
(1 - WINDOW) * latest on, differs from the last value by more than TOLERANCE:

    change  = max over those checkpoints of |y - y1|         reached = change <= TOLERANCE

With fewer than FEWEST checkpoints there nothing is said. Source: docs/maths.md, "Lost again".
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec

from grokprobe.analysis.emergence import HELD, Held, held
from grokprobe.analysis.fourier import NEGLIGIBLE

WINDOW = 0.2  # of the steps so far
TOLERANCE = 0.02  # of a share: every series of emergence lies in 0..1
FEWEST = 3

Values = Sequence[float | None]


class Turn(msgspec.Struct, frozen=True):
    """A change seen at `step`, which happened in (previous_step, step].

    previous_step is None if it was so from the first checkpoint.
    """

    step: int
    previous_step: int | None


class Interval(msgspec.Struct, frozen=True):
    """A stretch in which a property held; `lost` is None if it holds at the last checkpoint."""

    gained: Turn
    lost: Turn | None
    checkpoints_held: int


class PlateauRule(msgspec.Struct, frozen=True):
    """Over which part of the steps so far, within what, seen by how many checkpoints at least."""

    window: float = WINDOW
    tolerance: float = TOLERANCE
    checkpoints: int = FEWEST


class Plateau(msgspec.Struct, frozen=True):
    """Whether a series has come to rest; `reached` is None where too few checkpoints tell.

    `since` is from where on every value lies within the tolerance of the last one, `change` the
    largest distance from it in the window.
    """

    reached: bool | None
    since: Held | None
    change: float | None
    checkpoints: int  # with a value, in the window


class Plateaus(msgspec.Struct, frozen=True):
    """The verdict on each series, with the rule and the first step of its window."""

    rule: PlateauRule
    from_step: int
    series: dict[str, Plateau]


def intervals(steps: Sequence[int], values: Values, threshold: float = HELD) -> list[Interval]:
    """Every stretch in which the values were >= threshold; unknown ones are left out."""
    at = [step for step, value in zip(steps, values, strict=True) if value is not None]
    holds = [value >= threshold for value in values if value is not None]
    found, start = [], 0
    for held_here, group in groupby(holds):
        end = start + len(list(group))
        if held_here:
            gained = Turn(at[start], at[start - 1] if start else None)
            lost = Turn(at[end], at[end - 1]) if end < len(at) else None
            found.append(Interval(gained, lost, end - start))
        start = end
    return found


def losses(found: Sequence[Interval]) -> list[Turn]:
    """Where it was lost, each time."""
    return [one.lost for one in found if one.lost]


def regains(found: Sequence[Interval]) -> list[Turn]:
    """Where it was gained once more, after it had been lost."""
    return [one.gained for one in found[1:]]


def plateaus(steps: Sequence[int], series: Mapping[str, Values]) -> Plateaus:
    """Whether each series has come to rest at the last of these checkpoints."""
    first = math.ceil((1 - WINDOW) * steps[-1] - NEGLIGIBLE) if steps else 0
    found = {name: plateau(steps, values, first) for name, values in series.items()}
    return Plateaus(PlateauRule(), first, found)


def plateau(steps: Sequence[int], values: Values, first: int) -> Plateau:
    """Whether one series has, by its window from step `first` on; unknown values are left out."""
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    if not known:
        return Plateau(None, None, None, 0)
    last = known[-1][1]
    distances = [abs(value - last) for _, value in known]
    window = [d for (step, _), d in zip(known, distances, strict=True) if step >= first]
    change, allowed = max(window, default=None), TOLERANCE + NEGLIGIBLE
    enough = len(window) >= FEWEST
    since = held([step for step, _ in known], [-d for d in distances], -allowed)
    return Plateau(max(window) <= allowed if enough else None, since, change, len(window))
