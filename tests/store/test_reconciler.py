"""The reconciler: whatever became of the index, it is equal to object storage again, by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grokprobe.errors import CatalogueUnavailable
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.seal import Seal, encode_seal
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue import keys as index
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.filters import RunFilter
from grokprobe.store.catalogue.reconciling.reconciler import Reconciler
from grokprobe.store.catalogue.reindex import Reindex
from grokprobe.store.records import Status, encode_record, sha256
from tests.support.stores import backends, indexed_steps, with_loop
from tests.support.tiny import TinyRun, tiny_run

GROUPED = tiny_run("grouped", steps=(0, 10), group="some")
ENDED, OTHER = tiny_run("ended"), tiny_run("other", modulus=5, steps=(0,))
RUNNING = tiny_run("running", steps=(0, 10, 20, 30))
STATUSES: tuple[Status, ...] = ("running", "complete", "stopped", "failed")


async def publish(to: Backends, run: TinyRun, checkpoints: int | None = None) -> None:
    """All of a run, or the first checkpoints of one that goes on; not indexed."""
    await to.publisher.publish_run(run.manifest, run.train_mask)
    for manifest, model in run.checkpoints[:checkpoints]:
        await to.publisher.publish_checkpoint(manifest, model)
    if checkpoints is None:
        await to.publisher.publish_completion(run.completion)


async def fill(to: Backends) -> None:
    """Three runs that have ended and one that goes on, indexed."""
    for run in (GROUPED, ENDED, OTHER):
        await publish(to, run)
    await publish(to, RUNNING, 2)
    await to.catalogue.rebuild(to.archive)


async def indexed(catalogue: Catalogue) -> dict[str, Any]:
    """What the index proves: the seals of runs, and every list."""
    runs = await catalogue.runs()
    seals = {run: (await catalogue.contents(run)).seal for run in runs}
    return {"runs": seals, "groups": await catalogue.groups(), "lists": await lists(catalogue)}


async def lists(catalogue: Catalogue) -> dict[str, list[str]]:
    """The runs by each filter."""
    filters = [
        *(RunFilter(status=status) for status in STATUSES),
        RunFilter(group="some"),
        RunFilter(modulus=7),
        RunFilter(operation="add", modulus=5, status="complete"),
    ]
    return {str(wanted): await catalogue.runs(wanted=wanted) for wanted in filters}


async def stored(archive: ArchiveReader) -> dict[str, Seal]:
    """The seals of what object storage holds."""
    return {run: (await read_contents(archive, run)).seal for run in await archive.runs()}


async def settle(reconciler: Reconciler) -> None:
    """Turns until nothing is behind: two for a run that goes on, and one more."""
    for _ in range(3):
        await reconciler.turn()


def forged(contents: Contents) -> Contents:
    """Other measures of each checkpoint, in an entry that proves itself."""
    there = {}
    for step, found in contents.checkpoints.items():
        assert found
        record = msgspec.structs.replace(found.record, measures={"test_accuracy": 0.5})
        data = encode_record(record)
        there[step] = found._replace(record=record, sha256=sha256(data), data=data)
    return replace(contents, checkpoints=there)


async def forge(opened: Backends, run: str) -> None:
    """Write the entry of a run as somebody would who knows its seal."""
    contents = await read_contents(opened.archive, run)
    await opened.catalogue.put_run(forged(contents), encode_seal(contents.seal))


Damage = Callable[[Backends, Any], Awaitable[Any]]
RUNS = ("grouped", "ended", "running")
GLOBAL = (index.READY, index.RUNS, index.GROUPS, index.FILED)
RETYPE = "redis.call('DEL', KEYS[1]); redis.call('LPUSH', KEYS[1], 'x')"


def evict(key: str) -> Damage:
    """Redis drops a key."""
    return lambda _, client: client.delete(key)


def retype(key: str) -> Damage:
    """Somebody puts a list there."""
    return lambda _, client: client.eval(RETYPE, 1, key)


PARTS = {f"{part} of {run}": index.key(run, part) for part in index.PARTS for run in RUNS}
KEYS = {**PARTS, **{key: key for key in GLOBAL}}
DAMAGES: dict[str, Damage] = {
    "flushed": lambda _, c: c.flushall(),
    **{f"{name} evicted": evict(key) for name, key in KEYS.items()},
    **{f"{name} of another type": retype(key) for name, key in KEYS.items()},
    "a step lost": lambda _, c: c.hdel(index.key("ended", "checkpoints"), "10"),
    "a step too many": lambda _, c: c.hset(index.key("ended", "checkpoints"), "11", "{}"),
    "a word for a step": lambda _, c: c.hset(index.key("ended", "checkpoints"), "ten", "{}"),
    "a manifest damaged": lambda _, c: c.hset(index.key("ended", "checkpoints"), "10", "{"),
    "one poisoned": lambda opened, _: forge(opened, "ended"),
    "one that goes on poisoned": lambda opened, _: forge(opened, "running"),
    "a run lost from the list": lambda _, c: c.zrem(index.RUNS, "other"),
    "a run that never was": lambda _, c: c.zadd(index.RUNS, {"nobody": 0}),
    "a member that never was": lambda _, c: c.zadd(index.GROUPS, {"some/nobody": 0}),
    "a fact lost": lambda _, c: c.zrem(index.FILED, "add|||/other"),
    "a fact too many": lambda _, c: c.zadd(index.FILED, {"add|||/nobody": 0}),
    "no names": lambda _, c: c.zadd(index.RUNS, {"../x": 0, b"\xff": 0}),
    "facts of a hundred parts": lambda _, c: c.set(index.key("ended", "filed"), "|" * 100),
}


# What nobody reads, or nothing is at.
HARMLESS = {
    f"{part} of {run} {what}"
    for part, runs in {
        "fresh": RUNS,
        "announced": RUNS,
        "completion": ("running",),
        "group": ("ended", "running"),
    }.items()
    for run in runs
    for what in ("evicted", "of another type")
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_was_damaged_is_right_again(tmp_path: Path, damage: str) -> None:
    """By turns alone; the index then proves itself to be what object storage holds."""

    @with_loop
    async def check() -> None:
        async with backends(tmp_path) as (opened, client):
            await fill(opened)
            right = await indexed(opened.catalogue)
            assert right["runs"] == await stored(opened.archive)
            repairs = list[str]()
            reconciler = Reconciler(opened.catalogue, opened.archive, repaired=repairs.append)
            await DAMAGES[damage](opened, client)
            await settle(reconciler)
            assert await indexed(opened.catalogue) == right
            state = reconciler.state
            assert (state.whole, state.holding, state.behind, state.problems) == (True, True, 0, {})
            assert bool(repairs) >= (damage not in HARMLESS)

    check()


@with_loop
async def test_a_step_that_was_not_indexed_is_indexed_and_announced(tmp_path: Path) -> None:
    """What a trainer published while it could not reach Redis; at the second look, once."""
    async with backends(tmp_path) as (opened, client):
        await fill(opened)
        reconciler = Reconciler(opened.catalogue, opened.archive)
        await settle(reconciler)
        for manifest, model in RUNNING.checkpoints[2:]:
            await opened.publisher.publish_checkpoint(manifest, model)
        await reconciler.turn()
        assert reconciler.state.behind == 1
        assert await indexed_steps(opened.catalogue, "running") == [0, 10]
        await reconciler.turn()
        assert await indexed_steps(opened.catalogue, "running") == [0, 10, 20, 30]
        await opened.publisher.publish_completion(RUNNING.completion)
        await settle(reconciler)
        assert await opened.catalogue.runs(wanted=RunFilter(status="running")) == []
        events: Any = await client.xrange(index.EVENTS)
        assert [fields["event"] for _, fields in events] == ["checkpoint", "checkpoint", "complete"]


@with_loop
async def test_runs_that_came_or_went_without_the_index(tmp_path: Path) -> None:
    """New names are looked for; a deleted run leaves when Redis comes back with an old dump."""
    async with backends(tmp_path) as (opened, _):
        await fill(opened)
        await publish(opened, tiny_run("late", steps=(0,)))
        await opened.publisher.mark_deleted("other")
        reconciler = Reconciler(opened.catalogue, opened.archive)
        await settle(reconciler)
        assert await opened.catalogue.runs() == ["ended", "grouped", "late", "running"]


@with_loop
async def test_one_bad_run_hides_nothing_else(tmp_path: Path) -> None:
    """What cannot be read is named; all else is indexed, and the index is whole."""
    async with backends(tmp_path) as (opened, client):
        await fill(opened)
        bad = [
            names.run_path("other"),
            names.manifest_path("ended", 10),
            names.completion_path("grouped"),
        ]
        for path in bad:
            await opened.archive.objects.replace(path, b"[" * 200_000)
        await client.flushall()
        reconciler = Reconciler(opened.catalogue, opened.archive)
        await settle(reconciler)
        assert await opened.catalogue.runs() == ["ended", "grouped", "running"]
        told = "\n".join(line for lines in reconciler.state.problems.values() for line in lines)
        assert all(path in told for path in bad)
        assert (reconciler.state.whole, reconciler.state.unreadable) == (True, 3)
        report = await opened.catalogue.rebuild(opened.archive)
        assert all(path in "\n".join(report.problems) for path in bad)


@with_loop
async def test_one_of_all_that_try_has_the_lock(tmp_path: Path) -> None:
    """The others hand over what their readers doubt; when it stops, another takes over."""
    async with backends(tmp_path) as (opened, client):
        await fill(opened)
        first = Reconciler(opened.catalogue, opened.archive)
        second = Reconciler(opened.catalogue, opened.archive, lambda: ["ended"])
        await settle(first)
        await client.hdel(index.key("ended", "checkpoints"), "10")
        await second.turn()
        assert (first.state.holding, second.state.holding) == (True, False)
        await first.turn()
        assert await indexed_steps(opened.catalogue, "ended") == [0, 10, 200]
        task = asyncio.create_task(first.run())
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await second.turn()
        assert second.state.holding


@pytest.mark.parametrize("interrupted_after", [1, 150, 299])
@with_loop
async def test_a_reindex_that_was_interrupted_goes_on(
    tmp_path: Path, interrupted_after: int
) -> None:
    """Behind the last hundred that it had done; the index is whole at the end."""
    template = tiny_run("template", steps=(0,))
    async with backends(tmp_path) as (opened, client):
        for number in range(300):
            manifest = msgspec.structs.replace(template.manifest, run=f"r-{number:03d}")
            await opened.archive.objects.create(
                names.run_path(manifest.run), encode_record(manifest)
            )

        def stop(left: int) -> None:
            if left == 300 - interrupted_after:
                raise CatalogueUnavailable("interrupted")

        with pytest.raises(CatalogueUnavailable):
            await Reindex(opened.catalogue.connection, opened.archive, stop).run()
        report = await opened.catalogue.rebuild(opened.archive)
        assert report.after in ("", "r-099", "r-199", "r-299")
        done = int(report.after[2:]) + 1 if report.after else 0
        assert report.runs == 300 - done
        assert len(await opened.catalogue.runs()) == 300
        assert await client.get(index.REINDEXED) is None
