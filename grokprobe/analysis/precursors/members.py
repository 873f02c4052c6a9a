"""What a member of a group brings to a study: its series, and when it generalised first.

A member generalised where its first interval (`analysis.lasting`) begins, also where it lost it
again. Of a series and a threshold it crosses at the first checkpoint at which a known value is on
the threshold or beyond it: in (previous_step, step], by the known checkpoint before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.lasting import Turn, intervals
from grokprobe.analysis.measures_table import MEASURES
from grokprobe.cached import cached_property

GENERALISATION = "test_accuracy"
NAMES = tuple(measure.name for measure in MEASURES)

Direction = Literal["above", "below"]
SIGNS: dict[Direction, int] = {"above": 1, "below": -1}


class Threshold(msgspec.Struct, frozen=True):
    """A value that a series reaches from the other side: `above` where it is at least that.

    `margin` is the distance to the nearest extreme of a member that it was chosen by.
    """

    direction: Direction
    value: float
    margin: float


@dataclass(frozen=True)
class Member:
    """A run: `steps` (n,) ascending, each series (n,) with NaN where it has no value."""

    run: str
    seed: int | None
    modulus: int
    status: str  # as a run's in store: running, complete, stopped, failed
    steps: NDArray[np.int64]
    series: Mapping[str, Array]

    @cached_property
    def generalised(self) -> Turn | None:
        """Where it did first; None if it never has."""
        accuracy = self.series.get(GENERALISATION)
        if accuracy is None:
            return None
        values = [None if np.isnan(value) else value for value in accuracy.tolist()]
        found = intervals(self.steps.tolist(), values)
        return found[0].gained if found else None

    def values(self, name: str) -> Array | None:
        """The values by which a threshold is chosen: those before it generalised, else all.

        None where the series has no value at all.
        """
        values = self.series.get(name)
        if values is None:
            return None
        end = self.generalised.step if self.generalised else np.inf
        before = values[self.steps < end]
        return before[~np.isnan(before)]

    def crossing(self, name: str, threshold: Threshold) -> Turn | None:
        """Where a series crosses a threshold first; None if it never does."""
        known = ~np.isnan(self.series[name])
        steps, values = self.steps[known], self.series[name][known]
        sign = SIGNS[threshold.direction]
        there = sign * values >= sign * threshold.value
        if not there.any():
            return None
        first = int(np.argmax(there))
        return Turn(int(steps[first]), int(steps[first - 1]) if first else None)


def member(
    run: str,
    seed: int | None,
    modulus: int,
    status: str,
    measures: Mapping[int, Mapping[str, object]],
) -> Member:
    """A member from its measures by step.

    What is not one number, or is not in the table of measures, is no series; nor is one without a
    value.
    """
    steps = sorted(measures)
    found = {name: _series([measures[step].get(name) for step in steps]) for name in NAMES}
    there = {name: values for name, values in found.items() if not np.isnan(values).all()}
    return Member(run, seed, modulus, status, np.array(steps, dtype=np.int64), there)


def _series(values: list[object]) -> Array:
    return np.array([v if isinstance(v, (int, float)) else np.nan for v in values], dtype=float)
