"""Derived results: computed once, whoever asks, however often; never wrong because of a cache."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store.backends import Backends
from grokprobe.store.records import sha256
from service.inference.results import Results, key_of
from service.runs.source import Source
from service.telemetry.metrics import Metrics
from tests.support.stores import backends, with_loop
from tests.support.tiny import tiny_run

Result = dict[str, float | None]


class Work:
    """Something expensive that counts how often it is done."""

    def __init__(self) -> None:
        self.done = 0

    async def __call__(self) -> Result:
        """The result."""
        await asyncio.sleep(0.01)
        self.done += 1
        return {"a": 1.5, "b": None}


def started(opened: Backends) -> Results:
    """A cache with nothing in memory, as a process has that has just started."""
    metrics = Metrics()
    return Results(Source(opened.catalogue, opened.archive), metrics, "here")


@asynccontextmanager
async def published(folder: Path) -> AsyncIterator[tuple[Backends, str]]:
    """Open backends with a run, and what a checkpoint is known by."""
    async with backends(folder) as (opened, _):
        await tiny_run().publish(opened)
        yield opened, sha256(b"a checkpoint")


@with_loop
async def test_concurrent_askers_share_one_computation(tmp_path: Path) -> None:
    """Fifty askers, one computation; and those who come later find it in memory."""
    async with published(tmp_path) as (opened, checkpoint):
        derived, work = started(opened), Work()
        asked = [derived.get(checkpoint, "x", Result, work) for _ in range(50)]
        assert await asyncio.gather(*asked) == [await work()] * 50
        await derived.get(checkpoint, "x", Result, work)
        assert work.done == 2  # the one of the comparison included


@with_loop
async def test_another_process_finds_it_in_redis(tmp_path: Path) -> None:
    """What one process computed, another reads; other parameters are another result."""
    async with published(tmp_path) as (opened, checkpoint):
        work = Work()
        first = await started(opened).get(checkpoint, "x", Result, work)
        assert await started(opened).get(checkpoint, "x", Result, work) == first
        assert work.done == 1
        await started(opened).get(checkpoint, "x:other", Result, work)
        assert work.done == 2


@with_loop
async def test_rubbish_in_redis_is_computed_again(tmp_path: Path) -> None:
    """A value that is not of the kind counts as none."""
    async with published(tmp_path) as (opened, checkpoint):
        work = Work()
        await opened.catalogue.connection.send(
            ("SET", key_of(checkpoint, "x", "here"), b"\x00rubbish")
        )
        assert await started(opened).get(checkpoint, "x", Result, work) == {"a": 1.5, "b": None}
        assert work.done == 1


@with_loop
async def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    """All who wait get the error, and the next who asks computes."""

    async def fail() -> Result:
        raise CheckpointCorrupt("broken")

    async with published(tmp_path) as (opened, checkpoint):
        derived = started(opened)
        with pytest.raises(CheckpointCorrupt):
            await derived.get(checkpoint, "x", Result, fail)
        assert await derived.get(checkpoint, "x", Result, Work()) == {"a": 1.5, "b": None}


@with_loop
async def test_without_redis_it_is_computed(tmp_path: Path) -> None:
    """A dead Redis costs the cache between processes, and nothing else."""
    async with published(tmp_path) as (opened, checkpoint):
        derived, work = started(opened), Work()
        refuse_writes = ("CONFIG", "SET", "maxmemory", "1")
        await opened.catalogue.connection.send(refuse_writes)
        assert await derived.get(checkpoint, "x", Result, work) == {"a": 1.5, "b": None}
        assert await derived.get(checkpoint, "x", Result, work) == {"a": 1.5, "b": None}
        assert work.done == 1
