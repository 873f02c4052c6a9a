"""The memory of requests at work: each says what it needs at most before it starts.

What is never there is refused at once and by name; what is not there now waits for its turn, in
the order of asking, for WAIT_S at most.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import MemoryBusy, NeverFits
from service.telemetry.metrics import Metrics

WAIT_S = 20.0  # proxies wait for 60 s
MAX_RETRY_S = 30
SMOOTHING = 0.2  # weight of the newest reservation in the mean


class Memory:
    """A budget in bytes, taken and given back on the event loop."""

    def __init__(self, metrics: Metrics, budget_bytes: int, wait_s: float = WAIT_S) -> None:
        self._metrics, self._budget, self._wait_s = metrics, budget_bytes, wait_s
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._mean_s = 1.0  # that a reservation is held
        metrics.request_memory_bytes.set_function(lambda: self._taken)

    @asynccontextmanager
    async def reserve(self, need: int, what: str) -> AsyncIterator[None]:
        """Hold so many bytes for `what`, which the message of a refusal names.

        Raises NeverFits, MemoryBusy; both are counted.
        """
        await self._take(need, what)
        began = time.monotonic()
        try:
            yield
        finally:
            self._mean_s += SMOOTHING * (time.monotonic() - began - self._mean_s)
            self.give_back(need)

    def try_more(self, need: int) -> bool:
        """Whether so many bytes are there, and nobody waits: then they are taken."""
        if self._waiting or need > self._budget - self._taken:
            return False
        self._taken += need
        return True

    def give_back(self, need: int) -> None:
        """Give back what `try_more` took, and let in who waits."""
        self._taken -= need
        while self._waiting and self._waiting[0][0] <= self._budget - self._taken:
            first, granted = self._waiting.popleft()
            if not granted.done():
                self._taken += first
                granted.set_result(None)

    async def _take(self, need: int, what: str) -> None:
        if need > self._budget:
            self._metrics.refusals.inc("memory")
            raise NeverFits(what, need, self._budget)
        if self.try_more(need):
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (need, granted)
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._wait_s):
                await asyncio.shield(granted)
        except BaseException as error:  # cancelled too
            self._leave(place)
            if not isinstance(error, TimeoutError):
                raise
            self._metrics.refusals.inc("memory")
            raise MemoryBusy(what, need, math.ceil(min(self._mean_s, MAX_RETRY_S))) from None

    def _leave(self, place: tuple[int, asyncio.Future[None]]) -> None:
        """Wait no longer; what was granted at this very moment goes back."""
        need, granted = place
        if granted.done():
            self.give_back(need)
            return
        self._waiting.remove(place)
        self.give_back(0)  # those behind may fit now
