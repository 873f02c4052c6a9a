"""The index: equal to object storage, lost and rebuilt, never half believed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from grokprobe.errors import CatalogueUnavailable
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue import entries
from grokprobe.store.catalogue import keys as index
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.events import ANNOUNCED, BEGINNING, KEPT, deletion_event, position
from grokprobe.store.catalogue.filters import RunFilter
from grokprobe.store.catalogue.rows import ListedRun, ListedTask
from grokprobe.store.records import RunManifest, TaskRecord
from tests.support.stores import answers, backends, with_loop
from tests.support.tiny import index_run, tiny_run

TINY = tiny_run()
MANIFESTS = [manifest for manifest, _ in TINY.checkpoints]
STEPS = [manifest.step for manifest in MANIFESTS]


def reads(catalogue: Catalogue) -> list[Callable[[], Awaitable[object]]]:
    """Every read of the catalogue."""
    return [
        catalogue.runs,
        lambda: catalogue.contents("tiny"),
        lambda: catalogue.summaries(["tiny"]),
        lambda: catalogue.summaries([]),
        lambda: catalogue.runs(wanted=RunFilter(group="nobody")),
        catalogue.groups,
        lambda: catalogue.states([]),
    ]


async def events(opened: Backends) -> list[str]:
    """What was announced, in order: `complete tiny 200`."""
    found = await opened.events.after(BEGINNING, 0)
    facts = [(event.kind, event.run, json.loads(event.data).get("step")) for event in found]
    return [" ".join(str(fact) for fact in told if fact is not None) for told in facts]


@with_loop
async def test_what_a_trainer_indexes_equals_what_it_published(tmp_path: Path) -> None:
    """Field by field the index gives the answers of object storage."""
    async with backends(tmp_path) as (opened, _):
        for run in (TINY, tiny_run("another", modulus=5, steps=(0,))):
            await run.publish(opened)
        assert await answers(opened.catalogue) == await answers(opened.archive)


@with_loop
async def test_an_emptied_redis_is_down_until_it_is_rebuilt(tmp_path: Path) -> None:
    """After FLUSHALL no read believes what is left; a rebuild brings identical answers."""
    async with backends(tmp_path) as (opened, client):
        await TINY.publish(opened)
        before = await answers(opened.catalogue)
        await client.flushall()
        await opened.catalogue.reconcile(opened.archive, "tiny")  # a trainer goes on
        assert not await opened.catalogue.ready()
        for read in reads(opened.catalogue):
            with pytest.raises(CatalogueUnavailable, match="python -m grokprobe reindex"):
                await read()
        report = await opened.catalogue.rebuild(opened.archive)
        assert (report.runs, report.checkpoints, report.removed, report.problems) == (1, 3, 0, [])
        assert await answers(opened.catalogue) == before == await answers(opened.archive)
        assert (await opened.catalogue.rebuild(opened.archive)) == report


@with_loop
async def test_every_write_may_be_repeated_and_announces_once(tmp_path: Path) -> None:
    """A run indexed twice, rebuilt and indexed again: the same answers, one event of each."""
    announced = ["checkpoint tiny 0", "checkpoint tiny 10", "checkpoint tiny 200"]
    async with backends(tmp_path) as (opened, _):
        await TINY.publish(opened)
        before = await answers(opened.catalogue)
        await TINY.index(opened)
        await opened.catalogue.rebuild(opened.archive)
        await TINY.index(opened)
        assert await answers(opened.catalogue) == before
        assert await events(opened) == [*announced, "complete tiny 200"]
        await opened.catalogue.remove_run("tiny")
        await opened.catalogue.remove_run("tiny")
        assert (await events(opened))[4:] == ["deleted tiny"]


@with_loop
async def test_an_announcement_that_was_not_acknowledged_is_made_again(tmp_path: Path) -> None:
    """The entry was written, the event was not: the repeated write makes up for it."""
    async with backends(tmp_path) as (opened, _):
        await index_run(opened.catalogue, TINY.manifest)
        await entries.add_to_entry(opened.catalogue.connection, MANIFESTS[0], None)
        await Catalogue(opened.catalogue.connection._client).add_checkpoint(MANIFESTS[0])
        assert await events(opened) == ["checkpoint tiny 0"]


@with_loop
async def test_what_redis_has_missed_is_announced_by_reconciling(tmp_path: Path) -> None:
    """Though a rebuild saw it first, every checkpoint has its one event, and the run its end."""
    async with backends(tmp_path) as (opened, _):
        await TINY.publish(opened.archive)
        await opened.catalogue.rebuild(opened.archive)
        assert await events(opened) == []
        await opened.catalogue.add_checkpoint(MANIFESTS[1])
        for _ in range(2):
            await opened.catalogue.reconcile(opened.archive, "tiny")
        told = ["checkpoint tiny 10", "checkpoint tiny 0", "checkpoint tiny 200"]
        assert await events(opened) == [*told, "complete tiny 200"]


@with_loop
async def test_an_event_holds_what_a_listener_is_told(tmp_path: Path) -> None:
    """Losses and accuracies of a checkpoint, the status of an end: JSON on one line."""
    async with backends(tmp_path) as (opened, _):
        await TINY.publish(opened)
        found = await opened.events.after(BEGINNING, 0)
        checkpoint, complete = json.loads(found[0].data), json.loads(found[-1].data)
        measures = {name: MANIFESTS[0].measures[name] for name in ANNOUNCED}
        assert checkpoint == {"run": "tiny", "step": 0, **measures}
        assert complete == {"run": "tiny", "step": 200, "status": "complete"}
        assert not any(b"\n" in event.data for event in found)


@with_loop
async def test_a_reader_waits_for_what_follows(tmp_path: Path) -> None:
    """Nothing is read twice, foreign entries are passed over, a lost place is noticed."""
    async with backends(tmp_path) as (opened, client):
        reader = opened.events
        await index_run(opened.catalogue, TINY.manifest)
        await opened.catalogue.add_checkpoint(MANIFESTS[0])
        [first] = await reader.after(BEGINNING, 0)
        waiting = asyncio.create_task(reader.after(first.id, 5))
        await client.xadd(index.EVENTS, {"something": "else"})
        [foreign] = await waiting
        await opened.catalogue.add_checkpoint(MANIFESTS[1])
        [second] = await reader.after(foreign.id, 5)
        assert (foreign.run, second.kind, second.run) == ("", "checkpoint", "tiny")
        assert position(second.id) > position(foreign.id) > position(first.id)
        assert await reader.holds(first.id)
        await client.flushall()
        assert not await reader.holds(first.id)


@with_loop
async def test_the_stream_of_events_is_trimmed(tmp_path: Path) -> None:
    """It keeps about the newest ten thousand."""
    async with backends(tmp_path) as (opened, client):
        for start in range(0, 12_000, 1000):
            await opened.catalogue.connection.send(
                *(deletion_event(f"tiny-{start + i}") for i in range(1000))
            )
        assert KEPT <= await client.xlen(index.EVENTS) < KEPT + 200


@with_loop
async def test_runs_are_paged_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Strictly after the cursor, at most the limit; a cursor need not be there any more."""
    async with backends(tmp_path) as (opened, _):
        for name in ("b", "a-1", "a.1", "a", "c"):
            await index_run(opened.catalogue, tiny_run(name, steps=(0,)).manifest)
        catalogue = opened.catalogue
        assert await catalogue.runs() == ["a", "a-1", "a.1", "b", "c"]
        assert await catalogue.runs(limit=2) == ["a", "a-1"]
        assert await catalogue.runs(after="a-1", limit=2) == ["a.1", "b"]
        assert await catalogue.runs(after="b0") == ["c"]
        assert await catalogue.runs(after="c") == []


@with_loop
async def test_a_summary_shows_count_status_and_the_latest_checkpoint(tmp_path: Path) -> None:
    """A finished run, one that has not published yet, and one that is gone."""
    async with backends(tmp_path) as (opened, _):
        await TINY.publish(opened)
        fresh = tiny_run("fresh", steps=(0,))
        await index_run(opened.catalogue, fresh.manifest)
        found = await opened.catalogue.summaries(["tiny", "gone", "fresh"])
        assert list(found) == ["tiny", "fresh"]
        tiny, new = found.values()
        assert tiny.manifest == msgspec.convert(msgspec.to_builtins(TINY.manifest), ListedRun)
        last = MANIFESTS[-1]
        assert (tiny.status, tiny.checkpoint_count, tiny.latest_step) == ("complete", 3, last.step)
        assert tiny.test_accuracy == last.measures["test_accuracy"]
        assert (new.status, new.checkpoint_count) == ("running", 0)
        assert (new.latest_step, new.test_accuracy) == (None, None)


@with_loop
async def test_a_summary_is_known_by_the_seal_that_proved_it(tmp_path: Path) -> None:
    """What a seal has proven is not proven again; another seal is another summary, or none."""
    async with backends(tmp_path) as (opened, client):
        await TINY.publish(opened)
        seal = str(await client.get(index.key("tiny", "seal")))
        before = await opened.catalogue.summaries(["tiny"])
        await client.set(index.key("tiny", "manifest"), "{}")
        assert await opened.catalogue.summaries(["tiny"]) == before
        await client.set(index.key("tiny", "seal"), seal.replace('"complete"', '"stopped"'))
        assert await opened.catalogue.summaries(["tiny"]) == {}


@pytest.mark.parametrize(("listed", "record"), [(ListedRun, RunManifest), (ListedTask, TaskRecord)])
def test_what_is_listed_of_a_record_has_its_types(listed: type, record: type) -> None:
    """What a list reads of a record is what every other reader does."""
    whole, some = (get_type_hints(kind, include_extras=True) for kind in (record, listed))
    same = some.keys() - {"task", "architecture"}
    assert {name: some[name] for name in same} == {name: whole[name] for name in same}
