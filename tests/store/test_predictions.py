"""What a checkpoint answers to every pair, as an object beside its model."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest

from grokprobe.errors import CheckpointCorrupt, PublicationConflict, RunNotFound
from grokprobe.store.archive import names
from grokprobe.store.archive.predictions import (
    decode_predictions,
    describe_predictions,
    encode_predictions,
    read_predictions,
)
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from grokprobe.store.records import CheckpointManifest, encode_record
from tests.support.hostile_records import PREDICTIONS
from tests.support.stores import KINDS, contents, new_store, with_loop
from tests.support.tiny import again, answering, tiny_run

OLDER = tiny_run()
TINY = answering(OLDER)
MANIFEST, MODEL = TINY.checkpoints[1]
PATH = names.predictions_path("tiny", 10)


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveReader:
    """An empty archive, once on each kind of store."""
    return ArchiveReader(new_store(request.param, tmp_path))


@pytest.mark.parametrize(
    ("modulus", "kind"), [(3, "uint8"), (256, "uint8"), (257, "uint16"), (509, "uint16")]
)
def test_they_are_as_small_as_residues_allow(modulus: int, kind: str) -> None:
    """A byte a pair up to p = 256, two above; any program of numpy's reads them."""
    predicted = np.arange(modulus**2) % modulus
    data = encode_predictions(predicted, modulus)
    found = np.load(io.BytesIO(data))
    assert found.dtype.name == kind
    assert np.array_equal(found, predicted)
    assert np.array_equal(decode_predictions(data, modulus, "x"), predicted)
    assert describe_predictions(data).bytes == len(data) == modulus**2 * found.itemsize + 128


@with_loop
async def test_they_are_read_back(archive: ArchiveReader) -> None:
    """Equal at every step, and all is well with the run; one of an older trainer has none."""
    await TINY.publish(archive)
    for manifest in await archive.checkpoints("tiny", await archive.steps("tiny")):
        found = await read_predictions(archive, manifest, 7)
        assert found is not None
        stored = np.load(io.BytesIO(TINY.predictions[manifest.step]))
        assert np.array_equal(found, stored)
    assert await problems(archive, "tiny") == []
    assert await read_predictions(archive, OLDER.checkpoints[0][0], 7) is None


@with_loop
async def test_publishing_again(archive: ArchiveReader) -> None:
    """Equal ones are a success; others, or none, are a conflict, and nothing changes."""
    await TINY.publish(archive)
    before, publisher = await contents(archive), ArchivePublisher(archive)
    later, _ = again(TINY).checkpoints[1]
    assert await publisher.publish_checkpoint(later, MODEL, TINY.predictions[10]) == MANIFEST
    other = encode_predictions(np.zeros(49), 7)
    changed = msgspec.structs.replace(MANIFEST, predictions=describe_predictions(other))
    with pytest.raises(PublicationConflict, match=r"step 10 .*predictions\.sha256"):
        await publisher.publish_checkpoint(changed, MODEL, other)
    for given in (None, other):
        with pytest.raises(PublicationConflict, match="predictions"):
            await publisher.publish_checkpoint(MANIFEST, MODEL, given)
    assert await contents(archive) == before


@with_loop
async def test_what_an_older_trainer_published_stays(archive: ArchiveReader) -> None:
    """A newer one that resumes it, or imports the same again, finds no difference."""
    await OLDER.publish(archive)
    before, publisher = await contents(archive), ArchivePublisher(archive)
    for manifest, model in TINY.checkpoints:
        published = await publisher.publish_checkpoint(
            manifest, model, TINY.predictions[manifest.step]
        )
        assert published.predictions is None
    assert await contents(archive) == before
    assert await problems(archive, "tiny") == []


async def planted(archive: ArchiveReader, data: bytes | None) -> CheckpointManifest:
    """Publish the run, with a manifest of step 10 that names these predictions; None removes them.

    Whoever writes the bucket can do that.
    """
    await TINY.publish(archive)
    await archive.objects.remove(names.completion_path("tiny"))  # which knows the manifests
    if data is None:
        await archive.objects.remove(PATH)
        return MANIFEST
    mine = msgspec.structs.replace(MANIFEST, predictions=describe_predictions(data))
    await archive.objects.replace(names.manifest_path("tiny", 10), encode_record(mine))
    await archive.objects.replace(PATH, data)
    return mine


# More bytes than there can be are refused in the manifest.
@pytest.mark.parametrize("name", [*(n for n in PREDICTIONS if n != "16 MB"), None])
@with_loop
async def test_hostile_ones_are_named(name: str | None, tmp_path: Path) -> None:
    """Though their digest is right: for a reader, and for `verify`, which names nothing else."""
    archive = ArchiveReader(new_store("memory", tmp_path))
    manifest = await planted(archive, PREDICTIONS[name] if name else None)
    with pytest.raises(CheckpointCorrupt) as caught:
        await read_predictions(archive, manifest, 7)
    assert str(caught.value).startswith(f"{PATH} ")
    assert await problems(archive, "tiny") == [str(caught.value)]


@pytest.mark.parametrize("tail", [b"\xff", b"", b"\xff\xff"], ids=["another", "less", "more"])
@with_loop
async def test_other_bytes_are_named(archive: ArchiveReader, tail: bytes) -> None:
    """The digest or the length tells, on every kind of store."""
    await TINY.publish(archive)
    changed = TINY.predictions[10][:-1] + tail
    await archive.objects.replace(PATH, changed)
    with pytest.raises(CheckpointCorrupt, match=PATH):
        await read_predictions(archive, MANIFEST, 7)
    [line] = await problems(archive, "tiny")
    assert line.startswith(f"{PATH} ")


@with_loop
async def test_a_broken_model_does_not_hide_them(archive: ArchiveReader) -> None:
    """Each object of a checkpoint is looked at by itself."""
    await TINY.publish(archive)
    await archive.objects.remove(names.model_path("tiny", 10))
    await archive.objects.remove(PATH)
    found = [line.split()[0] for line in await problems(archive, "tiny")]
    assert found == [names.model_path("tiny", 10), PATH]


@with_loop
async def test_what_no_manifest_names_is_a_stray(archive: ArchiveReader) -> None:
    """As it would be left by a publication that was interrupted before its manifest."""
    await OLDER.publish(archive)
    await archive.objects.create(PATH, TINY.predictions[10])
    [line] = await problems(archive, "tiny")
    assert line.startswith(f"{PATH} is an object that nothing refers to")


@with_loop
async def test_they_go_with_their_run(archive: ArchiveReader) -> None:
    """Deleted with all else, and whoever still reads them is told of the run."""
    await TINY.publish(archive)
    await ArchivePublisher(archive).delete("tiny")
    assert list(await contents(archive)) == [names.tombstone_path("tiny")]
    with pytest.raises(RunNotFound):
        await read_predictions(archive, MANIFEST, 7)
