"""The parts of live events that need no HTTP: what is kept, heartbeats, views kept fresh."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from grokprobe.store.archive.contents import Contents
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.events import BEGINNING, KEPT, Event, checkpoint_event
from service.events import feed as events
from service.events.feed import Feed
from service.events.history import History
from service.events.stream import HEARTBEAT, REPLAYED
from service.runs.source import Source
from service.runs.views import RunViews
from service.telemetry.metrics import Metrics
from tests.support.stores import backends, with_loop
from tests.support.tiny import index_run, tiny_run

TINY = tiny_run()
MANIFESTS = [manifest for manifest, _ in TINY.checkpoints]


def event(number: int) -> Event:
    """Events of three runs, two in a millisecond."""
    return Event(f"{number // 2}-{number % 2}", "checkpoint", f"run-{number % 3}", b"{}")


def remembered(told: Iterable[Event]) -> History:
    """A process that heard of these."""
    history = History()
    for each in told:
        history.add(each)
    return history


def test_what_followed_is_kept_by_run() -> None:
    """After any event, of whatever run; the slow twin looks at all."""
    told = [event(number) for number in range(8, 60)]
    history = remembered(told)
    for place, since in enumerate(told):
        expected = [later for later in told[place + 1 :] if later.run == "run-1"]
        assert history.after("run-1", since.id) == expected
    assert history.after("run-1", BEGINNING) == [each for each in told if each.run == "run-1"]
    assert history.after("nobody", told[0].id) == []


def test_what_the_stream_forgets_is_forgotten() -> None:
    """Of more than KEPT events the oldest are unknown, and so is the place before them."""
    history = remembered(event(number) for number in range(8, 8 + KEPT + 3))
    assert history.after("run-0", event(10).id) is None
    assert history.after("run-0", BEGINNING) is None
    assert history.after("run-0", event(11).id) is not None
    assert history.after("run-0", "5-5") is None
    assert history.newest == event(8 + KEPT + 2).id


def new_feed(opened: Backends) -> Feed:
    """A feed over open backends."""
    metrics = Metrics()
    views = RunViews(Source(opened.catalogue, opened.archive, Metrics()), metrics)
    return Feed(opened.events, views, metrics, 10)


@with_loop
async def test_a_silent_stream_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, which an EventSource passes over, keep proxies from cutting the connection."""
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    async with backends(tmp_path) as (opened, _):
        feed = new_feed(opened)
        async with feed.following():
            with feed.listening("tiny", feed.newest) as listener:
                assert (await listener.take()).endswith(b"id: 0-0\n\n")
                assert [await listener.take() for _ in range(3)] == [HEARTBEAT] * 3


@with_loop
async def test_who_missed_much_comes_back_for_it(tmp_path: Path) -> None:
    """REPLAYED events at a time, and an end: no listener makes us hold more."""
    async with backends(tmp_path) as (opened, _):
        steps = range(REPLAYED + 5)
        manifests = (msgspec.structs.replace(MANIFESTS[0], step=step) for step in steps)
        await opened.catalogue.connection.send(*map(checkpoint_event, manifests))
        feed = new_feed(opened)
        async with feed.following():
            with feed.listening("tiny", BEGINNING) as listener:
                first, end = await listener.take(), await listener.take()
            since = first.rpartition(b"id: ")[2].split()[0].decode()
            with feed.listening("tiny", since) as listener:
                rest = await listener.take()
        assert (first.count(b"event: "), rest.count(b"event: "), end) == (REPLAYED, 5, b"")


@with_loop
async def test_a_silent_redis_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that nobody answers on is given up, and a new one finds what was missed."""
    monkeypatch.setattr("grokprobe.store.catalogue.events.ANSWER_S", 0.2)
    monkeypatch.setattr(events, "WAIT_S", 0.2)
    async with backends(tmp_path) as (opened, client):
        feed = new_feed(opened)
        await index_run(opened.catalogue, TINY.manifest)
        async with feed.following():
            with feed.listening("tiny", feed.newest) as listener:
                await listener.take()
                await client.client_pause(1000)
                await asyncio.sleep(0.5)
                await opened.catalogue.add_checkpoint(MANIFESTS[0])
                assert b'"step":0' in await listener.take()


class Held(Catalogue):
    """A catalogue whose entry of a run is handed over when the gate opens."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.gate, self.read = asyncio.Event(), asyncio.Semaphore(0)

    async def contents(self, run: str, known: Contents | None = None) -> Contents:
        """Read now, answer later."""
        found = await super().contents(run, known)
        self.read.release()
        await self.gate.wait()
        return found


@with_loop
async def test_what_was_announced_is_never_unseen_again(tmp_path: Path) -> None:
    """A read that began before the announcement and ends after it leaves no old view behind."""
    async with backends(tmp_path) as (opened, _):
        await opened.publisher.publish_run(TINY.manifest, TINY.train_mask)
        await opened.catalogue.reconcile(opened.archive, "tiny")
        held = Held(opened.catalogue.connection._client)
        views = RunViews(Source(held, opened.archive, Metrics()), Metrics())
        early = asyncio.create_task(views.get("tiny"))
        await held.read.acquire()
        await opened.catalogue.add_checkpoint(MANIFESTS[0])
        views.invalidate("tiny")
        late = asyncio.create_task(views.get("tiny"))
        await held.read.acquire()
        held.gate.set()
        assert (await early).steps == []
        assert (await late).steps == [0] == (await views.get("tiny")).steps
