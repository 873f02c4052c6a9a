"""What lists tell of many runs at once, of each that proves itself."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store.archive.reader import RunState
from grokprobe.store.archive.seal import Seal, decode_seal
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import (
    CheckpointManifest,
    RunManifest,
    Status,
    sha256,
)


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of runs shows of one; `latest` is null before the first checkpoint."""

    manifest: RunManifest
    status: Status
    checkpoint_count: int
    latest: CheckpointManifest | None


def summaries_of(
    runs: Sequence[str], rows: Sequence[Any], stale: bool = False
) -> Iterator[RunSummary]:
    """The summaries of the runs whose rows, from `scripts.summaries`, prove themselves."""
    for run, (data, fresh, manifest, count, latest) in zip(runs, rows, strict=True):
        seal = _proven(run, data, fresh or stale)
        if seal is None or count != seal.count or sha256(manifest or b"") != seal.manifest:
            continue
        if seal.latest is not None and sha256(latest or b"") != seal.latest_sha256:
            continue
        with suppress(CheckpointCorrupt):
            found = RunSummary(
                manifest=decode_record(manifest, RunManifest, "the index"),
                status=seal.status,
                checkpoint_count=seal.count - seal.unreadable,
                latest=None
                if seal.latest is None
                else decode_record(latest, CheckpointManifest, "the index"),
            )
            if found.manifest.run == run:
                yield found


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
