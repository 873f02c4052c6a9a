"""Groups in the stores: found without reading every run, and gone with their members."""

import json
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from grokprobe.errors import GroupNotFound, InvalidInput
from grokprobe.store.archive import names
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue import keys as index
from grokprobe.store.catalogue.filters import RunFilter
from grokprobe.store.records import RunManifest, encode_record
from tests.support.stores import backends, with_loop
from tests.support.tiny import tiny_run

# One group's name begins another's, and sorts between that one and its members.
MEMBERS = {"a": ["s0", "s1", "t"], "a-b": ["s2"], "a.b": ["s3"]}


async def publish(to: Backends) -> None:
    """The groups of MEMBERS, and a run in none."""
    for group, runs in MEMBERS.items():
        for run in runs:
            await tiny_run(run, steps=(0, 10), group=group).publish(to)
    await tiny_run("alone", steps=(0,)).publish(to)


async def grouped(opened: Backends) -> dict[str, list[str]]:
    """The members of each group by the index."""
    catalogue = opened.catalogue
    return {g: await catalogue.runs(wanted=RunFilter(group=g)) for g in await catalogue.groups()}


@with_loop
async def test_the_index_and_object_storage_agree(tmp_path: Path) -> None:
    """Members by group, also after Redis was emptied and rebuilt."""
    async with backends(tmp_path) as (opened, client):
        await publish(opened)
        assert await grouped(opened) == MEMBERS == await opened.archive.groups()
        await client.flushall()
        await opened.catalogue.rebuild(opened.archive)
        assert await grouped(opened) == MEMBERS
        assert await opened.catalogue.runs(wanted=RunFilter(group="b")) == []


@with_loop
async def test_members_are_paged_like_runs(tmp_path: Path) -> None:
    """Strictly after the cursor, at most the limit; what is no name has no members."""
    async with backends(tmp_path) as (opened, _):
        await publish(opened)
        runs = opened.catalogue.runs
        group = RunFilter(group="a")
        assert await runs("s0", 1, group) == ["s1"]
        assert await runs("", 2, group) == ["s0", "s1"]
        assert await runs("t", 5, group) == []
        for odd in ("", "a/", "a/s", "A", "\ud800", "[", "-", "+"):
            assert await runs(wanted=RunFilter(group=odd)) == []


@with_loop
async def test_a_member_that_is_removed_leaves_its_group(tmp_path: Path) -> None:
    """The last one takes the group along; removing again, or what is not there, is no error."""
    async with backends(tmp_path) as (opened, client):
        await publish(opened)
        for run in ("s1", "s1", "s2"):
            await opened.catalogue.remove_run(run)
        await opened.publisher.mark_deleted("s3")
        await opened.catalogue.reconcile(opened.archive, "s3")
        assert await grouped(opened) == {"a": ["s0", "t"]}
        assert await client.keys("grokprobe:{run:s[123]}*") == []
        assert await opened.archive.groups() == {"a": ["s0", "s1", "t"], "a-b": ["s2"]}


@with_loop
async def test_a_rebuild_drops_entries_that_no_run_confirms(tmp_path: Path) -> None:
    """Strays go, and members whose `run.json` cannot be read: object storage says the same."""
    async with backends(tmp_path) as (opened, client):
        await publish(opened)
        await client.zadd(index.GROUPS, {"a/alone": 0, "a/nobody": 0, "b/s0": 0})
        await opened.archive.objects.remove(names.run_path("t"))
        await opened.archive.objects.create(names.run_path("t"), b"{")
        await opened.catalogue.rebuild(opened.archive)
        readable = {**MEMBERS, "a": ["s0", "s1"]}
        assert await grouped(opened) == readable == await opened.archive.groups()


@with_loop
async def test_states(tmp_path: Path) -> None:
    """Status, count and latest step, equal from both sources; runs that are gone are left out."""
    async with backends(tmp_path) as (opened, _):
        await publish(opened)
        fresh = tiny_run("fresh", group="a")
        await opened.publisher.publish_run(fresh.manifest, fresh.train_mask)
        await opened.catalogue.reconcile(opened.archive, "fresh")
        found = await opened.catalogue.states(["s0", "gone", "fresh"])
        assert found == {run: await opened.archive.state(run) for run in ("s0", "fresh")}
        told = [(s.status, s.checkpoint_count, s.latest_step) for s in found.values()]
        assert told == [("complete", 2, 10), ("running", 0, None)]
        assert await opened.catalogue.states([]) == {}


@with_loop
async def test_a_group_is_named_like_a_run() -> None:
    """Anything else is refused before anything is written."""
    archive = ArchiveReader(MemoryStore())
    for bad in ("", "A", "a/b", "a" * 64, "-a", "a\n"):
        run = tiny_run(steps=(0,), group=bad)
        with pytest.raises(InvalidInput, match="is not a group's name"):
            await ArchivePublisher(archive).publish_run(run.manifest, run.train_mask)
    assert await archive.names() == []


@with_loop
async def test_manifests_without_a_group_are_read() -> None:
    """What was published before there were groups is in none."""
    archive, run = ArchiveReader(MemoryStore()), tiny_run()
    record = json.loads(encode_record(run.manifest))
    del record["group"]
    await archive.objects.create(names.run_path("tiny"), json.dumps(record).encode())
    found: RunManifest = await archive.run("tiny")
    assert (found, found.group) == (run.manifest, None)


def test_an_unknown_group_names_those_that_are_called_alike() -> None:
    """None of them: no hint."""
    assert str(GroupNotFound("wd-swep", ["wd-sweep", "lr"])).endswith("; did you mean wd-sweep?")
    assert str(GroupNotFound("zzz", ["wd-sweep"])) == "no published run is in a group 'zzz'"
