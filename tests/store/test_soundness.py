"""`verify` finds each kind of damage and names the object."""

from pathlib import Path

import numpy as np
import pytest

from grokprobe.errors import RunNotFound
from grokprobe.store.archive import names
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.split import encode_split
from grokprobe.store.archive.verification import problems
from grokprobe.store.records import encode_record
from tests.support.stores import KINDS, new_store, with_loop
from tests.support.tiny import tiny_run

TINY = tiny_run()
MODEL = names.model_path("tiny", 10)
MANIFEST = names.manifest_path("tiny", 10)
SPLIT = names.split_path("tiny")


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveReader:
    """An empty archive, once on each kind of store."""
    return ArchiveReader(new_store(request.param, tmp_path))


async def damage(archive: ArchiveReader, path: str, data: bytes | None) -> list[str]:
    """What `verify` says when the object at `path` has other bytes, or, for None, is gone."""
    await TINY.publish(archive)
    assert await problems(archive, "tiny") == []
    await archive.objects.remove(path)
    if data is not None:
        await archive.objects.create(path, data)
    return await problems(archive, "tiny")


@with_loop
async def test_a_flipped_byte_in_a_model(archive: ArchiveReader) -> None:
    """The digest tells."""
    model = bytearray(TINY.checkpoints[1][1])
    model[100] ^= 1
    [line] = await damage(archive, MODEL, bytes(model))
    assert line == f"{MODEL} is not the model that its manifest records"


@with_loop
async def test_a_missing_model(archive: ArchiveReader) -> None:
    """A manifest must have its model."""
    [line] = await damage(archive, MODEL, None)
    assert line == f"{MODEL} is missing, though its manifest is published"


@with_loop
async def test_a_missing_manifest(archive: ArchiveReader) -> None:
    """A model must have its manifest."""
    lines = await damage(archive, MANIFEST, None)
    assert lines[0] == "runs/tiny/complete.json records other manifests than these"
    assert lines[1].startswith(f"{MODEL} is an object that nothing refers to")


@with_loop
async def test_a_truncated_manifest(archive: ArchiveReader) -> None:
    """The record cannot be read; the model beside it is not called a stray."""
    [line] = await damage(archive, MANIFEST, encode_record(TINY.checkpoints[1][0])[:-20])
    assert line.startswith(f"{MANIFEST} is not a CheckpointManifest: ")
    assert "\n" not in line


@with_loop
async def test_a_stray_object(archive: ArchiveReader) -> None:
    """What nothing refers to is reported; the trainer's own state is not."""
    await archive.objects.create("runs/tiny/state/1/a.json", b"private")
    [line] = await damage(archive, "runs/tiny/notes.txt", b"stray")
    assert line.startswith("runs/tiny/notes.txt is an object that nothing refers to")


@pytest.mark.parametrize(
    "data",
    [
        encode_split(~TINY.train_mask),
        encode_split(np.zeros(3, dtype=np.bool_)),
        encode_split(TINY.train_mask)[:-3],
        encode_split(TINY.train_mask).replace(b"'|b1'", b"'|i1'"),
        encode_split(TINY.train_mask).replace(b"(49,)", b"(9" + b"9" * 15 + b",)"),
        b"PK\x03\x04 no zip",
        b"",
        None,
    ],
    ids=["other", "shape", "truncated", "dtype", "huge", "zip", "empty", "missing"],
)
@with_loop
async def test_a_changed_split(archive: ArchiveReader, data: bytes | None) -> None:
    """Any other bytes, down to none at all, are one line that names the split."""
    [line] = await damage(archive, SPLIT, data)
    assert line.startswith(f"{SPLIT} is ")


@with_loop
async def test_a_damaged_run_record(archive: ArchiveReader) -> None:
    """Reported once, and the checkpoints are looked at all the same."""
    lines = await damage(archive, names.run_path("tiny"), b'{"format_version": 2}')
    assert [line.split()[0] for line in lines] == [names.run_path("tiny")]
    await archive.objects.remove(MODEL)
    lines = await problems(archive, "tiny")
    assert [line.split()[0] for line in lines] == [names.run_path("tiny"), MODEL]


@with_loop
async def test_a_checkpoint_of_another_split(archive: ArchiveReader) -> None:
    """Every manifest carries the digest of its run's split."""
    other = encode_record(tiny_run(modulus=5).checkpoints[1][0])
    lines = await damage(archive, MANIFEST, other)
    assert len(lines) == 1
    mine = encode_record(TINY.checkpoints[1][0]).replace(
        str(TINY.manifest.task.split_sha256).encode(), b"0" * 64
    )
    await archive.objects.remove(MANIFEST)
    await archive.objects.create(MANIFEST, mine)
    [line] = await problems(archive, "tiny")  # broken, so not one of other manifests as well
    assert line == f"{MANIFEST} is not of its run: it has another split_sha256 than run.json"


@with_loop
async def test_what_an_interruption_left(archive: ArchiveReader) -> None:
    """A split without a run, and objects of a deleted run, are reported with what to do."""
    await archive.objects.create(SPLIT, b"")
    [line] = await problems(archive, "tiny")
    assert line == f"{SPLIT} belongs to a run whose publication was interrupted"
    await ArchivePublisher(archive).mark_deleted("tiny")
    [line] = await problems(archive, "tiny")
    assert line == f"{SPLIT} belongs to a deleted run; delete the run again"
    with pytest.raises(RunNotFound):
        await problems(archive, "another")
