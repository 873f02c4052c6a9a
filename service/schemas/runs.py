"""The JSON of answers about runs and checkpoints as a whole; measures: docs/maths.md."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from grokprobe.analysis.emergence import Held, Lag, Level, Phases, Transition
from grokprobe.store.manifest import (
    KeyRecord,
    LearningCoefficient,
    Measure,
    ModelRecord,
    NullRecord,
    Status,
    TaskRecord,
)
from service.schemas.probes import BasisAnswer

# -- runs and checkpoints ------------------------------------------------------------------------


class RunRow(msgspec.Struct):
    """A run in the list; `architecture` is the family's name."""

    run: str
    group: str | None  # what it shares with runs that are studied together
    operation: str
    modulus: int
    architecture: str
    seed: int | None
    status: Status
    latest_step: int | None
    checkpoint_count: int
    test_accuracy: float | None
    created_at: datetime


class RunList(msgspec.Struct):
    """A page of runs in the order of their names; `next` is the cursor of the following page."""

    runs: list[RunRow]
    next: str | None


class RunAnswer(msgspec.Struct):
    """A run; steps are null until they are reached."""

    run: str
    group: str | None
    created_at: datetime
    status: Status
    task: TaskRecord
    architecture: dict[str, Any]
    optimiser: dict[str, Any]
    seed: int | None
    checkpoint_count: int
    first_step: int | None
    latest_step: int | None
    memorised_step: int | None
    generalised_step: int | None
    key_frequencies: list[int] | None


class CheckpointRow(msgspec.Struct):
    """A checkpoint in the list."""

    step: int
    created_at: datetime
    train_loss: float | None
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    weight_norm: float | None
    gini_embedding: float | None
    sha256: str
    bytes: int


class CheckpointList(msgspec.Struct):
    """A page of checkpoints in the order of their steps."""

    run: str
    checkpoints: list[CheckpointRow]
    next: int | None


class CheckpointAnswer(msgspec.Struct):
    """One checkpoint: its model and every measure that was stored with it."""

    run: str
    step: int
    created_at: datetime
    model: ModelRecord
    measures: dict[str, float | None]
    local_learning_coefficient: LearningCoefficient | None


# -- over a run ----------------------------------------------------------------------------------


class TrajectoryAnswer(msgspec.Struct):
    """Measures at every checkpoint, one row each: `step` and the measures asked for."""

    run: str
    provisional: bool  # the run goes on: its keys are its latest checkpoint's
    keys: KeyRecord | None
    trajectory: list[dict[str, Measure]]


class EmergenceAnswer(msgspec.Struct):
    """Brackets, transitions, lags and phases of a run; null for what has not happened.

    `nulls` are of the final embedding: structure that chance would show too is none.
    """

    run: str
    provisional: bool  # the run goes on
    memorised: Held | None
    generalised: Held | None
    series: dict[str, Transition]
    lags: dict[str, dict[Level, Lag | None]]
    phases: Phases
    keys: KeyRecord | None
    nulls: list[NullRecord]


class CrossingRow(msgspec.Struct):
    """A series' crossing of a level and its lag, in the table of `emergence`."""

    series: str
    rise: float | None
    level: Level
    step: float | None
    low: int | None
    high: int | None
    lag: float | None
    lag_low: int | None
    lag_high: int | None
    lag_resolved: bool | None
    lag_relative: float | None


class SpectraRow(msgspec.Struct):
    """One checkpoint's spectrum; `values[i]` belongs to `frequencies[i]` (s5: an irrep)."""

    step: int
    values: list[float | None]


class SpectraAnswer(msgspec.Struct):
    """The spectrum of the embedding at every checkpoint."""

    run: str
    of: str
    value: str
    basis: BasisAnswer
    frequencies: list[int | str]
    spectra: list[SpectraRow]


class ServerSentEvent(msgspec.Struct):
    """One event of a stream; `data` is JSON, `id` what Last-Event-ID says to go on from here."""

    event: Literal["checkpoint", "complete", "deleted", "reset"]
    data: str
    id: str


# -- operations ----------------------------------------------------------------------------------


class Readiness(msgspec.Struct):
    """Whether traffic may come, and the state of each dependency."""

    status: Literal["ready", "degraded", "unready"]
    dependencies: dict[str, dict[str, Any]]


class Liveness(msgspec.Struct):
    """The process runs."""

    status: Literal["live"] = "live"
