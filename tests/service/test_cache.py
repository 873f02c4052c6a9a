"""The cache that all others are made of: one computation for all who ask, and room that is kept."""

import asyncio
import gc
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cache import Cache, SingleFlight
from tests.support.stores import with_loop


class Work:
    """A computation that goes on until the gate opens, and counts how often it began."""

    def __init__(self, result: int = 1, failure: Exception | None = None) -> None:
        self.begun, self._result, self._failure = 0, result, failure
        self.gate = asyncio.Event()

    async def __call__(self) -> int:
        """The result, or the failure."""
        self.begun += 1
        await self.gate.wait()
        if self._failure:
            raise self._failure
        return self._result


def asked(cache: Cache[str, int], work: Work, times: int) -> list[asyncio.Task[int]]:
    """Some who ask for "x"."""
    return [asyncio.create_task(cache.get("x", work)) for _ in range(times)]


async def begun(work: Work) -> None:
    """Wait until all who ask do so."""
    while not work.begun:
        await asyncio.sleep(0)


@with_loop
async def test_all_who_ask_share_one_computation() -> None:
    """Those who ask while it is under way, and those who come later."""
    cache, work = Cache[str, int](10), Work(7)
    waiting = asked(cache, work, 50)
    await begun(work)
    work.gate.set()
    assert await asyncio.gather(*waiting, cache.get("x", work)) == [7] * 51
    assert (await cache.get("x", work), work.begun) == (7, 1)


@with_loop
async def test_other_keys_are_other_computations() -> None:
    """They do not wait for each other."""
    cache, held, free = Cache[str, int](10), Work(1), Work(2)
    waiting = asked(cache, held, 1)
    free.gate.set()
    assert await cache.get("y", free) == 2
    held.gate.set()
    assert await waiting[0] == 1


@with_loop
async def test_a_cancelled_asker_does_not_cancel_the_others() -> None:
    """One who goes away leaves the computation to those who still wait, the first one too."""
    cache, work = Cache[str, int](10), Work(7)
    first, second = asked(cache, work, 2)
    await begun(work)
    first.cancel()
    await asyncio.wait([first])
    work.gate.set()
    assert (await second, first.cancelled(), work.begun) == (7, True, 1)


@with_loop
async def test_a_failure_reaches_all_and_is_not_kept() -> None:
    """The next who asks computes."""
    cache, work = Cache[str, int](10), Work(failure=ValueError("broken"))
    waiting = asked(cache, work, 3)
    await begun(work)
    work.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(error) for error in found] == ["broken"] * 3
    fine = Work(7)
    fine.gate.set()
    assert await cache.get("x", fine) == 7


@with_loop
async def test_a_failure_that_nobody_waits_for_is_silent() -> None:
    """All who asked have gone away: asyncio has nothing to complain of."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, found: complaints.append(found))
    cache, work = Cache[str, int](10), Work(failure=ValueError("broken"))
    [asker] = asked(cache, work, 1)
    await begun(work)
    asker.cancel()
    work.gate.set()
    await asyncio.wait([asker])
    await asyncio.sleep(0.01)
    gc.collect()
    assert complaints == []


def test_what_the_end_of_a_loop_cuts_off_is_computed_in_the_next() -> None:
    """Nothing of it is left behind."""
    cache: Cache[str, int] = Cache(10)

    async def leave() -> None:
        work = Work()
        asked(cache, work, 1)
        await begun(work)

    async def come_back() -> int:
        work = Work(7)
        work.gate.set()
        return await cache.get("x", work)

    asyncio.run(leave())
    assert asyncio.run(come_back()) == 7


@with_loop
async def test_what_changed_meanwhile_is_not_kept() -> None:
    """Who waited gets what was computed; who asks after the change has it computed anew."""
    cache, old, new = Cache[str, int](10), Work(1), Work(2)
    [before] = asked(cache, old, 1)
    await begun(old)
    cache.detach("x")
    [after] = asked(cache, new, 1)
    await begun(new)
    new.gate.set()
    assert await after == 2
    old.gate.set()
    assert (await before, cache.known("x")) == (1, 2)


@with_loop
async def test_renewing_replaces_what_is_kept() -> None:
    """And is shared by all who renew meanwhile; a failure leaves what is kept."""
    cache, work = Cache[str, int](10), Work(2)
    cache.keep("x", 1)
    work.gate.set()
    assert await asyncio.gather(*(cache.renew("x", work) for _ in range(3))) == [2] * 3
    assert (cache.known("x"), work.begun) == (2, 1)
    failing = Work(failure=ValueError("broken"))
    failing.gate.set()
    with pytest.raises(ValueError, match="broken"):
        await cache.renew("x", failing)
    assert cache.known("x") == 2


@with_loop
async def test_a_flight_keeps_nothing() -> None:
    """Who asks after its end starts another."""
    flights: SingleFlight[str, int] = SingleFlight()
    work = Work(7)
    work.gate.set()
    assert [await flights.run("x", work) for _ in range(2)] == [7, 7]
    assert work.begun == 2


# -- room --------------------------------------------------------------------------------------


def kept_by_twin(room: int, uses: list[tuple[str, int]]) -> dict[str, int]:
    """The slow twin: what stays of values that cost themselves, each kept if it is not there."""
    kept: OrderedDict[str, int] = OrderedDict()
    for key, value in uses:
        if key not in kept:
            kept[key] = value
        kept.move_to_end(key)
        while sum(kept.values()) > room and len(kept) > 1:
            kept.popitem(last=False)
    return dict(kept)


@given(st.integers(0, 12), st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 8))))
def test_the_least_recently_used_go_first(room: int, uses: list[tuple[str, int]]) -> None:
    """As many as room asks for, and no more: one that is larger than all of it is kept alone."""
    gone: list[None] = []
    cache = Cache[str, int](room, lambda value: value, lambda: gone.append(None))
    came = 0
    for key, value in uses:
        if cache.known(key) is None:
            cache.keep(key, value)
            came += 1
    expected = kept_by_twin(room, uses)
    assert {key: cache.known(key) for key in cache} == expected
    assert (cache.size, came - len(gone)) == (sum(expected.values()), len(expected))


def test_without_a_cost_the_room_is_a_number() -> None:
    """A dropped value makes room, and is not counted among those that lacked it."""
    gone: list[None] = []
    cache = Cache[str, int](2, evicted=lambda: gone.append(None))
    for key in "ab":
        cache.keep(key, 1_000)
    cache.drop("a")
    cache.drop("a")
    cache.keep("c", 1_000)
    assert (set(cache), cache.size, len(gone)) == ({"b", "c"}, 2, 0)
    cache.keep("d", 1_000)
    assert (set(cache), cache.size, len(gone)) == ({"c", "d"}, 2, 1)
