"""Admission and execution: a permit before any work, small work inline, large work in threads."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from grokprobe.spans import span
from service.checkpoints import Checkpoint
from service.errors import Overloaded
from service.metrics import Metrics

T = TypeVar("T")

# A batch of this many pairs runs in about the time that handing it to a thread costs.
INLINE_PAIRS = 64
MAX_RETRY_S = 30  # longer and nobody comes back
SMOOTHING = 0.05  # weight of the newest request in the mean service time


class Inference:
    """At most `max_in_flight` requests at a time; the rest are refused at once."""

    def __init__(self, metrics: Metrics, max_in_flight: int) -> None:
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._mean_s = 0.001

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Hold one permit. Raises Overloaded, counted, when none is left."""
        if self._in_flight >= self._max_in_flight:
            self._metrics.refusals.labels("in_flight").inc()
            seconds = math.ceil(self._in_flight * self._mean_s)
            raise Overloaded(self._in_flight, min(max(1, seconds), MAX_RETRY_S))
        self._in_flight += 1
        started = time.perf_counter()
        try:
            yield
        finally:
            self._in_flight -= 1
            self._mean_s += SMOOTHING * (time.perf_counter() - started - self._mean_s)

    async def outputs(
        self, checkpoint: Checkpoint, names: list[str], pairs: NDArray[np.int64]
    ) -> list[NDArray[np.float32]]:
        """The named outputs for pairs (n, 2). Raises OutputMissing."""
        admitted = time.perf_counter()

        def run() -> list[NDArray[np.float32]]:
            started = time.perf_counter()
            self._metrics.queued(started - admitted)
            with span("inference", pairs=len(pairs)):
                found = checkpoint.outputs(names, pairs)
            self._metrics.inferred(time.perf_counter() - started)
            return found

        return run() if len(pairs) <= INLINE_PAIRS else await self.apart(run)

    async def apart(self, work: Callable[[], T]) -> T:
        """Run analysis that takes milliseconds in a thread, so that others are answered."""
        return await asyncio.to_thread(work)
