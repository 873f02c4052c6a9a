"""Batches without waiting: whoever asks for the same work at the same time shares one run of it.

One run of ONNX Runtime costs about as much as ten more pairs in it. No time is spent waiting for
that: a batch is complete as soon as a turn of the event loop, which reads what clients have sent,
brings nobody new; what comes while it runs is the next one.

When more comes than can be run, it queues. A burst is borne, a queue that stays is not: after
PATIENCE_S nobody is let in who would wait for longer than LATE_S.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from grokprobe.task import Residues

# Pairs in one run on the event loop: it takes about a millisecond there. Handing it to a thread
# costs 0.15 ms, and less work never gained by that, with one connection or eight.
INLINE_PAIRS = 256
# Turns that may bring somebody new: under a load without pauses each of them would.
MAX_TURNS = 16
LATE_S = 0.02
PATIENCE_S = 0.2
CALM_S = 0.5  # without anybody late: the next queue may be a burst again
SMOOTHING = 0.1  # weight of the newest run in the mean
# From pairs (n, 2) to columns, arrays or lists, of n rows.
Work = Callable[[Residues], list[Any]]


class BatchRun(NamedTuple):
    """What a run gave for an asker's pairs, and when it began and ended (time.perf_counter)."""

    columns: list[Any]
    began: float
    ended: float


def run_timed(work: Work, pairs: Residues) -> BatchRun:
    """One run, timed."""
    began = time.perf_counter()
    columns = work(pairs)
    return BatchRun(columns, began, time.perf_counter())


class Asker(NamedTuple):
    """Someone's pairs, and where the answer goes; it is done already when nobody waits for it."""

    pairs: Residues
    answer: asyncio.Future[BatchRun]


class Batcher:
    """The askers that wait, by what they ask for."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Asker]] = {}
        self.queue = Queue()

    def run(self, key: Hashable, work: Work, pairs: Residues) -> asyncio.Future[BatchRun]:
        """`work` of the pairs (n, 2), n at most INLINE_PAIRS; equal keys have equal work."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = deque()
            loop.call_soon(self._turn, key, work, 0, MAX_TURNS)
        answer: asyncio.Future[BatchRun] = loop.create_future()
        waiting.append(Asker(pairs, answer))
        self.queue.pairs += len(pairs)
        return answer

    def _turn(self, key: Hashable, work: Work, before: int, turns: int) -> None:
        """One of so many turns that a batch may take; `before` it so many were waiting."""
        waiting, loop = self._waiting[key], asyncio.get_running_loop()
        if turns and before < len(waiting) and self.queue.pairs < INLINE_PAIRS:
            loop.call_soon(self._turn, key, work, len(waiting), turns - 1)
            return
        taken = _take(waiting)
        if batch := [asker for asker in taken if not asker.answer.done()]:
            _serve(batch, work)
        self.queue.took(sum(len(asker.pairs) for asker in taken))
        if waiting:
            loop.call_soon(self._turn, key, work, 0, 0)
        else:
            del self._waiting[key]


class Queue:
    """The pairs that wait, and how fast their number falls."""

    def __init__(self) -> None:
        self.pairs = 0
        self._pace_s = 0.0  # for one of them, with all that the event loop does between two runs
        self._last: float | None = None  # when a run ended that left some behind
        self._since = self._late_at = 0.0  # the first and the last time that one would be late

    def is_late(self) -> bool:
        """Whether one more would wait for too long, and that is not so for this moment alone."""
        if self.pairs * self._pace_s < LATE_S:
            return False
        now = time.perf_counter()
        if now - self._late_at > CALM_S:
            self._since = now
        self._late_at = now
        return now - self._since > PATIENCE_S

    def took(self, pairs: int) -> None:
        """A run took so many."""
        self.pairs -= pairs
        now = time.perf_counter()
        if self._last is not None:
            self._pace_s += SMOOTHING * ((now - self._last) / pairs - self._pace_s)
        self._last = now
        if not self.pairs:  # what is measured in a queue does not outlive it: it may be a stall
            self._last, self._pace_s = None, self._pace_s / 2


def _take(waiting: deque[Asker]) -> list[Asker]:
    """The next batch."""
    taken, room = [], INLINE_PAIRS
    while waiting and len(waiting[0].pairs) <= room:
        asker = waiting.popleft()
        taken.append(asker)
        room -= len(asker.pairs)
    return taken


def _serve(batch: list[Asker], work: Work) -> None:
    """Run a batch and give each asker its rows, or the error to all."""
    together = np.concatenate([asker.pairs for asker in batch])
    try:
        ran = run_timed(work, together)
    except Exception as error:  # theirs to raise
        for asker in batch:
            asker.answer.set_exception(error)
        return
    start = 0
    for asker in batch:
        stop = start + len(asker.pairs)
        own = [column[start:stop] for column in ran.columns]
        asker.answer.set_result(BatchRun(own, ran.began, ran.ended))
        start = stop
