"""Derived results: computed once, whoever asks, however often; never wrong because of a cache."""

import asyncio
import sys

import pytest

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store.records import sha256
from service.inference.results import Results
from service.telemetry.metrics import Metrics
from tests.support.stores import with_loop

Result = dict[str, float | None]


class Work:
    """Something expensive that counts how often it is done."""

    def __init__(self, numbers: int = 0) -> None:
        self.done, self.numbers = 0, numbers

    async def __call__(self) -> Result:
        """The result."""
        await asyncio.sleep(0.01)
        self.done += 1
        return {"a": 1.5, "b": None, **{f"{i:08d}": i / 7 for i in range(self.numbers)}}


CHECKPOINT = sha256(b"a checkpoint")


def started(budget_bytes: int = 10**6) -> Results:
    """A cache with nothing in memory, as a process has that has just started."""
    return Results(Metrics(), budget_bytes)


@with_loop
async def test_concurrent_askers_share_one_computation() -> None:
    """Fifty askers, one computation; and those who come later find it in memory."""
    derived, work = started(), Work()
    asked = [derived.get(CHECKPOINT, "x", Result, work) for _ in range(50)]
    assert await asyncio.gather(*asked) == [await work()] * 50
    await derived.get(CHECKPOINT, "x", Result, work)
    assert work.done == 2  # the one of the comparison included


@with_loop
async def test_other_parameters_are_another_result() -> None:
    """And so is another checkpoint."""
    derived, work = started(), Work()
    for identity, what in ((CHECKPOINT, "x"), (CHECKPOINT, "x:other"), ("another", "x")) * 2:
        await derived.get(identity, what, Result, work)
    assert work.done == 3


@with_loop
async def test_who_asks_for_ever_new_results_fills_nothing() -> None:
    """By a seed that changes each time: bounded in bytes, the least recently used go first."""
    derived, work = started(budget_bytes=300_000), Work(numbers=1000)
    for seed in range(30):
        await derived.get(CHECKPOINT, "used again and again", Result, work)
        await derived.get(CHECKPOINT, f"null:{seed}", Result, work)
        assert derived.size <= 300_000
    assert work.done == 31
    await derived.get(CHECKPOINT, "null:0", Result, work)
    assert work.done == 32


@with_loop
async def test_what_is_kept_costs_no_more_than_is_said() -> None:
    """The estimate is above what Python needs for lists of numbers and for small records."""
    for numbers in (0, 10_000):
        derived = started()
        found = await derived.get(CHECKPOINT, "x", Result, Work(numbers))
        parts = [found, *found, *found.values()]
        needed = sum(map(sys.getsizeof, parts))
        assert needed <= derived.size, (needed, derived.size)


@with_loop
async def test_a_failure_is_not_kept() -> None:
    """All who wait get the error, and the next who asks computes."""

    async def fail() -> Result:
        raise CheckpointCorrupt("broken")

    derived = started()
    with pytest.raises(CheckpointCorrupt):
        await derived.get(CHECKPOINT, "x", Result, fail)
    assert await derived.get(CHECKPOINT, "x", Result, Work()) == {"a": 1.5, "b": None}
