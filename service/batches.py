"""Batches without waiting: whoever asks for the same work at the same time shares one run of it.

One run of ONNX Runtime costs about as much as ten more pairs in it. No time is spent waiting for
that: a batch is complete as soon as a turn of the event loop, which reads what clients have sent,
brings nobody new; what comes while it runs is the next one.
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
# From pairs (n, 2) to columns, arrays or lists, of n rows.
Work = Callable[[Residues], list[Any]]


class Ran(NamedTuple):
    """What a run gave for an asker's pairs, and when it began and ended (time.perf_counter)."""

    columns: list[Any]
    began: float
    ended: float


def run_timed(work: Work, pairs: Residues) -> Ran:
    """One run, timed."""
    began = time.perf_counter()
    columns = work(pairs)
    return Ran(columns, began, time.perf_counter())


class Asker(NamedTuple):
    """Someone's pairs, and where the answer goes; it is done already when nobody waits for it."""

    pairs: Residues
    answer: asyncio.Future[Ran]


class Batches:
    """The askers that wait, by what they ask for."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Asker]] = {}

    def run(self, key: Hashable, work: Work, pairs: Residues) -> asyncio.Future[Ran]:
        """`work` of the pairs (n, 2), n at most INLINE_PAIRS; equal keys have equal work."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = deque()
            loop.call_soon(self._turn, key, work, 0, MAX_TURNS)
        answer: asyncio.Future[Ran] = loop.create_future()
        waiting.append(Asker(pairs, answer))
        return answer

    def _turn(self, key: Hashable, work: Work, before: int, turns: int) -> None:
        """One of so many turns that a batch may take; `before` it so many were waiting."""
        waiting, loop = self._waiting[key], asyncio.get_running_loop()
        if turns and before < len(waiting) < INLINE_PAIRS:
            loop.call_soon(self._turn, key, work, len(waiting), turns - 1)
            return
        if batch := _take(waiting):
            _serve(batch, work)
        if waiting:
            loop.call_soon(self._turn, key, work, 0, 0)
        else:
            del self._waiting[key]


def _take(waiting: deque[Asker]) -> list[Asker]:
    """The next batch, without those whose client is gone."""
    batch, room = [], INLINE_PAIRS
    while waiting and len(waiting[0].pairs) <= room:
        asker = waiting.popleft()
        if not asker.answer.done():
            batch.append(asker)
            room -= len(asker.pairs)
    return batch


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
        asker.answer.set_result(Ran(own, ran.began, ran.ended))
        start = stop
