"""The catalogue: what Redis knows of the runs. It may be lost at any time and rebuilt (`index`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from grokprobe.errors import CatalogueUnavailable, RunNotFound, StepNotFound
from grokprobe.store.archive.reader import ArchiveReader, RunState, nearest_steps
from grokprobe.store.catalogue.connection import Connection
from grokprobe.store.catalogue.events import checkpoint_event, completion_event
from grokprobe.store.catalogue.keys import (
    GROUPS,
    READY,
    REINDEX,
    RUNS,
    Command,
    announced,
    checkpoint_entry,
    decode_entry,
    key,
    run_entry,
)
from grokprobe.store.catalogue.reindex import ReindexReport, reindex_all, reindex_run, remove_run
from grokprobe.store.catalogue.scripts import (
    GROUPS_COMMAND,
    RunSummary,
    state_of,
    states_command,
    summary_command,
    summary_of,
)
from grokprobe.store.records import CheckpointManifest, Completion, RunManifest, is_name

NOTHING = "grokprobe:nothing"  # no key of that name ever is
# Every command that a service sends, those of its scripts too; they find nothing and leave nothing.
NEEDED: tuple[Command, ...] = (
    ("PING",),
    ("GET", NOTHING),
    ("SET", NOTHING, "", "XX", "PX", 1),
    ("HGET", NOTHING, ""),
    ("HMGET", NOTHING, ""),
    ("ZCARD", NOTHING),
    ("ZRANGE", NOTHING, 0, 0),
    ("ZREVRANGE", NOTHING, 0, 0),
    ("ZRANGEBYLEX", NOTHING, "-", "+", "LIMIT", 0, 1),
    ("EVAL", "return 0", 0),
)


class Catalogue:
    """Reads and writes the index. Every method raises CatalogueUnavailable where Redis is down.

    Reads also raise it while the index is not whole (`grokprobe:ready` is absent).
    """

    def __init__(self, client: Redis) -> None:
        self.connection = Connection(client)

    async def ready(self) -> bool:
        """Whether the index is whole: initialised or rebuilt since Redis was last empty."""
        return bool((await self.connection.send(("EXISTS", READY)))[0])

    async def usable(self) -> bool:
        """Whether the index is whole; CatalogueUnavailable also where a needed right is missing."""
        return bool((await self.connection.send(("EXISTS", READY), *NEEDED))[0])

    async def initialise(self) -> None:
        """Declare the index whole: for an object storage that holds no runs yet."""
        await self.connection.send(("SET", READY, 1))

    # -- writing -----------------------------------------------------------------------------

    async def add_run(self, manifest: RunManifest) -> None:
        """Index a published run."""
        await self.connection.send(*run_entry(manifest))

    async def add_checkpoint(self, manifest: CheckpointManifest) -> None:
        """Index a published checkpoint and announce it."""
        await self.connection.send(*checkpoint_entry(manifest), atomic=True)
        await self._announce(manifest.run, {manifest.step: checkpoint_event(manifest)})

    async def remove_run(self, run: str) -> None:
        """Drop a run from the index; announced if it was there."""
        await remove_run(self.connection, run)

    async def reconcile(self, archive: ArchiveReader, run: str) -> None:
        """Make the index of one run equal to the listing of object storage; see `reindex`.

        What has not been announced is, in its order: this is for the run's publisher.
        """
        listing = await reindex_run(self.connection, archive, run)
        if listing is None:
            return
        news: dict[str | int, Command] = {c.step: checkpoint_event(c) for c in listing.checkpoints}
        if listing.completion:
            news["complete"] = completion_event(listing.completion)
        await self._announce(run, news)

    async def rebuild(self, archive: ArchiveReader) -> ReindexReport:
        """Make the whole index equal to object storage, and ready; see `reindex`."""
        return await reindex_all(self.connection, archive)

    # -- reading -----------------------------------------------------------------------------

    async def runs(
        self, after: str = "", limit: int | None = None, group: str | None = None
    ) -> list[str]:
        """The names strictly after a cursor, in lexicographic order, at most `limit`.

        Of one group where that is named; none where there is no such group.
        """
        if group is not None and not is_name(group):
            return []
        where, bounds = RUNS, (f"({after}" if after else "-", "+")
        if group is not None:
            where, bounds = GROUPS, (f"({group}/{after}", f"({group}0")  # `0` is next after `/`
        page: Command = () if limit is None else ("LIMIT", 0, limit)
        [found] = await self._read(("ZRANGEBYLEX", where, *bounds, *page))
        return [name.decode().rpartition("/")[2] for name in found]

    async def groups(self) -> list[str]:
        """The names of the groups that have members, in lexicographic order."""
        [found] = await self._read(GROUPS_COMMAND)
        return [name.decode() for name in found]

    async def states(self, runs: Sequence[str]) -> list[RunState]:
        """How far each run is, in one round trip; runs that are gone are left out."""
        [rows] = await self._read(states_command(runs))
        return [state_of(run, *row) for run, row in zip(runs, rows, strict=True) if row]

    async def run(self, run: str) -> RunManifest:
        """The manifest of a run. Raises RunNotFound."""
        [data] = await self._read(("GET", key(run, "manifest")))
        if data is None:
            raise RunNotFound(run)
        return decode_entry(data, RunManifest, run)

    async def steps(self, run: str) -> list[int]:
        """The sorted steps of the checkpoints of a run. Raises RunNotFound."""
        [steps] = await self._read_run(run, ("ZRANGE", key(run, "steps"), 0, -1))
        return [int(step) for step in steps]

    async def checkpoints(self, run: str, steps: Sequence[int]) -> list[CheckpointManifest]:
        """The manifests of some checkpoints, in the order of `steps`.

        Raises RunNotFound, StepNotFound.
        """
        commands: list[Command] = [("HMGET", key(run, "checkpoints"), *steps)] if steps else []
        found = [data for answer in await self._read_run(run, *commands) for data in answer]
        for step, data in zip(steps, found, strict=True):
            if data is None:
                raise StepNotFound(run, step, nearest_steps(step, await self.steps(run)))
        return [decode_entry(data, CheckpointManifest, run) for data in found]

    async def completion(self, run: str) -> Completion | None:
        """How a run ended; None while it runs. Raises RunNotFound."""
        [data] = await self._read_run(run, ("GET", key(run, "completion")))
        return None if data is None else decode_entry(data, Completion, run)

    async def summaries(self, runs: Sequence[str]) -> list[RunSummary]:
        """What a list shows of each run, in one round trip; runs that are gone are left out."""
        [rows] = await self._read(summary_command(runs))
        return [summary_of(run, row) for run, row in zip(runs, rows, strict=True) if row[0]]

    # -- parts -------------------------------------------------------------------------------

    async def _announce(self, run: str, news: Mapping[str | int, Command]) -> None:
        """Append those events, by their marks, that the stream has not had yet."""
        if not news:
            return
        [done] = await self.connection.send(("SMISMEMBER", key(run, "announced"), *news))
        missing = {mark: news[mark] for mark, had in zip(news, done, strict=True) if not had}
        await self.connection.send(
            *(part for mark, event in missing.items() for part in (event, announced(run, mark)))
        )

    async def _read_run(self, run: str, *commands: Command) -> list[Any]:
        there, *answers = await self._read(("EXISTS", key(run, "manifest")), *commands)
        if not there:
            raise RunNotFound(run)
        return answers

    async def _read(self, *commands: Command) -> list[Any]:
        ready, *answers = await self.connection.send(("EXISTS", READY), *commands)
        if not ready:
            raise CatalogueUnavailable(f"Redis holds no whole index; {REINDEX}")
        return answers
