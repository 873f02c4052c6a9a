"""The publisher's thread: an event loop of its own, work done one piece after another."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Runs async functions for a thread that is not async, in the order they are given.

    At most `bound` posted calls wait: then `post` blocks, which is the back-pressure on training.
    After one has failed, the rest are dropped, and the next `post` or `flush` raises its error.
    """

    def __init__(self) -> None:
        self.bound = 1
        # Measures keep denormal numbers, whether training flushes them already or not yet.
        self._pool = ThreadPoolExecutor(
            1, "publisher", initializer=torch.set_flush_denormal, initargs=(False,)
        )
        self._runner = asyncio.Runner()
        self._posted: deque[Future[None]] = deque()
        self.failed = False
        # Told of each posted call that has run: its seconds, and whether it failed.
        self.done: Callable[[float, bool], None] = lambda _seconds, _failed: None

    @property
    def depth(self) -> int:
        """How many posted calls wait; any thread may ask."""
        return sum(not (f.running() or f.done()) for f in self._posted.copy())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop what waits, let what runs end, close the loop."""
        for future in self._posted:
            future.cancel()
        self._pool.submit(self._runner.close).result()
        self._pool.shutdown()

    def call(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run an async function after everything posted before, and return its result."""
        return self._pool.submit(lambda: self._runner.run(function(*args, **kwargs))).result()

    def post(
        self, function: Callable[P, Coroutine[Any, Any, None]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Have an async function run, without waiting for it unless too many wait already."""

        def run() -> None:
            if self.failed:
                return
            began = time.monotonic()
            try:
                self._runner.run(function(*args, **kwargs))
            except BaseException:
                self.failed = True
                raise
            finally:
                self.done(time.monotonic() - began, self.failed)

        while self._posted and (self._posted[0].done() or len(self._posted) > self.bound):
            self._posted.popleft().result()
        self._posted.append(self._pool.submit(run))

    def flush(self) -> None:
        """Wait until everything posted is done; raise the first error."""
        while self._posted:
            self._posted.popleft().result()
