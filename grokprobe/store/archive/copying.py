"""A run that lies in one object storage, published in another byte for byte, in the same order.

A copy may be cut anywhere and repeated: every object is created once, a manifest after its model.
"""

from grokprobe.errors import CheckpointCorrupt, InvalidInput, PublicationConflict
from grokprobe.store.archive import names
from grokprobe.store.archive.objects import RECORD_MAX_BYTES
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader


async def refuse_other(archive: ArchiveReader, run: str, data: bytes) -> bool:
    """Whether this very run, by the bytes of its `run.json`, is published.

    Raises InvalidInput if another one has its name, RunDeleted if its name is taken for ever.
    """
    await ArchivePublisher(archive).refuse_deleted(run)
    there = await archive.objects.read(names.run_path(run))
    if there not in (None, data):
        raise InvalidInput(run, "another run of that name is published here; delete it first")
    return there is not None


async def publish_copy(source: ArchiveReader, target: ArchiveReader, run: str, most: int) -> None:
    """Publish what `source` holds of a sound run; `most` bytes an object.

    Raises as `refuse_other` does, and PublicationConflict where an object has other bytes.
    """
    first = names.run_path(run)
    await refuse_other(target, run, await source.objects.read(first) or b"")
    paths = await source.objects.below(names.run_prefix(run))
    last = [first, names.completion_path(run)]
    # Within a checkpoint the manifest is last; complete.json after all of them.
    steps = sorted(
        (path for path in paths if path.startswith(names.checkpoints_prefix(run))),
        key=lambda path: (path.rpartition("/")[0], path == _manifest_beside(path)),
    )
    split = [path for path in paths if path == names.split_path(run)]
    for path in [*split, first, *steps, *(path for path in last[1:] if path in paths)]:
        data = await source.objects.read(path, max(most, RECORD_MAX_BYTES))
        if data is None:
            raise CheckpointCorrupt(f"{path} went away while it was copied")
        if await target.objects.create(path, data) not in (None, data):
            raise PublicationConflict(f"{path} exists with other bytes; delete the run first")


def _manifest_beside(path: str) -> str:
    return f"{path.rpartition('/')[0]}/manifest.json"
