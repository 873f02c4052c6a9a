"""Turns: who waits too long, or behind too many, is refused; a turn has an end."""

from contextlib import AsyncExitStack

import pytest

from grokprobe.machine.cpus import allowed_cpus
from service.errors import Overloaded, WorkTooLong
from service.inference.guarded import SHARE
from service.inference.turns import Limit, Turns
from service.telemetry.metrics import Metrics
from tests.support.stores import with_loop

AT_ONCE = max(1, allowed_cpus() // 2)


@with_loop
async def test_who_waits_for_too_long_is_refused() -> None:
    """429, counted; a turn that ends is the next one's."""
    metrics = Metrics()
    turns = Turns(metrics, max_in_flight=1_000, wait_s=0.01)
    async with AsyncExitStack() as held:
        for _ in range(AT_ONCE):
            await held.enter_async_context(turns.turn())
        with pytest.raises(Overloaded) as refused:
            async with turns.turn():
                pass
        assert refused.value.retry_after_s > 0
    async with turns.turn() as limit:
        limit.check(0)
    assert metrics.registry.get_sample_value("grokprobe_refusals_total", {"reason": "turns"}) == 1


@with_loop
async def test_a_share_of_the_permits_may_wait() -> None:
    """The others are for those who take milliseconds."""
    turns = Turns(Metrics(), max_in_flight=SHARE)
    async with turns.turn():
        with pytest.raises(Overloaded):
            async with turns.turn():
                pass


def test_a_turn_that_is_over_says_how_far_it_came() -> None:
    """And what to do."""
    with pytest.raises(WorkTooLong, match=r"7 sets were through after 0 s.*fewer controls"):
        Limit(limit_s=0).check(7)
