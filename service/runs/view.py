"""One run and its checkpoints, as this process knows them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from grokprobe.analysis.emergence import Held, held
from grokprobe.analysis.fourier import shares
from grokprobe.analysis.measures_table import KEY_MEASURES
from grokprobe.cached import cached_property
from grokprobe.errors import CheckpointCorrupt, LabelNotReached, StepNotFound
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.archive.reader import ArchiveReader, nearest_steps
from grokprobe.store.archive.seal import encode_seal
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    KeyRecord,
    Measure,
    RunManifest,
    Status,
    sha256,
    status_of,
)
from service.runs.proof import Proof

MAX_DIGITS = 100  # more is no step of anybody, and slow to read
LABELS = ("first", "latest", "memorised", "generalised")


def checkpoint_identity(run: str, checkpoint: CheckpointManifest) -> str:
    """What a checkpoint is known by, and what is computed of it: its run's identity, its file."""
    return sha256(f"{run} {checkpoint.model.sha256}".encode())


class GivenKeys(NamedTuple):
    """Key frequencies that a request names, and the measures that depend on them, by step."""

    keys: KeyRecord
    measures: dict[int, dict[str, Measure]]


@dataclass(frozen=True)
class RunView:
    """A run and its checkpoints in the order of their steps."""

    contents: Contents
    proof: Proof = field(default_factory=Proof)  # what of it was compared with object storage
    stored: bool = True  # object storage was asked which steps there are, not the index
    read_at: float = field(default_factory=time.monotonic)
    given: GivenKeys | None = None  # in place of the run's own

    @property
    def manifest(self) -> RunManifest:
        """What was trained."""
        return self.contents.run.record

    @property
    def completion(self) -> Completion | None:
        """How it ended; None while it runs."""
        return self.contents.completion and self.contents.completion.record

    @cached_property
    def checkpoints(self) -> dict[int, CheckpointManifest]:
        """The manifests that can be read, by step."""
        return {step: c.record for step, c in self.contents.checkpoints.items() if c}

    @property
    def identity(self) -> str:
        """What the run is known by: names alone are not enough, a freed one may be used again."""
        return self.contents.run.sha256

    @cached_property
    def steps(self) -> list[int]:
        """The published steps, ascending."""
        return list(self.checkpoints)

    @property
    def latest(self) -> CheckpointManifest | None:
        """The checkpoint of the last step; None before the first."""
        return self.checkpoints[self.steps[-1]] if self.checkpoints else None

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
        return sha256(encode_seal(self.contents.seal))

    @property
    def card(self) -> tuple[str, str]:
        """Path and query of the card of the run as it is now: what is cited."""
        return f"/v1/runs/{self.manifest.run}/card", f"digest=sha256:{self.digest}"

    @property
    def key_digest(self) -> str:
        """What the run's key frequencies are known by: the record that they are taken from."""
        seal = self.contents.seal
        return seal.completion or f"{seal.latest} {seal.latest_sha256}"

    def proves(self, step: int | None) -> bool:
        """Whether a checkpoint, with None all that there is, is as object storage has it."""
        return self.proof.holds(self.contents, step)

    def manifest_digest(self, step: int) -> str:
        """What a checkpoint's manifest is known by: the digest of its bytes."""
        found = self.contents.checkpoints[step]
        assert found is not None, "a broken manifest is in no answer"
        return found.sha256

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

        Raises StepNotFound with the nearest steps, CheckpointCorrupt for a manifest that is broken,
        LabelNotReached for anything else.
        """
        if asked.isascii() and asked.isdigit() and len(asked) <= MAX_DIGITS:
            if (step := int(asked)) in self.checkpoints:
                return step
            if step in self.contents.checkpoints:
                raise CheckpointCorrupt(
                    f"{names.manifest_path(self.manifest.run, step)} cannot be read; "
                    "`python -m grokprobe verify` says why"
                )
            raise StepNotFound(self.manifest.run, step, nearest_steps(step, self.steps))
        if asked not in LABELS:
            raise LabelNotReached(f"{asked!r} is neither a step nor one of {', '.join(LABELS)}")
        step_found = self.labelled(asked)
        if step_found is None:
            raise LabelNotReached(f"run {self.manifest.run!r} has not reached {asked!r} yet")
        return step_found

    def labelled(self, label: str) -> int | None:
        """The step of a label; None where it is not reached."""
        if label in ("first", "latest"):
            return self.steps[0 if label == "first" else -1] if self.checkpoints else None
        found = self.held("train_accuracy" if label == "memorised" else "test_accuracy")
        return found.step if found else None


async def read_view(archive: ArchiveReader, run: str, known: RunView | None = None) -> RunView:
    """A run as object storage has it, which proves all of it; nothing proven is read again.

    Raises RunNotFound, StoreUnavailable, CheckpointCorrupt for a `run.json` that is broken.
    """
    covered = known.proof.covered(known.contents) if known else None
    contents = (await read_contents(archive, run, covered)).lean
    return RunView(contents, Proof(contents.seal))


def _key_share(checkpoint: CheckpointManifest, keys: Sequence[int]) -> float | None:
    """The share of the embedding's power in the key frequencies; None without keys."""
    found = shares(checkpoint.spectrum.power) if checkpoint.spectrum else None
    return None if found is None or not keys else float(sum(found[k - 1] for k in keys))
