"""Bringing the Redis index to what object storage holds, while others read and write both.

Object storage is listed after the index was read, and only entries that the index held before
that and the listing lacks are dropped: what a trainer adds in between stays.
"""

from dataclasses import dataclass, field
from itertools import chain

from grokprobe.errors import CheckpointCorrupt, RunNotFound, StepNotFound
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue.connection import Connection
from grokprobe.store.catalogue.events import deletion_event
from grokprobe.store.catalogue.keys import (
    GROUPS,
    READY,
    RUNS,
    Command,
    checkpoint_entry,
    completion_entry,
    key,
    removal,
    run_entry,
)
from grokprobe.store.records import CheckpointManifest, Completion, RunManifest

BATCH = 500  # checkpoints in one MULTI: about 2 MB


@dataclass(kw_only=True)
class ReindexReport:
    """What `rebuild` did. `problems` has one line for each record that could not be read."""

    runs: int = 0
    checkpoints: int = 0
    removed: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class _Listing:
    """What object storage holds of a run."""

    manifest: RunManifest
    completion: Completion | None
    checkpoints: list[CheckpointManifest]
    problems: list[str]


async def remove_run(connection: Connection, run: str) -> None:
    """Drop a run from the index; announced if it was there."""
    score, group = await connection.send(("ZSCORE", RUNS, run), ("GET", key(run, "group")))
    announcement = [] if score is None else [deletion_event(run)]
    *drop, forget = removal(run, group.decode() if group else None)
    await connection.send(*drop, *announcement, forget)  # who hears of it finds nothing any more


async def reindex_run(connection: Connection, archive: ArchiveReader, run: str) -> _Listing | None:
    """Make the entries of one run equal to its listing; None if there is no such run.

    Announces nothing: that is for whoever publishes (`Catalogue.reconcile`). Checkpoints whose
    manifest cannot be read are left out. Raises CheckpointCorrupt if `run.json` cannot be read.
    """
    known = ("ZRANGE", key(run, "steps"), 0, -1), ("EXISTS", key(run, "completion"))
    steps_before, completed_before = await connection.send(*known)
    try:
        listing = await _list(archive, run)
    except RunNotFound:
        await remove_run(connection, run)
        return None
    for start in range(0, len(listing.checkpoints), BATCH):
        batch = map(checkpoint_entry, listing.checkpoints[start : start + BATCH])
        await connection.send(*chain.from_iterable(batch), atomic=True)
    there = {manifest.step for manifest in listing.checkpoints}
    gone = [step for step in map(int, steps_before) if step not in there]
    await connection.send(*_drop(run, gone), *_completed(run, listing, bool(completed_before)))
    await connection.send(*run_entry(listing.manifest))
    return listing


async def reindex_all(connection: Connection, archive: ArchiveReader) -> ReindexReport:
    """Reindex every run, drop those that are no longer there, then declare the index whole."""
    report = ReindexReport()
    indexed, grouped = await connection.send(("ZRANGE", RUNS, 0, -1), ("ZRANGE", GROUPS, 0, -1))
    strays = {entry.decode() for entry in grouped}  # until a run says that it is one of them
    for run in sorted({name.decode() for name in indexed} | set(await archive.runs())):
        try:
            listing = await reindex_run(connection, archive, run)
        except CheckpointCorrupt as error:
            report.problems.append(str(error))
            strays = {entry for entry in strays if not entry.endswith(f"/{run}")}
            continue
        if listing and listing.manifest.group:
            strays.discard(f"{listing.manifest.group}/{run}")
        report.removed += listing is None
        report.runs += listing is not None
        report.checkpoints += len(listing.checkpoints) if listing else 0
        report.problems += listing.problems if listing else []
    if strays:
        await connection.send(("ZREM", GROUPS, *strays))
    await connection.send(("SET", READY, 1))
    return report


async def _list(archive: ArchiveReader, run: str) -> _Listing:
    manifest = await archive.run(run)
    problems: list[str] = []

    async def readable(step: int) -> CheckpointManifest | None:
        try:
            return await archive.checkpoint(run, step)
        except (CheckpointCorrupt, StepNotFound) as error:
            problems.append(str(error))
            return None

    found = await gather(readable, await archive.steps(run))
    try:
        completion = await archive.completion(run)
    except CheckpointCorrupt as error:
        completion = None
        problems.append(str(error))
    checkpoints = [checkpoint for checkpoint in found if checkpoint]
    return _Listing(
        manifest=manifest, completion=completion, checkpoints=checkpoints, problems=problems
    )


def _drop(run: str, steps: list[int]) -> list[Command]:
    if not steps:
        return []
    return [
        ("HDEL", key(run, "checkpoints"), *steps),
        ("ZREM", key(run, "steps"), *steps),
        ("SREM", key(run, "announced"), *steps),
    ]


def _completed(run: str, listing: _Listing, before: bool) -> list[Command]:
    if listing.completion:
        return completion_entry(listing.completion)
    return [("DEL", key(run, "completion"), key(run, "status"))] if before else []
