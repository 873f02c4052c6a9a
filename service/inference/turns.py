"""Work that takes seconds on its own: a few at a time, the others in turn.

Without turns as many as there are threads would share the cores, and whatever is quick beside them
would wait for all of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from grokprobe.machine.cpus import allowed_cpus
from service.errors import Overloaded, WorkTooLong
from service.inference.guarded import SHARE
from service.telemetry.metrics import Metrics

WAIT_S = 20.0  # for a turn
LIMIT_S = 300  # of a turn: who stopped waiting finds the answer kept
RETRY_S = 10


class Limit:
    """The end of a turn, by the monotonic clock; the work looks at it between its steps."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s, self._ends = limit_s, time.monotonic() + limit_s

    def check(self, done: int) -> None:
        """Raise WorkTooLong where it is over, saying how many steps are done."""
        if time.monotonic() >= self._ends:
            raise WorkTooLong(done, self._limit_s)


class Turns:
    """Who has a turn, and who waits for one."""

    def __init__(self, metrics: Metrics, max_in_flight: int, wait_s: float = WAIT_S) -> None:
        self._metrics, self._wait_s = metrics, wait_s
        self._free = asyncio.Semaphore(max(1, allowed_cpus() // 2))
        self._most, self._here = max(1, max_in_flight // SHARE), 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Limit]:
        """A turn, which begins when one is free. Raises Overloaded, counted."""
        if self._here >= self._most:
            raise self._refused()
        self._here += 1
        try:
            await self._begin()
            try:
                yield Limit()
            finally:
                self._free.release()
        finally:
            self._here -= 1

    async def _begin(self) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise self._refused() from None

    def _refused(self) -> Overloaded:
        self._metrics.refusals.inc("turns")
        return Overloaded(self._here, RETRY_S, "requests that take their turns")
