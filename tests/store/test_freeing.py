"""Names of deleted runs that are used again: whose, what is left at any moment, who is stopped."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from obstore.store import ObjectStore

from grokprobe.cli.delete import delete
from grokprobe.errors import NameKept, RunDeleted, RunNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive import freeing, names
from grokprobe.store.archive.freeing import Tombstone
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from grokprobe.store.backends import open_backends
from grokprobe.store.records import encode_record, now
from tests.support.stores import KINDS, Interrupted, contents, interrupting, new_store, with_loop
from tests.support.tiny import TinyRun, tiny_run, young

IMPORTED = {"files": ["digest"]}
TOMBSTONE = names.tombstone_path("tiny")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store, once of each kind."""
    return new_store(request.param, tmp_path)


async def publish(run: TinyRun, to: ArchiveReader, whole: bool = True) -> None:
    """Publish a run, without its end where it is not whole."""
    publisher = ArchivePublisher(to)
    await publisher.publish_run(run.manifest, run.train_mask)
    await publisher.start_attempt(run.name)
    for manifest, model in run.checkpoints:
        await publisher.publish_checkpoint(manifest, model)
    if whole:
        await publisher.publish_completion(run.completion)


async def free(archive: ArchiveReader) -> None:
    """What `delete tiny --free-name` does to object storage."""
    publisher = ArchivePublisher(archive)
    await freeing.check_may_be_freed(archive, "tiny")
    await publisher.delete("tiny")
    await publisher.free_name("tiny")


@pytest.mark.parametrize(
    ("imported", "whole", "hours", "reason"),
    [
        (True, True, 0, ""),
        (True, False, 23, ""),
        (False, False, 23, ""),
        (False, True, 0, "was trained to its end"),
        (False, False, 25, "was there for a day or more, since "),
        (True, True, 24, "was there for a day or more, since "),
    ],
)
@pytest.mark.parametrize("deleted_before", [False, True])
@with_loop
async def test_whose_name_is_freed(
    store: ObjectStore, imported: bool, whole: bool, hours: int, reason: str, deleted_before: bool
) -> None:
    """Younger than a day, and imported or without an end; a refusal says why and deletes nothing.

    A run that was deleted before is as old as it was then.
    """
    archive = ArchiveReader(store)
    run = tiny_run(steps=(0,), config=IMPORTED if imported else {})
    created_at = now() - timedelta(hours=hours)
    await publish(replace_manifest(run, created_at), archive, whole)
    if deleted_before:
        await ArchivePublisher(archive).delete("tiny")
    before = await contents(archive)
    if reason:
        with pytest.raises(NameKept, match=f"the name 'tiny' cannot be freed: its run {reason}"):
            await free(archive)
        assert await contents(archive) == before
        return
    await free(archive)
    assert await contents(archive) == {}
    with pytest.raises(RunNotFound):
        await free(archive)
    await publish(tiny_run(seed=1), archive)
    assert (await archive.run("tiny")).seed == 1
    assert await problems(archive, "tiny") == []


def replace_manifest(run: TinyRun, created_at: datetime) -> TinyRun:
    """The run, created at another moment."""
    manifest = replace(run.manifest, created_at=created_at)
    return TinyRun(manifest, run.train_mask, run.checkpoints, run.completion)


@pytest.mark.parametrize(
    ("tombstone", "reason"),
    [
        (encode_record(Tombstone(run="tiny", created_at=now())), "nothing tells how old"),
        (b"{}", "is not a Tombstone"),
    ],
)
@with_loop
async def test_a_tombstone_that_does_not_tell_stays(
    store: ObjectStore, tombstone: bytes, reason: str
) -> None:
    """One that was written before they told what the run was, or one that is broken."""
    archive = ArchiveReader(store)
    await archive.objects.create(TOMBSTONE, tombstone)
    with pytest.raises(NameKept, match=reason):
        await free(archive)
    await ArchivePublisher(archive).delete("tiny")
    assert await contents(archive) == {TOMBSTONE: tombstone}


@with_loop
async def test_a_run_whose_record_is_broken_keeps_its_name(store: ObjectStore) -> None:
    """Deleted it can be, freed it cannot."""
    archive = ArchiveReader(store)
    await archive.objects.create(names.run_path("tiny"), b"{")
    with pytest.raises(NameKept, match="nothing tells"):
        await free(archive)
    await ArchivePublisher(archive).delete("tiny")
    with pytest.raises(NameKept, match="nothing tells"):
        await free(archive)


@with_loop
async def test_what_never_was_a_run_leaves_a_free_name(store: ObjectStore) -> None:
    """A publication that ended before `run.json`: nobody has seen it."""
    archive = ArchiveReader(store)
    await archive.objects.create(names.split_path("tiny"), b"")
    await free(archive)
    assert await contents(archive) == {}


YOUNG = young(tiny_run(steps=(0,), config=IMPORTED))
# Tombstone; the objects of a run with one checkpoint and one attempt; the tombstone again.
WRITES = 1 + 6 + 1


@pytest.mark.parametrize("at", range(WRITES))
@with_loop
async def test_between_any_two_writes_the_name_is_taken_or_free(
    store: ObjectStore, at: int
) -> None:
    """Interrupted before each write in turn: no reader sees a half, and a repetition frees it."""
    archive = ArchiveReader(store)
    await publish(YOUNG, archive)
    with pytest.raises(BaseException) as interruption:
        await free(interrupting(store, at))
    assert "Interrupted" in repr(interruption.value)
    left = await contents(archive)
    assert await archive.runs() == (["tiny"] if at == 0 else [])
    assert (TOMBSTONE in left) == (at > 0)  # nothing is free before everything is gone
    if at > 0:
        with pytest.raises(RunDeleted):
            await publish(tiny_run(seed=1), archive)
        told = await problems(archive, "tiny")
        assert all(line.endswith("belongs to a deleted run; delete the run again") for line in told)
    await free(archive)
    assert await contents(archive) == {}
    await publish(tiny_run(seed=1), archive)
    assert await problems(archive, "tiny") == []


@with_loop
async def test_the_trainer_of_a_freed_run_is_stopped(store: ObjectStore) -> None:
    """Its attempt is gone; nor is another trainer's of the same number taken for it."""
    archive = ArchiveReader(store)
    theirs, ours = ArchivePublisher(archive), ArchivePublisher(archive)
    old, new = young(tiny_run(steps=(0, 10))), tiny_run(seed=1)
    await theirs.publish_run(old.manifest, old.train_mask)
    attempt = await theirs.start_attempt("tiny")
    await theirs.publish_checkpoint(*old.checkpoints[0])
    await free(archive)
    with pytest.raises(RunDeleted):
        await theirs.check_attempt("tiny", attempt)
    with pytest.raises(RunDeleted):
        await theirs.publish_checkpoint(*old.checkpoints[1])
    await archive.objects.remove(names.model_path("tiny", 10))
    await ours.publish_run(new.manifest, new.train_mask)
    assert await ours.start_attempt("tiny") == attempt
    await ours.check_attempt("tiny", attempt)
    with pytest.raises(RunDeleted):
        await theirs.check_attempt("tiny", attempt)


@with_loop
async def test_a_name_under_which_somebody_publishes_is_not_freed(store: ObjectStore) -> None:
    """What came after the tombstone, from who had asked before it, keeps the name taken."""
    archive = ArchiveReader(store)
    await publish(YOUNG, archive)
    publisher = ArchivePublisher(archive)
    await publisher.delete("tiny")
    await archive.objects.create(names.model_path("tiny", 7), b"late")
    with pytest.raises(NameKept, match="stop that and repeat this"):
        await publisher.free_name("tiny")
    assert TOMBSTONE in await contents(archive)
    await free(archive)
    assert await contents(archive) == {}


@pytest.mark.parametrize("at", range(4))
def test_index_and_object_storage_agree_after_it(tmp_path: Path, at: int) -> None:
    """By the command: freed whole or interrupted, indexed anew under the same name, rebuilt."""
    settings = Settings(home=str(tmp_path))
    old = young(tiny_run(group="a", config=IMPORTED))
    new = young(tiny_run(group="b", seed=1, steps=(5,), config=IMPORTED))

    async def first() -> None:
        async with open_backends(settings) as opened:
            await old.publish(opened)
            if at:  # as far as it came before it was interrupted
                with suppress(Interrupted, ExceptionGroup, BaseExceptionGroup):
                    store = opened.archive.objects._store
                    await ArchivePublisher(interrupting(store, at)).delete("tiny")

    async def second() -> None:
        async with open_backends(settings) as opened:
            assert await opened.catalogue.runs() == []
            assert await opened.catalogue.groups() == []
            await new.publish(opened)
            for _ in range(2):
                found = await opened.catalogue.contents("tiny")
                assert (found.run.record, list(found.checkpoints)) == (new.manifest, [5])
                assert await opened.catalogue.groups() == ["b"]
                assert await opened.archive.groups() == {"b": ["tiny"]}
                state = (await opened.catalogue.states(["tiny"]))["tiny"]
                assert state == await opened.archive.state("tiny")
                assert state.created_at == new.manifest.created_at
                await opened.catalogue.rebuild(opened.archive)

    asyncio.run(first())
    assert asyncio.run(delete(settings, "tiny", free_name=True)) == 0
    asyncio.run(second())


@with_loop
async def test_a_reader_notices_that_a_name_is_another_run_s(store: ObjectStore) -> None:
    """Though what `run.json` says of its group is kept while it stays the same."""
    archive = ArchiveReader(store)
    await publish(young(tiny_run(steps=(0,), group="a", config=IMPORTED)), archive)
    assert await archive.groups() == {"a": ["tiny"]}
    await free(archive)
    assert await archive.groups() == {}
    later = replace_manifest(tiny_run(steps=(0,), group="b"), datetime(2026, 3, 3, tzinfo=UTC))
    await publish(later, archive)
    assert await archive.groups() == {"b": ["tiny"]}
    assert await archive.created_at("tiny") == later.manifest.created_at
