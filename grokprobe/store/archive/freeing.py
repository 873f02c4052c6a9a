"""When the name of a deleted run may be used again: if nobody can have relied on the run.

That is one that was deleted within a day of its `run.json`, and was not trained to its end here.
Its ETags, links and figures can be in nobody's paper; those of any other may be.
"""

from datetime import datetime, timedelta

import msgspec

from grokprobe.errors import CheckpointCorrupt, NameKept, RunNotFound
from grokprobe.store import bounds
from grokprobe.store.archive import names
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import Record, RunManifest, is_name, now

RELIED_ON_AFTER = timedelta(days=1)


class DeletedRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was when it was deleted: who may have relied on it follows from that."""

    created_at: bounds.Moment | None  # null where it was never published as a whole
    completed: bool  # it had ended
    imported: bool


class Tombstone(Record, frozen=True, kw_only=True):
    """`deleted.json`: the run is gone, and its name taken until somebody frees it, if ever."""

    run: bounds.RunName
    created_at: bounds.Moment
    was: DeletedRun | None = None  # null where its records could not be read


def is_imported(manifest: RunManifest) -> bool:
    """Whether others trained the run: its configuration names their files."""
    return "files" in manifest.config


async def describe(archive: ArchiveReader, run: str) -> DeletedRun | None:
    """What a run is, for its tombstone; None where its records cannot be read."""
    try:
        manifest = await archive.record(names.run_path(run), RunManifest)
    except CheckpointCorrupt:
        return None
    return DeletedRun(
        created_at=manifest.created_at if manifest else None,
        completed=await archive.objects.exists(names.completion_path(run)),
        imported=manifest is not None and is_imported(manifest),
    )


async def check_may_be_freed(archive: ArchiveReader, run: str) -> None:
    """Raise NameKept if somebody may rely on a run, deleted or not.

    RunNotFound if there is nothing under that name.
    """
    if not is_name(run) or not await archive.objects.below(names.run_prefix(run)):
        raise RunNotFound(run)
    try:
        tombstone = await archive.record(names.tombstone_path(run), Tombstone, run=run)
    except CheckpointCorrupt as error:
        raise NameKept(run, str(error)) from None
    was = tombstone.was if tombstone else await describe(archive, run)
    if reason := why_kept(was, tombstone.created_at if tombstone else now()):
        raise NameKept(run, reason)


def why_kept(was: DeletedRun | None, until: datetime) -> str:
    """Why somebody may rely on a run that was there `until` then; empty if nobody can."""
    if was is None:
        return "nothing tells how old its run was"
    if was.created_at is not None and until - was.created_at >= RELIED_ON_AFTER:
        return f"its run was there for a day or more, since {was.created_at:%Y-%m-%d %H:%M} UTC"
    if was.completed and not was.imported:
        return "its run was trained to its end"
    return ""
