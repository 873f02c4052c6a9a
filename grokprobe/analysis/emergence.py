"""When, over a run's checkpoints, something became true (docs/maths.md, "Emergence over a run").

A step is known only to lie between two checkpoints, so every answer carries its bracket. For a
series y with y0 its first and y1 its final value, rise = y1 - y0: `onset`, `midpoint` and `settled`
are the first crossings of 10 %, 50 % and 90 % of the rise, linear in steps between checkpoints. A
rise below RISE is no transition. The lag of a structure series is its crossing minus that of the
test accuracy: negative where structure comes first.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from grokprobe.analysis.fourier import NEGLIGIBLE

HELD = 0.99  # the accuracy from which a split counts as memorised or generalised
RISE = 0.1  # below this a series has no transition

Level = Literal["onset", "midpoint", "settled"]
LEVELS: dict[Level, float] = {"onset": 0.1, "midpoint": 0.5, "settled": 0.9}


class Held(msgspec.Struct, frozen=True):
    """A property that holds from `step` up to the last checkpoint.

    It became true somewhere in (previous_step, step]; previous_step is None if the first
    checkpoint already had it. Seen at the last checkpoint only: `confirmed` is False.
    """

    step: int
    previous_step: int | None
    checkpoints_held: int
    confirmed: bool


class Crossing(msgspec.Struct, frozen=True):
    """Where a series crossed a level: interpolated, and the checkpoints on either side."""

    step: float
    low: int
    high: int


class Transition(msgspec.Struct, frozen=True):
    """A series' rise and its crossings, all None where it rose by less than RISE."""

    rise: float | None
    onset: Crossing | None = None
    midpoint: Crossing | None = None
    settled: Crossing | None = None


class Lag(msgspec.Struct, frozen=True):
    """Steps by which a structure series crossed after the test accuracy, with the bracket.

    `resolved` is False where the bracket contains 0: the checkpoints do not tell which came first.
    `relative` is in units of the test accuracy's own transition, settled - onset; None where that
    lies within one checkpoint interval.
    """

    steps: float
    low: int
    high: int
    resolved: bool
    relative: float | None


class Phase(msgspec.Struct, frozen=True):
    """A part of training, in steps."""

    start: float
    end: float


class Phases(msgspec.Struct, frozen=True):
    """Nanda et al.'s phases (2023, section 5.2); None for one that has not ended or has no room."""

    memorisation: Phase | None
    circuit_formation: Phase | None
    cleanup: Phase | None


def held(
    steps: Sequence[int], values: Sequence[float | None], threshold: float = HELD
) -> Held | None:
    """The first checkpoint from which every value is >= threshold; None if the last is below."""
    count = 0
    for value in reversed(values):
        if value is None or value < threshold:
            break
        count += 1
    if count == 0:
        return None
    first = len(steps) - count
    return Held(
        step=steps[first],
        previous_step=steps[first - 1] if first else None,
        checkpoints_held=count,
        confirmed=count > 1,
    )


def crossing(steps: Sequence[int], values: Sequence[float], level: float) -> Crossing | None:
    """The first place where a series reaches `level` from below; None if it never does.

    A series that begins at the level or above crosses at its first checkpoint.
    """
    for i, value in enumerate(values):
        if value < level:
            continue
        if i == 0:
            return Crossing(steps[0], steps[0], steps[0])
        before, low, high = values[i - 1], steps[i - 1], steps[i]
        return Crossing(low + (high - low) * (level - before) / (value - before), low, high)
    return None


def transition(steps: Sequence[int], values: Sequence[float | None]) -> Transition:
    """The rise and the crossings of a series; checkpoints without a value are left out."""
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    if not known:
        return Transition(rise=None)
    at, series = [step for step, _ in known], [value for _, value in known]
    rise = series[-1] - series[0]
    if rise < RISE - NEGLIGIBLE:  # .6 - .5 is a rise of .1
        return Transition(rise=rise)
    found = {name: crossing(at, series, series[0] + part * rise) for name, part in LEVELS.items()}
    return Transition(rise, found["onset"], found["midpoint"], found["settled"])


def lag(structure: Transition, test: Transition, level: Level) -> Lag | None:
    """By how many steps a structure series follows the test accuracy; None where either is None."""
    ours: Crossing | None = getattr(structure, level)
    theirs: Crossing | None = getattr(test, level)
    if ours is None or theirs is None:
        return None
    low, high, steps = ours.low - theirs.high, ours.high - theirs.low, ours.step - theirs.step
    return Lag(steps, low, high, not low <= 0 <= high, _relative(steps, test))


def _relative(steps: float, test: Transition) -> float | None:
    """A lag in units of the test accuracy's own transition."""
    if test.onset is None or test.settled is None:
        return None
    if (test.onset.low, test.onset.high) == (test.settled.low, test.settled.high):
        return None
    return steps / (test.settled.step - test.onset.step)


def phases(memorised: Held | None, test: Transition) -> Phases:
    """Memorisation, circuit formation up to the onset of test accuracy, cleanup to settled."""
    onset = test.onset.step if test.onset else None
    settled = test.settled.step if test.settled else None
    learnt = memorised.step if memorised else None
    return Phases(
        memorisation=None if learnt is None else Phase(0, learnt),
        circuit_formation=_between(learnt, onset),
        cleanup=_between(onset, settled),
    )


def _between(start: float | None, end: float | None) -> Phase | None:
    return None if start is None or end is None or end < start else Phase(start, end)
