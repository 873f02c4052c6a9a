"""Members of a group: each read once for as far as it is, a few at a time, whoever asks."""

import asyncio
from pathlib import Path

import pytest

from grokprobe.errors import GroupNotFound
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue import keys as index
from service.errors import TooLarge
from service.runs.groups import MAX_MEMBERS, GroupMembers
from service.runs.source import Source
from service.telemetry.metrics import Metrics
from tests.support.grouped import FRESH, GOES_ON, GROUP, NAMES, crowd, publish_group, publish_some
from tests.support.stores import backends, with_loop


def started(opened: Backends) -> GroupMembers:
    """With nothing kept, as in a process that has just started."""
    return GroupMembers(Source(opened.catalogue, opened.archive, Metrics()))


@with_loop
async def test_a_member_is_read_again_only_when_it_goes_on(tmp_path: Path) -> None:
    """Though its checkpoints cannot be read any more, what is kept still answers."""
    async with backends(tmp_path) as (opened, client):
        await publish_group(opened)
        members = started(opened)
        before = await members.rows(await members.group(GROUP))
        for run in NAMES:
            await client.delete(index.key(run, "checkpoints"))
        assert await members.rows(await members.group(GROUP)) == before
        await publish_some(opened, FRESH, 1)
        after = await members.rows(await members.group(GROUP))
        assert after[:4] == before[:4]
        assert (after[4].checkpoint_count, before[4].checkpoint_count) == (1, 0)


@with_loop
async def test_many_ask_at_once(tmp_path: Path) -> None:
    """All have the same answer, and one who goes away takes nobody along."""
    async with backends(tmp_path) as (opened, _):
        await publish_group(opened)
        members = started(opened)
        group = await members.group(GROUP)
        asking = [asyncio.create_task(members.rows(group)) for _ in range(20)]
        await asyncio.sleep(0)
        asking[0].cancel()
        first, *others = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert all(rows == others[0] for rows in others)
        assert [row.run for row in await members.rows(group)] == NAMES


@with_loop
async def test_a_member_that_is_deleted_while_it_is_read(tmp_path: Path) -> None:
    """It is left out; a group whose last member goes is not there any more."""
    async with backends(tmp_path) as (opened, _):
        await publish_some(opened, GOES_ON, 2)
        await publish_some(opened, FRESH, 1)
        members = started(opened)
        group = await members.group(GROUP)
        await opened.publisher.mark_deleted(FRESH.name)
        await opened.catalogue.remove_run(FRESH.name)
        assert [row.run for row in await members.rows(group)] == [GOES_ON.name]
        await opened.publisher.mark_deleted(GOES_ON.name)
        await opened.catalogue.remove_run(GOES_ON.name)
        with pytest.raises(GroupNotFound):
            await members.group(GROUP)


@with_loop
async def test_without_redis_what_has_ended_is_not_listed_again(tmp_path: Path) -> None:
    """From object storage: how far those are that go on, and of the others what is kept."""
    async with backends(tmp_path) as (opened, client):
        await publish_group(opened)
        by_index = await started(opened).group(GROUP)
        await client.delete(index.READY)
        members = started(opened)
        assert await members.group(GROUP) == by_index
        rows = await members.rows(by_index)
        manifest, model = GOES_ON.checkpoints[2]
        await opened.publisher.publish_checkpoint(manifest, model)
        group = await members.group(GROUP)
        assert [s.latest_step for s in group.states] == [400, 400, 400, 200, None]
        assert [row.run for row in await members.rows(group)] == [row.run for row in rows]


@with_loop
async def test_the_most_members(tmp_path: Path) -> None:
    """One more is refused, before anything of them is read."""
    async with backends(tmp_path) as (opened, client):
        await opened.catalogue.connection.send(*crowd(MAX_MEMBERS + 1))
        await opened.catalogue.initialise()
        with pytest.raises(TooLarge, match=f"more than {MAX_MEMBERS} members"):
            await started(opened).group("crowd")
        await client.delete(index.GROUPS, index.FILED)
        await opened.catalogue.connection.send(*crowd(MAX_MEMBERS))
        await opened.catalogue.initialise()
        with pytest.raises(GroupNotFound):  # entries without a run are no members
            await started(opened).group("crowd")
