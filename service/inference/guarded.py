"""Inference of models that were not exported here: where it can be ended, and in its own threads.

Their operators and sizes are checked before (grokprobe/safety), so a run has known bounds: its
memory is at most MAX_RUN_BYTES, and few run at once. What is not known is how fast they are. A
request that is late is given up, and its run ends after the node it is at.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar

import onnxruntime as ort

from grokprobe.machine.cpus import allowed_cpus
from service.errors import InferenceTooLong, Overloaded
from service.telemetry.metrics import Metrics

T = TypeVar("T")
Submit = Callable[[Callable[[], Any]], Future[Any]]

# What ends the run of whoever works in this context; None: nothing need.
GUARD: ContextVar[ort.RunOptions | None] = ContextVar("guard", default=None)
SHARE = 4  # one permit of so many: the others are for those who need not wait for these


class Guarded:
    """The threads, and who waits for them."""

    def __init__(self, metrics: Metrics, max_in_flight: int, limit_s: int) -> None:
        self._metrics = metrics
        self._most = max(1, max_in_flight // SHARE)
        self._limit_s = limit_s
        self._requests = 0
        # Half of the cores: the event loop and everybody's analysis have the others.
        self.at_once = max(1, allowed_cpus() // 2)
        self._threads = ThreadPoolExecutor(self.at_once)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Submit]:
        """The threads for one request: what starts a work, each with a GUARD.

        What still runs when the block ends is ended, what waits never begins. Raises
        InferenceTooLong; Overloaded, counted.
        """
        if self._requests >= self._most:
            self._metrics.refusals.inc("guarded")
            raise Overloaded(self._requests, self._limit_s)
        options = ort.RunOptions()
        self._requests += 1
        try:
            async with asyncio.timeout(self._limit_s):
                yield partial(self._start, options)
        except TimeoutError:
            raise InferenceTooLong(self._limit_s) from None
        finally:  # also of those who went away
            options.terminate = True
            self._requests -= 1

    async def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What the works of one request give. Raises as `lent`, and what the works raise."""
        async with self.lent() as submit:
            waiting = (asyncio.wrap_future(submit(work)) for work in works)
            return list(await asyncio.gather(*waiting))

    def _start(self, options: ort.RunOptions, work: Callable[[], T]) -> Future[T]:
        context = copy_context()
        context.run(GUARD.set, options)
        return self._threads.submit(context.run, work)
