"""Keeps the index equal to object storage without a human: one of all that would do it does.

Who has the lock (`grokprobe:lock`, which expires) compares, and repairs what differs:

    every turn        runs that readers doubt, whole; runs that go on, by one list each
    every minute      the names: runs that the index lacks
    every hour        every run, whole: its listing, its records' digests
    Redis was away    every run, by one list each; where the index is not whole, all is rebuilt

A run that goes on is repaired when it differs twice: its trainer may be about to index what it
has just published. Others wait for the lock, and hand over what their readers doubt.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn
from uuid import uuid4

from grokprobe.errors import (
    CatalogueUnavailable,
    Unavailable,
)
from grokprobe.store.archive.objects import in_turns
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.faults import WRITES, faults_of
from grokprobe.store.catalogue.filters import RunFilter
from grokprobe.store.catalogue.reconciling.lock import lock, unlock
from grokprobe.store.catalogue.reconciling.runs import Runs
from grokprobe.store.catalogue.reindex import Reindex

TURN_S = 2.0
LOCK_S = 15
NAMES_S = 60.0
SWEEP_S = 3600.0
SWEPT = 200  # runs of a turn, so that those in doubt do not wait for all
RUNNING = RunFilter(status="running")


@dataclass
class Reconciliation:
    """How the index stands, as far as this process knows; for metrics and /readyz."""

    holding: bool = False  # the lock
    whole: bool = False
    behind: int = 0  # runs known to differ from object storage, or not compared yet
    passed_at: float = 0.0  # Unix time of the last complete turn of this process
    problems: dict[str, list[str]] = field(default_factory=dict)  # records that cannot be read
    fault: str = ""  # why the last turn failed, as clients may read it
    faults: dict[str, str] = field(default_factory=dict)  # of Redis itself (`faults`), in words
    only_reads: bool = False  # the user of Redis may not repair

    @property
    def unreadable(self) -> int:
        """How many records cannot be read."""
        return sum(map(len, self.problems.values()))


class Reconciler:
    """Compares and repairs as long as `run` is awaited."""

    def __init__(
        self,
        catalogue: Catalogue,
        archive: ArchiveReader,
        doubts: Callable[[], Iterable[str]] = tuple,
        say: Callable[[str], None] = lambda _: None,
        repaired: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`doubts` takes what readers of this process doubt, `say` is told what happens, and
        `repaired` the reason of each repair.
        """
        self._catalogue, self._archive = catalogue, archive
        self._doubts, self._say, self._repaired = doubts, say, repaired
        self.state = Reconciliation()
        self._token, self._server = uuid4().hex, ""
        self._forget()

    def _forget(self) -> None:
        """Begin as if nothing had ever been compared."""
        self._restarted = True
        self._runs = Runs(self._catalogue, self._archive, self._say, self._repaired)
        self.state.problems = self._runs.problems
        self._to_look, self._to_sweep = list[str](), list[str]()
        self._names_at = self._sweep_at = 0.0
        self._told = ""  # of the last fault

    async def run(self) -> NoReturn:
        """Take turns for ever; nothing that fails ends it."""
        try:
            while True:
                again = False
                try:
                    again = await self.turn()
                    self._tell_fault(None)
                except Unavailable as error:
                    self._server = ""  # whoever answers next may have forgotten something
                    self._tell_fault(error)
                # While it takes a connection the client of Redis may swallow a cancellation.
                if (task := asyncio.current_task()) and task.cancelling():
                    raise asyncio.CancelledError
                await asyncio.sleep(0 if again else TURN_S)
        finally:
            with suppress(Unavailable, TimeoutError):  # then it expires
                async with asyncio.timeout(1):
                    await self._catalogue.connection.send(unlock(self._token))

    async def turn(self) -> bool:
        """One turn, if the lock can be had; whether the next one is urgent."""
        self.state.whole = await self._catalogue.ready()
        if not await self._may_write():
            self.state.holding = False
            return False
        if not await self._lock():
            if doubts := list(self._doubts()):
                await self._catalogue.doubt(doubts)
            return False
        work = asyncio.create_task(self._work())
        try:
            while not (await asyncio.wait([work], timeout=LOCK_S / 3))[0]:
                if not await self._lock():
                    return False
        finally:
            work.cancel()
        return await work

    async def _may_write(self) -> bool:
        """Look at Redis itself. Raises CatalogueUnavailable for a right that is missing."""
        connection, state = self._catalogue.connection, self.state
        [info] = await connection.send(("INFO",))
        state.faults = faults_of(info)
        self._restarted = info["run_id"] != self._server
        self._server = info["run_id"]
        refused = await connection.refused(*WRITES)
        state.only_reads = len(refused) == len(WRITES)
        if refused and not state.only_reads:
            raise CatalogueUnavailable(refused[0])
        return not (state.only_reads or "replica" in state.faults)

    async def _lock(self) -> bool:
        """Take the lock, or keep it."""
        try:
            command = lock(self._token, 1000 * LOCK_S)
            held = bool((await self._catalogue.connection.send(command))[0])
        except CatalogueUnavailable:
            self.state.holding = False
            raise
        if held != self.state.holding:
            self._say("compares index and object storage" if held else "another one compares")
            self._forget()
        self.state.holding = held
        return held

    def _tell_fault(self, error: Unavailable | None) -> None:
        """To the log with its place, to clients without."""
        told = error.told if error else ""
        if told != self._told:
            self._say(told or "Redis and object storage answer again")
        self._told, self.state.fault = told, str(error or "")

    # -- a turn ------------------------------------------------------------------------------

    async def _work(self) -> bool:
        """What is due; whether more is at once."""
        if not self.state.whole:
            await self._rebuild()
        elif self._restarted:
            self._to_look = await self._catalogue.runs()
            self._names_at = 0.0
        doubted = {*self._doubts(), *await self._catalogue.doubted()}
        running = await self._catalogue.runs(wanted=RUNNING)
        self.state.behind = len(doubted | self._runs.differed) + len(self._to_look)
        await in_turns(self._runs.prove, doubted)
        await in_turns(self._runs.look, {*running, *self._runs.differed} - doubted)
        now = time.monotonic()
        if now >= self._names_at:
            await self._compare_names()
            self._names_at = now + NAMES_S
        await in_turns(self._runs.look, _some(self._to_look))
        await self._sweep(now)
        self.state.behind = len(self._runs.differed) + len(self._to_look)
        self.state.passed_at = time.time()
        return bool(self._to_look)

    async def _rebuild(self) -> None:
        self._say("rebuilds the index, which is not whole")
        reindex = Reindex(self._catalogue.connection, self._archive, self._left)
        report = await reindex.run()
        self._say(f"indexed {report.runs} runs, {report.checkpoints} checkpoints")
        self._repaired("rebuild")
        self.state.whole = await self._catalogue.ready()
        self._to_look.clear()

    def _left(self, runs: int) -> None:
        self.state.behind = runs

    async def _compare_names(self) -> None:
        stored, indexed = set(await self._archive.names()), set(await self._catalogue.runs())
        await in_turns(self._runs.prove, stored - indexed - self._runs.deleted)
        await in_turns(self._runs.prove, indexed - stored)

    async def _sweep(self, now: float) -> None:
        if now >= self._sweep_at and not self._to_look:
            self._to_sweep = await self._catalogue.runs()
            self._runs.deleted.clear()
            self._sweep_at = now + SWEEP_S
        await in_turns(self._runs.prove, _some(self._to_sweep))


def _some(runs: list[str]) -> list[str]:
    """The next runs of a list, taken from it."""
    taken, runs[:] = runs[:SWEPT], runs[SWEPT:]
    return taken
