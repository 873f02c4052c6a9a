"""One run and its checkpoints, as this process knows them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import msgspec

from grokprobe.analysis.emergence import Held, held
from grokprobe.analysis.fourier import shares
from grokprobe.analysis.measures_table import KEY_MEASURES
from grokprobe.errors import LabelNotReached, StepNotFound
from grokprobe.store.archive.reader import nearest_steps
from grokprobe.store.catalogue.scripts import RunSummary
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    KeyRecord,
    Measure,
    RunManifest,
    Status,
    encode_record,
    sha256,
    status_of,
)

MAX_DIGITS = 100  # more is no step of anybody, and slow to read
LABELS = ("first", "latest", "memorised", "generalised")


def identity_of(manifest: RunManifest) -> str:
    """What a run is known by: one that takes the name of another later differs from it."""
    return sha256(encode_record(manifest))


def checkpoint_identity(run: str, checkpoint: CheckpointManifest) -> str:
    """What a checkpoint is known by, and what is computed of it: its run's identity, its file."""
    return sha256(f"{run} {checkpoint.model.sha256}".encode())


class RunReader(Protocol):
    """What catalogue and archive both can read."""

    async def run(self, run: str) -> RunManifest: ...
    async def steps(self, run: str) -> list[int]: ...
    async def checkpoints(self, run: str, steps: Sequence[int]) -> list[CheckpointManifest]: ...
    async def completion(self, run: str) -> Completion | None: ...


class GivenKeys(NamedTuple):
    """Key frequencies that a request names, and the measures that depend on them, by step."""

    keys: KeyRecord
    measures: dict[int, dict[str, Measure]]


@dataclass(frozen=True)
class RunView:
    """A run and its checkpoints in the order of their steps."""

    manifest: RunManifest
    completion: Completion | None
    checkpoints: dict[int, CheckpointManifest]
    read_at: float = field(default_factory=time.monotonic)
    given: GivenKeys | None = None  # in place of the run's own

    @cached_property
    def identity(self) -> str:
        """What the run is known by: names alone are not enough, a freed one may be used again."""
        return identity_of(self.manifest)

    @cached_property
    def steps(self) -> list[int]:
        """The published steps, ascending."""
        return list(self.checkpoints)

    @property
    def latest(self) -> CheckpointManifest | None:
        """The checkpoint of the last step; None before the first."""
        return self.checkpoints[self.steps[-1]] if self.checkpoints else None

    @property
    def summary(self) -> RunSummary:
        """What a list shows of it, as the catalogue says it."""
        return RunSummary(
            manifest=self.manifest,
            status=self.status,
            checkpoint_count=len(self.checkpoints),
            latest=self.latest,
        )

    @property
    def status(self) -> Status:
        """How the run stands; `running` until it says otherwise."""
        return status_of(self.completion)

    @property
    def keys(self) -> KeyRecord | None:
        """The run's key frequencies; until it has ended, those of its latest checkpoint."""
        if self.given:
            return self.given.keys
        if self.completion:
            return self.completion.keys
        return self.latest.own_keys if self.latest else None

    @cached_property
    def key_measures(self) -> dict[int, dict[str, Measure]]:
        """The measures that depend on `keys`, by step.

        Until the run has ended that is the key share alone, from the stored spectra.
        """
        if self.given:
            return self.given.measures
        if self.completion:
            return {c.step: c.measures for c in self.completion.checkpoints}
        used = self.keys.frequencies if self.keys else []
        return {s: {"key_share": _key_share(c, used)} for s, c in self.checkpoints.items()}

    def measure(self, step: int, name: str) -> Measure:
        """A stored measure of a checkpoint; None where it has none of that name."""
        measures = self.checkpoints[step].measures
        if name in measures:
            return measures[name]
        return self.key_measures.get(step, {}).get(name)

    @cached_property
    def measure_names(self) -> list[str]:
        """The names of all measures that are stored, or will be when the run ends; sorted."""
        names = {name for c in self.checkpoints.values() for name in c.measures}
        return sorted(names.union(KEY_MEASURES))

    @property
    def provisional(self) -> bool:
        """Whether what depends on the key frequencies may still change."""
        return self.completion is None and self.given is None

    @cached_property
    def digest(self) -> str:
        """What all that the run holds is known by; another checkpoint or its end changes it."""
        held = (f"{step} {c.model.sha256}" for step, c in self.checkpoints.items())
        return sha256("\n".join((self.status, *held)).encode())

    @cached_property
    def key_digest(self) -> str:
        """What the run's key frequencies are known by."""
        return sha256(msgspec.json.encode((self.status, self.steps[-1:], self.keys)))

    def held(self, measure: str) -> Held | None:
        """From which checkpoint an accuracy stays at least 0.99."""
        series = [c.measures.get(measure) for c in self.checkpoints.values()]
        return held(self.steps, series)

    def between(self, first: int | None, last: int | None) -> list[CheckpointManifest]:
        """The checkpoints from step `first` to step `last`, both included."""
        low, high = first or 0, float("inf") if last is None else last
        return [c for step, c in self.checkpoints.items() if low <= step <= high]

    def step_of(self, asked: str) -> int:
        """The step that a number or a label names.

        Raises StepNotFound with the nearest steps, LabelNotReached for anything else.
        """
        if asked.isascii() and asked.isdigit() and len(asked) <= MAX_DIGITS:
            if (step := int(asked)) in self.checkpoints:
                return step
            raise StepNotFound(self.manifest.run, step, nearest_steps(step, self.steps))
        if asked not in LABELS:
            raise LabelNotReached(f"{asked!r} is neither a step nor one of {', '.join(LABELS)}")
        step_found = self._labelled(asked)
        if step_found is None:
            raise LabelNotReached(f"run {self.manifest.run!r} has not reached {asked!r} yet")
        return step_found

    def _labelled(self, label: str) -> int | None:
        if label in ("first", "latest"):
            return self.steps[0 if label == "first" else -1] if self.checkpoints else None
        found = self.held("train_accuracy" if label == "memorised" else "test_accuracy")
        return found.step if found else None


def _key_share(checkpoint: CheckpointManifest, keys: Sequence[int]) -> float | None:
    """The share of the embedding's power in the key frequencies; None without keys."""
    found = shares(checkpoint.spectrum.power) if checkpoint.spectrum else None
    return None if found is None or not keys else float(sum(found[k - 1] for k in keys))


async def read_view(source: RunReader, run: str, known: RunView | None) -> RunView:
    """The view of a run, of whose checkpoints only those are read that are not known."""
    manifest = await source.run(run)
    if known and known.manifest != manifest:  # of a run that had the name before
        known = None
    # Asked before the steps: of a run that has ended all of them are there.
    completion = (known and known.completion) or await source.completion(run)
    have = known.checkpoints if known else {}
    steps = await source.steps(run)
    missing = [step for step in steps if step not in have]
    fetched = dict(zip(missing, await source.checkpoints(run, missing), strict=True))
    both = {**have, **fetched}
    return RunView(manifest, completion, {step: both[step] for step in steps})
