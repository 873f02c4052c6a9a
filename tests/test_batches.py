"""Batches: who shares a run, how large it may be, who is left out, and what all get."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from grokprobe.task import Residues, pairs
from service.batches import (
    CALM_S,
    INLINE_PAIRS,
    LATE_S,
    MAX_TURNS,
    PATIENCE_S,
    Batches,
    Queue,
)
from tests.stores import with_loop

GRID = pairs(31)


class Recorder:
    """Work that says a + b of each pair, and remembers the pairs of each run."""

    def __init__(self) -> None:
        self.runs: list[list[tuple[int, int]]] = []

    def __call__(self, asked: Residues) -> list[Any]:
        """Two columns: an array and a list."""
        self.runs.append([(a, b) for a, b in asked.tolist()])
        return [asked.sum(axis=1), [f"{a}+{b}" for a, b in asked.tolist()]]


@with_loop
async def test_one_turn_shares_a_run() -> None:
    """Askers of one turn of the loop share one run, and each gets the rows of its own pairs."""
    batches, work = Batches(), Recorder()
    asked = [GRID[i : i + 1 + i % 3] for i in range(0, 60, 5)]
    found = await asyncio.gather(*(batches.run("sum", work, some) for some in asked))
    assert len(work.runs) == 1
    for some, ran in zip(asked, found, strict=True):
        np.testing.assert_array_equal(ran.columns[0], some.sum(axis=1))
        assert ran.columns[1] == [f"{a}+{b}" for a, b in some.tolist()]


@with_loop
async def test_one_alone_runs_after_a_turn_without_others() -> None:
    """No time is waited for: a request that is alone has its answer two turns later."""
    batches, work = Batches(), Recorder()
    answer = batches.run("sum", work, GRID[:1])
    for _ in range(2):
        assert not answer.done()
        await asyncio.sleep(0)
    assert answer.done()


@with_loop
async def test_those_who_come_turn_by_turn_share_a_run() -> None:
    """As long as each turn brings somebody, but not without end."""
    batches, work, asked = Batches(), Recorder(), []
    for i in range(2 * MAX_TURNS):
        asked.append(batches.run("sum", work, GRID[i : i + 1]))
        await asyncio.sleep(0)
    await asyncio.gather(*asked)
    assert [len(run) for run in work.runs] == [MAX_TURNS + 1, MAX_TURNS - 1]


@with_loop
async def test_different_work_is_kept_apart() -> None:
    """Another key is another run."""
    batches, work = Batches(), Recorder()
    await asyncio.gather(*(batches.run(key, work, GRID[:2]) for key in ("one", "other", "one")))
    assert sorted(map(len, work.runs)) == [2, 4]


@with_loop
async def test_a_batch_is_bounded() -> None:
    """More than fits goes into further runs, in the order of arrival."""
    batches, work = Batches(), Recorder()
    asked = [GRID[i * 100 : i * 100 + 100] for i in range(6)]
    await asyncio.gather(*(batches.run("sum", work, some) for some in asked))
    assert [len(run) for run in work.runs] == [200, 200, 200]
    assert max(map(len, work.runs)) <= INLINE_PAIRS
    assert [pair for run in work.runs for pair in run] == list(map(tuple, GRID[:600].tolist()))


@with_loop
async def test_the_pairs_of_a_client_that_is_gone_are_not_run() -> None:
    """Who stops waiting before the run is left out of it."""
    batches, work = Batches(), Recorder()
    gone, stays = (batches.run("sum", work, GRID[i : i + 1]) for i in range(2))
    gone.cancel()
    assert (await stays).columns[0].tolist() == [1]
    assert work.runs == [[(0, 1)]]


@with_loop
async def test_an_error_reaches_all_and_ends_nothing() -> None:
    """What the work raises is raised to each asker; the next batch runs."""
    batches = Batches()

    def fail(_: Residues) -> list[Any]:
        raise ValueError("no such output")

    asked = (batches.run("sum", fail, GRID[:1]) for _ in range(3))
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(error) for error in found] == ["no such output"] * 3
    assert (await batches.run("sum", Recorder(), GRID[:1])).columns[0].tolist() == [0]


@pytest.mark.parametrize("crowd", [1, 40])
def test_nothing_is_left_waiting(crowd: int) -> None:
    """After all are answered, no key is remembered."""
    batches = Batches()

    async def ask() -> None:
        await asyncio.gather(*(batches.run(n, Recorder(), GRID[:9]) for n in range(crowd)))

    asyncio.run(ask())
    assert batches._waiting == {}


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Now, in seconds."""
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which queues are measured."""
    found = Clock()
    monkeypatch.setattr(time, "perf_counter", found)
    return found


def test_a_queue_that_stays_is_late(clock: Clock) -> None:
    """Not at once, for that is a burst; and no more as soon as it is short."""
    queue = Queue()
    for _ in range(3):  # three runs that leave pairs behind, 5 ms apart
        queue.pairs += 1_000
        queue.took(100)
        clock.now_s += 0.005
    assert not queue.is_late()
    clock.now_s += PATIENCE_S + 0.001
    assert queue.is_late()
    queue.took(queue.pairs)
    assert not queue.is_late()


def test_one_burst_after_another_is_no_queue(clock: Clock) -> None:
    """Between them nobody was late for a while."""
    queue = Queue()
    queue.pairs, queue._pace_s = 10**6, 1.0
    for _ in range(3):
        assert not queue.is_late()
        clock.now_s += CALM_S + 0.001


def test_a_stall_is_soon_forgotten() -> None:
    """A pause of the process between two runs says nothing of those that follow."""
    queue = Queue()
    queue.pairs += 20
    queue.took(10)
    queue._last = time.perf_counter() - 3600
    queue.took(5)
    assert queue._pace_s > 1
    for _ in range(30):
        queue.pairs += 1
        queue.took(queue.pairs)
    queue.pairs = 10
    assert queue.pairs * queue._pace_s < LATE_S


@with_loop
async def test_all_that_was_asked_leaves_the_queue() -> None:
    """Also those whose client is gone, and those whose run failed."""
    both = Batches()
    gone = both.run("sum", Recorder(), GRID[:5])
    gone.cancel()
    await asyncio.gather(*(both.run("sum", Recorder(), GRID[:9]) for _ in range(60)))
    assert both.queue.pairs == 0
