"""What lists tell of many runs at once, of each that proves itself.

Of the records only what is shown is made into values: their digests are those of the seal, and a
page of a hundred runs has three hundred kilobytes of them.
"""

from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, ClassVar

import msgspec

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store import bounds
from grokprobe.store.archive.reader import RunState
from grokprobe.store.archive.seal import Seal, decode_seal
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import CheckpointManifest, Record, RunManifest, Status, sha256
from grokprobe.task import Operation


class ListedTask(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a `TaskRecord`."""

    operation: Operation
    modulus: bounds.Modulus


class ListedArchitecture(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of an architecture."""

    family: bounds.Text


class ListedRun(Record, frozen=True, kw_only=True):
    """What is shown of a `RunManifest`."""

    max_bytes: ClassVar[int] = RunManifest.max_bytes
    run: bounds.RunName
    created_at: bounds.Moment
    task: ListedTask
    architecture: ListedArchitecture
    seed: bounds.Integer | None
    group: bounds.RunName | None = None


class ListedMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a checkpoint's measures."""

    test_accuracy: bounds.Number | None = None


class ListedCheckpoint(Record, frozen=True, kw_only=True):
    """What is shown of a `CheckpointManifest`."""

    max_bytes: ClassVar[int] = CheckpointManifest.max_bytes
    measures: ListedMeasures


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of runs shows of one; the latest step is null before the first checkpoint."""

    manifest: ListedRun
    status: Status
    checkpoint_count: int
    latest_step: int | None
    test_accuracy: float | None  # of that step


def summaries_of(
    runs: Sequence[str],
    rows: Sequence[Any],
    known: MutableMapping[Seal, RunSummary],
    stale: bool = False,
) -> Iterator[RunSummary]:
    """The summaries of the runs whose rows, from `scripts.summaries`, prove themselves.

    `known` has those that were made before, by the seal that proved them.
    """
    for run, (data, fresh, manifest, count, latest) in zip(runs, rows, strict=True):
        seal = _proven(run, data, fresh or stale)
        if seal is None or count != seal.count:
            continue
        summary = known.get(seal) or _summary(seal, manifest or b"", latest or b"")
        if summary and summary.manifest.run == run:
            known[seal] = summary
            yield summary


def _summary(seal: Seal, manifest: bytes, latest: bytes) -> RunSummary | None:
    """What a list shows of a run, from records that are those of its seal; None if they are not."""
    if sha256(manifest) != seal.manifest:
        return None
    accuracy = None
    try:
        listed = decode_record(manifest, ListedRun, "the index")
        if seal.latest is not None:
            if sha256(latest) != seal.latest_sha256:
                return None
            checkpoint = decode_record(latest, ListedCheckpoint, "the index")
            accuracy = checkpoint.measures.test_accuracy
    except CheckpointCorrupt:
        return None
    return RunSummary(
        manifest=listed,
        status=seal.status,
        checkpoint_count=seal.count - seal.unreadable,
        latest_step=seal.latest,
        test_accuracy=accuracy,
    )


def states_of(runs: Sequence[str], rows: Sequence[Any]) -> Iterator[RunState]:
    """The states of the runs whose rows, from `scripts.states`, prove themselves."""
    for run, (data, fresh) in zip(runs, rows, strict=True):
        if seal := _proven(run, data, fresh):
            yield RunState(
                run=run,
                created_at=seal.created_at,
                status=seal.status,
                checkpoint_count=seal.count - seal.unreadable,
                latest_step=seal.latest,
            )


def _proven(run: str, data: bytes | None, fresh: int | None) -> Seal | None:
    """The seal of a run that is believed now: it has ended, or was compared lately."""
    seal = decode_seal(data)
    believed = seal and seal.run == run and (seal.completion is not None or fresh)
    return seal if believed else None
