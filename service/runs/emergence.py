"""What a view tells of when structure emerged and when generalisation began (docs/maths.md)."""

import msgspec

from grokprobe.analysis.emergence import (
    LEVELS,
    Held,
    Lag,
    Level,
    Phases,
    Transition,
    lag,
    phases,
    transition,
)
from grokprobe.analysis.lasting import (
    Interval,
    Plateaus,
    Turn,
    intervals,
    losses,
    plateaus,
    regains,
)
from grokprobe.analysis.nulls import OF_KEYS
from grokprobe.store.records import KeyRecord, NullRecord
from service.runs.view import RunView


class EmergenceAnswer(msgspec.Struct):
    """Brackets, transitions, lags and phases of a run; null for what has not happened.

    `generalised` is what lasts up to the last checkpoint, `intervals` all that held for a while.
    `nulls` are of the final embedding: structure that chance would show too is none.
    """

    run: str
    provisional: bool  # the run goes on
    memorised: Held | None
    generalised: Held | None
    intervals: list[Interval]  # in which test accuracy held
    lost: list[Turn]  # where it ceased to hold, each time
    regained: list[Turn]
    plateaus: Plateaus
    series: dict[str, Transition]
    lags: dict[str, dict[Level, Lag | None]]
    phases: Phases
    keys: KeyRecord | None
    nulls: list[NullRecord]


GENERALISATION = "test_accuracy"
STRUCTURE = ("key_share", "restricted_accuracy", "neurons_clustered")


def _series(view: RunView, name: str) -> list[float | None]:
    """A scalar measure at every checkpoint."""
    values = (view.measure(step, name) for step in view.steps)
    return [None if isinstance(value, dict) else value for value in values]


def _lags(structure: Transition, test: Transition) -> dict[Level, Lag | None]:
    return {level: lag(structure, test, level) for level in LEVELS}


def _nulls(view: RunView) -> list[NullRecord]:
    """The nulls of the final embedding; those of the run's own keys only where they are asked."""
    found = view.completion.nulls if view.completion else []
    return [null for null in found if not (view.given and null.statistic in OF_KEYS)]


def answer_emergence(view: RunView) -> EmergenceAnswer:
    """What the checkpoints published so far tell."""
    steps, series = view.steps, {n: _series(view, n) for n in (GENERALISATION, *STRUCTURE)}
    found = {name: transition(steps, values) for name, values in series.items()}
    test, memorised = found[GENERALISATION], view.held("train_accuracy")
    stretches = intervals(steps, series[GENERALISATION])
    return EmergenceAnswer(
        run=view.manifest.run,
        provisional=view.provisional,
        memorised=memorised,
        generalised=view.held("test_accuracy"),
        intervals=stretches,
        lost=losses(stretches),
        regained=regains(stretches),
        plateaus=plateaus(steps, series),
        series=found,
        lags={name: _lags(found[name], test) for name in STRUCTURE},
        phases=phases(memorised, test),
        keys=view.keys,
        nulls=_nulls(view),
    )
