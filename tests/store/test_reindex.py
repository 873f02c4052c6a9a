"""Reindexing: the index becomes what object storage holds, while others go on."""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from grokprobe.errors import CheckpointCorrupt, IndexDoubted
from grokprobe.store.archive import names
from grokprobe.store.catalogue import keys as index
from tests.support.stores import answers, backends, indexed_steps, with_loop
from tests.support.tiny import index_run, tiny_run

TINY = tiny_run()
MANIFESTS = [manifest for manifest, _ in TINY.checkpoints]
STEPS = [manifest.step for manifest in MANIFESTS]


@with_loop
async def test_reconcile_makes_one_run_equal_to_its_listing(tmp_path: Path) -> None:
    """Missing, changed and surplus entries of a run are put right, those of others are not."""
    async with backends(tmp_path) as (opened, client):
        await TINY.publish(opened)
        catalogue = opened.catalogue
        right = await answers(opened.archive)
        await catalogue.add_checkpoint(msgspec.structs.replace(MANIFESTS[0], step=7))
        await client.hdel(index.key("tiny", "checkpoints"), "10")
        await client.hset(index.key("tiny", "checkpoints"), "0", "{}")
        await index_run(catalogue, tiny_run("other", steps=(0,)).manifest)
        await catalogue.reconcile(opened.archive, "tiny")
        assert await catalogue.runs() == ["other", "tiny"]
        await catalogue.remove_run("other")
        assert await answers(catalogue) == right
        await opened.archive.objects.remove(names.completion_path("tiny"))
        await catalogue.reconcile(opened.archive, "tiny")
        assert (await catalogue.contents("tiny")).completion is None


@with_loop
async def test_a_rebuild_drops_deleted_runs_and_honours_tombstones(tmp_path: Path) -> None:
    """A run with a tombstone leaves the index though its objects are still there."""
    async with backends(tmp_path) as (opened, client):
        await TINY.publish(opened)
        await opened.publisher.mark_deleted("tiny")
        report = await opened.catalogue.rebuild(opened.archive)
        assert (report.runs, report.removed) == (0, 1)
        assert await opened.catalogue.runs() == []
        assert await client.keys("grokprobe:{run:*") == []


@with_loop
async def test_a_rebuild_reports_what_it_cannot_read_and_indexes_the_rest(tmp_path: Path) -> None:
    """One truncated manifest costs one checkpoint; one damaged `run.json` costs one run."""
    async with backends(tmp_path) as (opened, _):
        for run in (TINY, tiny_run("broken", steps=(0,))):
            await run.publish(opened)
        for path in (names.manifest_path("tiny", 10), names.run_path("broken")):
            await opened.archive.objects.remove(path)
            await opened.archive.objects.create(path, b"{")
        report = await opened.catalogue.rebuild(opened.archive)
        found = await opened.catalogue.contents("tiny")
        assert {step: c is not None for step, c in found.checkpoints.items()} == {
            0: True,
            10: False,
            200: True,
        }
        assert (report.runs, report.checkpoints, len(report.problems)) == (1, 2, 2)
        with pytest.raises(CheckpointCorrupt):
            await opened.catalogue.reconcile(opened.archive, "broken")


@with_loop
async def test_readers_and_a_writer_go_on_while_it_is_rebuilt(tmp_path: Path) -> None:
    """Readers see every checkpoint, or a doubt; one that is added meanwhile stays."""
    async with backends(tmp_path) as (opened, _):
        await TINY.publish(opened)
        late = tiny_run(steps=(0, 10, 200, 300))
        rebuilds = asyncio.gather(*(opened.catalogue.rebuild(opened.archive) for _ in range(5)))
        (manifest, model) = late.checkpoints[-1]
        await opened.publisher.publish_checkpoint(manifest, model)
        await opened.catalogue.add_checkpoint(manifest)
        while not rebuilds.done():
            with suppress(IndexDoubted):
                assert await indexed_steps(opened.catalogue, "tiny") == [*STEPS, 300]
        await rebuilds
        assert await indexed_steps(opened.catalogue, "tiny") == [*STEPS, 300]
