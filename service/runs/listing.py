"""A page of the list of runs."""

from datetime import datetime

import msgspec

from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.scripts import RunSummary
from grokprobe.store.records import Status
from service.runs.source import Source
from service.runs.views import RunViews


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


def _row(summary: RunSummary) -> RunRow:
    manifest, latest = summary.manifest, summary.latest
    return RunRow(
        run=manifest.run,
        group=manifest.group,
        operation=manifest.task.operation,
        modulus=manifest.task.modulus,
        architecture=str(manifest.architecture.get("family")),
        seed=manifest.seed,
        status=summary.status,
        latest_step=latest.step if latest else None,
        checkpoint_count=summary.checkpoint_count,
        test_accuracy=latest.measures.get("test_accuracy") if latest else None,
        created_at=manifest.created_at,
    )


async def _from_catalogue(
    catalogue: Catalogue, after: str, limit: int, group: str | None
) -> list[RunRow]:
    names = await catalogue.runs(after, limit, group)
    return [_row(summary) for summary in await catalogue.summaries(names)]


async def _from_archive(
    archive: ArchiveReader, views: RunViews, after: str, limit: int, group: str | None
) -> list[RunRow]:
    runs = await archive.runs() if group is None else (await archive.groups()).get(group, [])
    names = [run for run in runs if run > after][:limit]
    return [_row((await views.get(run)).summary) for run in names]


async def page_of_runs(
    source: Source, views: RunViews, after: str, limit: int, group: str | None = None
) -> list[RunRow]:
    """The first `limit` runs behind `after` in the order of their names; of all, or of a group."""
    return await source.either(
        lambda: _from_catalogue(source.catalogue, after, limit, group),
        lambda: _from_archive(source.archive, views, after, limit, group),
    )
