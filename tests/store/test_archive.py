"""Publication and verified reads, on every kind of store."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from obstore.exceptions import AlreadyExistsError
from obstore.store import MemoryStore

from grokprobe.errors import (
    CheckpointCorrupt,
    InvalidInput,
    PublicationConflict,
    RunDeleted,
    RunExists,
    RunNotFound,
    StepNotFound,
    StoreUnavailable,
    Superseded,
)
from grokprobe.store.archive import names
from grokprobe.store.archive.objects import CREATE_ATTEMPTS, Objects
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from tests.support.stores import KINDS, contents, new_store, with_loop
from tests.support.tiny import again, digest_of, tiny_run

TINY = tiny_run()


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveReader:
    """An empty archive, once on each kind of store."""
    return ArchiveReader(new_store(request.param, tmp_path))


@pytest.fixture
def publisher(archive: ArchiveReader) -> ArchivePublisher:
    """Who writes to it."""
    return ArchivePublisher(archive)


@with_loop
async def test_what_is_published_is_read_back_equal(archive: ArchiveReader) -> None:
    """Every record, the split and every model come back as they were given."""
    await TINY.publish(archive)
    manifests = [manifest for manifest, _ in TINY.checkpoints]
    assert await archive.runs() == ["tiny"]
    assert await archive.run("tiny") == TINY.manifest
    mask = await archive.train_mask("tiny")
    assert mask is not None
    assert np.array_equal(mask, TINY.train_mask)
    assert await archive.steps("tiny") == [0, 10, 200]
    assert await archive.checkpoints("tiny", [0, 10, 200]) == manifests
    assert await archive.checkpoint("tiny", 10) == manifests[1]
    assert await archive.completion("tiny") == TINY.completion
    assert [await archive.model(manifest) for manifest in manifests] == [
        model for _, model in TINY.checkpoints
    ]


@with_loop
async def test_runs_are_sorted_and_an_empty_store_has_none(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """A store that was never written holds no runs; later they come in order of their names."""
    assert await archive.runs() == []
    for name in ("b", "a..c", "a-b"):
        await publisher.publish_run(tiny_run(name).manifest, TINY.train_mask)
    assert await archive.runs() == ["a-b", "a..c", "b"]
    assert await archive.steps("b") == []
    assert await archive.completion("b") is None


@with_loop
async def test_a_publication_may_be_repeated_and_the_first_one_stays(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """Equal but for `created_at`: success, and the answer is the record that was there."""
    await TINY.publish(archive)
    before = await contents(archive)
    later = again(TINY)
    published = [await publisher.publish_checkpoint(*each) for each in later.checkpoints]
    assert published == [manifest for manifest, _ in TINY.checkpoints]
    end = msgspec.structs.replace(later.completion, manifests_sha256=digest_of(published))
    assert await publisher.publish_completion(end) == TINY.completion
    assert await contents(archive) == before


@with_loop
async def test_a_run_is_published_once(publisher: ArchivePublisher) -> None:
    """The same run again is refused with the way to go on."""
    await publisher.publish_run(TINY.manifest, TINY.train_mask)
    with pytest.raises(RunExists, match="trainer resume tiny"):
        await publisher.publish_run(TINY.manifest, TINY.train_mask)


@with_loop
async def test_a_conflict_names_run_step_and_fields(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """Other content under a published name is refused, and nothing changes."""
    await TINY.publish(archive)
    before = await contents(archive)
    other = tiny_run(seed=1)
    with pytest.raises(PublicationConflict, match=r"'tiny' step 10 .*measures\.test_loss.*model\."):
        await publisher.publish_checkpoint(*other.checkpoints[1])
    stopped = msgspec.structs.replace(TINY.completion, status="stopped")
    with pytest.raises(PublicationConflict, match=r"completion of run 'tiny' .* of status,"):
        await publisher.publish_completion(stopped)
    assert await contents(archive) == before


@with_loop
async def test_an_orphan_with_other_bytes_is_named(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """A model or a split that an interrupted publication left is never overwritten."""
    other = tiny_run(seed=1)
    (manifest, model), path = TINY.checkpoints[1], names.model_path("tiny", 10)
    await archive.objects.create(path, other.checkpoints[1][1])
    with pytest.raises(PublicationConflict, match=path):
        await publisher.publish_checkpoint(manifest, model)
    await archive.objects.create(names.split_path("tiny"), b"other")
    with pytest.raises(PublicationConflict, match=names.split_path("tiny")):
        await publisher.publish_run(TINY.manifest, TINY.train_mask)


@with_loop
async def test_records_that_contradict_themselves_are_not_published(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """A digest that is not of the bytes beside it, a name that is none: refused before a write."""
    with pytest.raises(PublicationConflict, match="split_sha256"):
        await publisher.publish_run(TINY.manifest, ~TINY.train_mask)
    with pytest.raises(PublicationConflict, match=r"step 0: model\.sha256"):
        await publisher.publish_checkpoint(TINY.checkpoints[0][0], b"something else")
    with pytest.raises(InvalidInput, match="run name"):
        await publisher.publish_run(tiny_run("../tiny").manifest, TINY.train_mask)
    assert await contents(archive) == {}


@with_loop
async def test_of_sixteen_racers_one_wins_or_all_agree(publisher: ArchivePublisher) -> None:
    """One publishes the run, all agree on a checkpoint, each gets an attempt of its own."""
    racers = range(16)
    results = await asyncio.gather(
        *(publisher.publish_run(TINY.manifest, TINY.train_mask) for _ in racers),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in results) == ["NoneType"] + 15 * ["RunExists"]
    versions = [(TINY if i % 2 else again(TINY)).checkpoints[0] for i in racers]
    published = await asyncio.gather(*(publisher.publish_checkpoint(*v) for v in versions))
    assert len({manifest.created_at for manifest in published}) == 1
    attempts = await asyncio.gather(*(publisher.start_attempt("tiny") for _ in racers))
    assert sorted(attempts) == list(range(1, 17))


@with_loop
async def test_a_store_that_refuses_every_create(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 says 409 while somebody else writes, who may fail; asked often enough it is an error."""
    refused: list[str] = []

    class Refusing(MemoryStore):
        def put(self, path: str, *_: Any, **__: Any) -> Any:
            refused.append(path)
            raise AlreadyExistsError("409")

    monkeypatch.setattr(asyncio, "sleep", partial(asyncio.sleep, 0))
    with pytest.raises(StoreUnavailable, match="it refuses every create") as failure:
        await Objects(Refusing()).create("a/b", b"")
    assert "a/b" in failure.value.told
    assert refused == ["a/b"] * CREATE_ATTEMPTS


@with_loop
async def test_the_newest_attempt_alone_may_publish(publisher: ArchivePublisher) -> None:
    """An attempt is good until the next one starts."""
    await publisher.publish_run(TINY.manifest, TINY.train_mask)
    first = await publisher.start_attempt("tiny")
    await publisher.check_attempt("tiny", first)
    second = await publisher.start_attempt("tiny")
    assert (first, second) == (1, 2)
    await publisher.check_attempt("tiny", second)
    with pytest.raises(Superseded, match="attempt 1 of run 'tiny'"):
        await publisher.check_attempt("tiny", first)


@with_loop
async def test_a_tombstone_hides_the_run_from_every_reader_and_stops_every_writer(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """From the tombstone on, with all other objects still there, the run is not there."""
    await TINY.publish(archive)
    await publisher.mark_deleted("tiny")
    manifest, model = TINY.checkpoints[0]
    reads: list[Callable[[], Awaitable[object]]] = [
        lambda: archive.run("tiny"),
        lambda: archive.steps("tiny"),
        lambda: archive.train_mask("tiny"),
        lambda: archive.checkpoint("tiny", 0),
        lambda: archive.checkpoints("tiny", []),
        lambda: archive.completion("tiny"),
    ]
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: publisher.publish_run(TINY.manifest, TINY.train_mask),
        lambda: publisher.publish_checkpoint(manifest, model),
        lambda: publisher.publish_completion(TINY.completion),
        lambda: publisher.start_attempt("tiny"),
        lambda: publisher.check_attempt("tiny", 1),
    ]
    assert await archive.runs() == []
    for calls, kind in ((reads, RunNotFound), (writes, RunDeleted)):
        for call in calls:
            with pytest.raises(kind):
                await call()


@with_loop
async def test_of_a_deleted_run_the_tombstone_stays(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """Everything else goes, neighbours stay, and deleting again is a success."""
    await TINY.publish(archive)
    await publisher.start_attempt("tiny")
    await tiny_run("tiny2").publish(archive)
    await publisher.delete("tiny")
    after = await contents(archive)
    assert await archive.objects.below("runs/tiny") == ["runs/tiny/deleted.json"]
    await publisher.delete("tiny")
    assert await contents(archive) == after
    assert await archive.runs() == ["tiny2"]
    assert await problems(archive, "tiny2") == []


@with_loop
async def test_what_is_not_there_is_named(
    archive: ArchiveReader, publisher: ArchivePublisher
) -> None:
    """Unknown and impossible names are RunNotFound, an unknown step names its neighbours."""
    await TINY.publish(archive)
    for name in ("nothing", "tin", "..", "a/b", "", "TINY"):
        for call in (archive.run, archive.steps, archive.completion, publisher.delete):
            with pytest.raises(RunNotFound, match="not published"):
                await call(name)
    with pytest.raises(StepNotFound, match=r"at step 11; nearest: 0, 10$"):
        await archive.checkpoint("tiny", 11)
    with pytest.raises(StepNotFound, match=r"step -1; nearest: 0, 10$"):
        await archive.checkpoints("tiny", [0, -1])


@with_loop
async def test_a_model_is_never_returned_unverified(archive: ArchiveReader) -> None:
    """Above the limit, missing, of another size, of other bytes: CheckpointCorrupt each."""
    manifest, model = TINY.checkpoints[0]
    path = names.model_path("tiny", 0)
    with pytest.raises(CheckpointCorrupt, match=f"{len(model)} bytes, the limit here is 5"):
        await archive.model(manifest, max_bytes=5)
    with pytest.raises(CheckpointCorrupt, match="missing"):
        await archive.model(manifest)
    for bad in (model + b"!", model[:-1], model[:-1] + bytes([model[-1] ^ 1])):
        await archive.objects.remove(path)
        await archive.objects.create(path, bad)
        with pytest.raises(CheckpointCorrupt, match=path):
            await archive.model(manifest)


@with_loop
async def test_a_record_must_lie_where_it_says(archive: ArchiveReader) -> None:
    """A manifest that was copied to another step is not that step's."""
    await TINY.publish(archive)
    data = await archive.objects.read(names.manifest_path("tiny", 0))
    await archive.objects.create(names.manifest_path("tiny", 5), data or b"")
    with pytest.raises(CheckpointCorrupt, match=r"0000000005/manifest\.json says step 0"):
        await archive.checkpoint("tiny", 5)
