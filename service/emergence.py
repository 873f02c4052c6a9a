"""What a view tells of when structure emerged and when generalisation began (docs/maths.md)."""

from grokprobe.analysis.emergence import LEVELS, Lag, Level, Transition, lag, phases, transition
from service.schemas.runs import EmergenceAnswer
from service.views import View

GENERALISATION = "test_accuracy"
STRUCTURE = ("key_share", "restricted_accuracy", "neurons_clustered")


def _series(view: View, name: str) -> list[float | None]:
    """A scalar measure at every checkpoint."""
    values = (view.measure(step, name) for step in view.steps)
    return [None if isinstance(value, dict) else value for value in values]


def _lags(structure: Transition, test: Transition) -> dict[Level, Lag | None]:
    return {level: lag(structure, test, level) for level in LEVELS}


def answer_emergence(view: View) -> EmergenceAnswer:
    """What the checkpoints published so far tell."""
    found = {
        name: transition(view.steps, _series(view, name)) for name in (GENERALISATION, *STRUCTURE)
    }
    test, memorised = found[GENERALISATION], view.held("train_accuracy")
    return EmergenceAnswer(
        run=view.manifest.run,
        provisional=view.provisional,
        memorised=memorised,
        generalised=view.held("test_accuracy"),
        series=found,
        lags={name: _lags(found[name], test) for name in STRUCTURE},
        phases=phases(memorised, test),
        keys=view.keys,
        nulls=view.completion.nulls if view.completion else [],
    )
