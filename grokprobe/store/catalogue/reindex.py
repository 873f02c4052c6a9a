"""Bringing the Redis index to what object storage holds, while others read and write both.

Runs are compared in the order of their names, some at once. How far that came is noted in Redis
(`grokprobe:reindex`), so that one that was interrupted is gone on with, for an hour.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from grokprobe.errors import CheckpointCorrupt, IndexDoubted, RunNotFound
from grokprobe.store.archive.contents import Contents
from grokprobe.store.archive.objects import in_turns
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue import scripts
from grokprobe.store.catalogue.connection import Connection
from grokprobe.store.catalogue.entries import repair_entry
from grokprobe.store.catalogue.events import deletion_event
from grokprobe.store.catalogue.filters import FILED_WHOLE, refile
from grokprobe.store.catalogue.keys import DOUBTED, FILED, GROUPS, REINDEXED, RUNS
from grokprobe.store.catalogue.lua import evaluate

NOTED_EVERY = 100  # runs
NOTED_FOR_S = 3600
REFILED = 500  # runs in one round trip


# What stands at a key of all runs and is of another type goes: no command would work on it.
_TIDY = """
for i, name in ipairs(KEYS) do
  local found = redis.call('TYPE', name).ok
  if found ~= 'none' and found ~= ARGV[i] then redis.call('DEL', name) end
end
return 1
"""
TYPES = {RUNS: "zset", GROUPS: "zset", FILED: "zset", DOUBTED: "set", REINDEXED: "string"}
TIDY = evaluate(_TIDY, tuple(TYPES), *TYPES.values())


@dataclass(kw_only=True)
class ReindexReport:
    """What `rebuild` did. `problems` has one line for each record that could not be read."""

    runs: int = 0
    checkpoints: int = 0
    removed: int = 0
    after: str = ""  # the run behind which it went on; empty from the beginning
    problems: list[str] = field(default_factory=list)


async def reindex_run(
    connection: Connection, archive: ArchiveReader, run: str
) -> tuple[Contents | None, bool]:
    """Make the entry of one run equal to object storage: what there is, and whether it was not.

    None where there is no such run. Raises CheckpointCorrupt if `run.json` cannot be read,
    IndexDoubted while others keep on writing the run.
    """
    try:
        return await repair_entry(connection, archive, run)
    except RunNotFound:
        [gone] = await connection.send(scripts.remove(run, deletion_event(run)))
        return None, bool(gone)
    except CheckpointCorrupt:
        await connection.send(scripts.remove(run))  # nothing is known of it any more
        raise


class Reindex:
    """One pass over all runs, and what it found so far."""

    def __init__(
        self,
        connection: Connection,
        archive: ArchiveReader,
        left: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`left` is told how many runs are left, after each."""
        self._connection, self._archive, self._left = connection, archive, left
        self.report = ReindexReport()
        self._strays: set[str] = set()  # members of groups, until a run says that it is one

    async def run(self) -> ReindexReport:
        """Compare every run, drop those that are no longer there, then declare the index whole."""
        await self._connection.send(TIDY, scripts.CLEAN)
        names = await self._names()
        done, reached = set[int](), 0  # so many of the first names are done

        async def one(number: int) -> None:
            nonlocal reached
            await self._one(names[number])
            done.add(number)
            self._left(len(names) - len(done))
            before = reached
            while reached in done:
                reached += 1
            whole = reached - reached % NOTED_EVERY  # several may have been done out of turn
            if whole > before:
                noted = names[whole - 1]
                await self._connection.send(("SET", REINDEXED, noted, "EX", NOTED_FOR_S))

        await in_turns(one, range(len(names)))
        if self._strays:
            await self._connection.send(("ZREM", GROUPS, *self._strays))
        await self._connection.send(scripts.DECLARE, ("DEL", REINDEXED))
        if not (await self._connection.send(FILED_WHOLE))[0]:
            await self._refile()
        return self.report

    async def _names(self) -> list[str]:
        """Those of the index and of object storage, behind the one that was noted."""
        noted, indexed, grouped = await self._connection.send(
            ("GET", REINDEXED), ("ZRANGE", RUNS, 0, -1), ("ZRANGE", GROUPS, 0, -1)
        )
        after = self.report.after = (noted or b"").decode(errors="replace")
        members = (entry.decode(errors="surrogateescape") for entry in grouped)
        self._strays = {entry for entry in members if entry.rpartition("/")[2] > after}
        names = {name.decode() for name in indexed}
        return sorted(name for name in names.union(await self._archive.names()) if name > after)

    async def _one(self, run: str) -> None:
        """One bad run hides nothing of the others."""
        report = self.report
        try:
            contents, changed = await reindex_run(self._connection, self._archive, run)
        except (CheckpointCorrupt, IndexDoubted) as error:
            report.problems.append(str(error))
            self._strays = {entry for entry in self._strays if not entry.endswith(f"/{run}")}
            return
        if contents is None:
            report.removed += changed
            return
        self._strays.discard(f"{contents.run.record.group}/{run}")
        report.runs += 1
        report.checkpoints += sum(c is not None for c in contents.checkpoints.values())
        report.problems += contents.problems

    async def _refile(self) -> None:
        """Make the lists by facts anew, where they hold what no run is or has lost what one is."""
        [_, names] = await self._connection.send(("DEL", FILED), ("ZRANGE", RUNS, 0, -1))
        for start in range(0, len(names), REFILED):
            some = [refile(name.decode()) for name in names[start : start + REFILED]]
            await self._connection.send(*some)
