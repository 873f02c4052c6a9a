"""A page of the list of runs.

Without an index each row costs four requests to object storage, and how far a page reads is
bounded: it may have fewer rows than were asked for, even none, and still the cursor of the next.
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import NamedTuple, TypeVar

import msgspec

from grokprobe.errors import CheckpointCorrupt, RunNotFound, StoreUnavailable
from grokprobe.store.archive import names
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.reader import ArchiveReader, Listing
from grokprobe.store.catalogue.filters import ALL, RunFilter
from grokprobe.store.catalogue.rows import ListedRun, RunSummary
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    Record,
    RunManifest,
    Status,
    status_of,
)
from service.runs.source import Source
from service.telemetry.metrics import Metrics

logger = logging.getLogger("grokprobe.service")

R = TypeVar("R", bound=Record)

COST = 4  # requests for a row: the list, run.json, complete.json, the latest manifest


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


class RunPage(NamedTuple):
    """Rows in the order of their names; behind `next` there may be more, None after the last."""

    rows: list[RunRow]
    next: str | None


def _row(
    manifest: RunManifest | ListedRun,
    architecture: str,
    status: Status,
    checkpoint_count: int,
    latest_step: int | None,
    test_accuracy: float | None,
) -> RunRow:
    return RunRow(
        run=manifest.run,
        group=manifest.group,
        operation=manifest.task.operation,
        modulus=manifest.task.modulus,
        architecture=architecture,
        seed=manifest.seed,
        status=status,
        latest_step=latest_step,
        checkpoint_count=checkpoint_count,
        test_accuracy=test_accuracy,
        created_at=manifest.created_at,
    )


def _row_of(found: RunSummary | None, wanted: RunFilter) -> RunRow | None:
    if found is None or not wanted.admits(found.manifest, found.status):
        return None
    return _row(
        found.manifest,
        found.manifest.architecture.family,
        found.status,
        found.checkpoint_count,
        found.latest_step,
        found.test_accuracy,
    )


async def _from_catalogue(
    source: Source, metrics: Metrics, after: str, limit: int, wanted: RunFilter
) -> RunPage:
    """Rows that the index does not prove are read from object storage, if that is there."""
    names = await source.catalogue.runs(after, limit + 1, wanted)
    some, behind = names[:limit], names[limit - 1] if len(names) > limit else None
    proven = await source.catalogue.summaries(some)
    scan = _Scan(source.archive, metrics, wanted)

    rows = {run: _row_of(proven.get(run), wanted) for run in some}
    doubted = [run for run, row in rows.items() if row is None]
    try:
        rows |= zip(doubted, await gather(scan.row, doubted), strict=True)
    except StoreUnavailable:
        found = await source.catalogue.summaries(some, stale=True)
        rows = {run: _row_of(found.get(run), wanted) for run in some}
    return RunPage([row for row in rows.values() if row], behind)


@dataclass
class _Scan:
    """Reads rows from object storage, and counts what that takes."""

    archive: ArchiveReader
    metrics: Metrics
    wanted: RunFilter
    runs: int = 0
    requests: int = 0

    async def row(self, run: str) -> RunRow | None:
        """The row of a run; None where it is not there, not wanted, or cannot be read."""
        self.runs += 1
        self.requests += 1
        try:
            return await self._row(run, await self.archive.listing(run))
        except RunNotFound:
            return None
        except CheckpointCorrupt as error:
            logger.warning("a list leaves out run %r: %s", run, error)
            self.metrics.unreadable_runs.inc()
            return None

    async def _row(self, run: str, listing: Listing) -> RunRow | None:
        """A bad record other than `run.json` hides nothing else: it is as if it were not there."""
        manifest = await self._record(names.run_path(run), RunManifest, run=run)
        if manifest is None:  # deleted since it was listed
            return None
        completion = None
        if listing.ended:
            path = names.completion_path(run)
            completion = await _readable(self._record(path, Completion, run=run))
        status = status_of(completion)
        if not self.wanted.admits(manifest, status):
            return None
        step, latest = listing.steps[-1] if listing.steps else None, None
        if step is not None:
            path = names.manifest_path(run, step)
            latest = await _readable(self._record(path, CheckpointManifest, run=run, step=step))
        family = str(manifest.architecture.get("family"))
        accuracy = latest.measures.get("test_accuracy") if latest else None
        return _row(manifest, family, status, len(listing.steps), step, accuracy)

    async def _record(self, path: str, kind: type[R], **identity: str | int) -> R | None:
        self.requests += 1
        return await self.archive.record(path, kind, **identity)


async def _readable(record: Awaitable[R | None]) -> R | None:
    try:
        return await record
    except CheckpointCorrupt:
        return None


async def _from_archive(
    archive: ArchiveReader, metrics: Metrics, after: str, limit: int, wanted: RunFilter
) -> RunPage:
    """The requests of `limit` rows at most; where rows are chosen, four times as many runs."""
    names = [run for run in await archive.names() if run > after]
    scan, rows, last = _Scan(archive, metrics, wanted), list[RunRow](), after
    while names and len(rows) < limit:
        left = COST * limit - scan.runs if wanted != ALL else limit - ceil(scan.requests / COST)
        if (count := min(limit, left)) <= 0:
            break
        chunk, names = names[:count], names[count:]
        rows += [row for row in await gather(scan.row, chunk) if row]
        last = chunk[-1]
    if len(rows) > limit:
        return RunPage(rows[:limit], rows[limit - 1].run)
    return RunPage(rows, last if names else None)


async def page_of_runs(
    source: Source, metrics: Metrics, after: str, limit: int, wanted: RunFilter = ALL
) -> RunPage:
    """At most `limit` of the runs that are wanted, behind `after` in the order of their names."""
    return await source.either(
        lambda: _from_catalogue(source, metrics, after, limit, wanted),
        lambda: _from_archive(source.archive, metrics, after, limit, wanted),
    )
