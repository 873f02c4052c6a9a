"""The catalogue: what Redis knows of the runs. It may be lost at any time and rebuilt (`index`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cachetools import LRUCache
from redis.asyncio import Redis

from grokprobe.errors import CatalogueUnavailable, RunNotFound
from grokprobe.store.archive.contents import Contents
from grokprobe.store.archive.reader import ArchiveReader, RunState
from grokprobe.store.archive.seal import Seal, decode_seal, encode_seal
from grokprobe.store.catalogue import scripts
from grokprobe.store.catalogue.connection import Connection
from grokprobe.store.catalogue.entries import (
    NOT_WHOLE,
    add_to_entry,
    read_entry,
    repair_entry,
    seal_bytes,
    write_entry,
)
from grokprobe.store.catalogue.events import checkpoint_event, completion_event, deletion_event
from grokprobe.store.catalogue.faults import READS
from grokprobe.store.catalogue.filters import ALL, FILED_WHOLE, RunFilter, filed_as
from grokprobe.store.catalogue.keys import (
    DOUBTED,
    FILED,
    FRESH_S,
    REINDEX,
    RUNS,
    Command,
    announced,
    key,
)
from grokprobe.store.catalogue.reindex import Reindex, ReindexReport
from grokprobe.store.catalogue.rows import RunSummary, states_of, summaries_of
from grokprobe.store.records import CheckpointManifest, is_name

MAX_SUMMARIES = 4096  # that are kept: a kilobyte or two each


class Look(NamedTuple):
    """What an entry says of itself: its seal if that is one, its steps, its group, its facts."""

    seal: Seal | None
    steps: frozenset[bytes]
    group: bytes | None
    filed: bytes | None

    def is_filed(self, contents: Contents) -> bool:
        """Whether lists find the run by what it is."""
        manifest, status = contents.run.record, contents.seal.status
        group, filed = manifest.group or "", filed_as(manifest, status)
        return (self.group or b"", self.filed) == (group.encode(), filed.encode())


class Catalogue:
    """Reads and writes the index. Every method raises CatalogueUnavailable where Redis is down.

    Reads also raise it while the index is not whole (`grokprobe:ready`), and IndexDoubted for a run
    whose entry does not prove itself.
    """

    def __init__(self, client: Redis) -> None:
        self.connection = Connection(client)
        self._written: dict[str, bytes] = {}  # the seals that were written here last, by run
        self._summaries: LRUCache[Seal, RunSummary] = LRUCache(MAX_SUMMARIES)

    async def ready(self) -> bool:
        """Whether the index is whole: initialised or rebuilt, and no list has lost a member."""
        return all(await self.connection.send(scripts.WHOLE, FILED_WHOLE))

    async def usable(self) -> bool:
        """Whether the index is whole; CatalogueUnavailable also where a needed right is missing."""
        whole, filed, *_ = await self.connection.send(scripts.WHOLE, FILED_WHOLE, *READS)
        return bool(whole and filed)

    async def initialise(self) -> None:
        """Declare the index whole, as it is: for an object storage that holds no runs yet, and
        after every run has been written.
        """
        await self.connection.send(scripts.DECLARE)

    # -- writing -----------------------------------------------------------------------------

    async def repair_run(self, archive: ArchiveReader, run: str) -> tuple[Contents, bool]:
        """Make the entry of a run equal to what object storage holds; whether it was not.

        Meanwhile readers see the old entry, one in doubt or the new one. Announces nothing. Raises
        RunNotFound, CheckpointCorrupt for a `run.json` that is broken, IndexDoubted where others go
        on writing the entry.
        """
        contents, changed = await repair_entry(self.connection, archive, run)
        self._written[run] = encode_seal(contents.seal)
        return contents, changed

    async def put_run(self, contents: Contents, before: bytes = b"") -> bool:
        """`repair_run` with what was read already; `before` lay at the seal (`seal_bytes`) then."""
        return await write_entry(self.connection, contents, before)

    async def renew(self, *runs: str) -> None:
        """Note that the entries of runs that go on were equal to their listings just now."""
        await self.connection.send(*(("SET", key(r, "fresh"), 1, "EX", FRESH_S) for r in runs))

    async def add_checkpoint(self, manifest: CheckpointManifest) -> None:
        """Index a published checkpoint and announce it.

        Raises IndexDoubted where the run has to be compared with object storage (`reconcile`).
        """
        run = manifest.run
        seal = await add_to_entry(self.connection, manifest, self._written.get(run))
        self._written[run] = seal
        await self._announce(run, {manifest.step: checkpoint_event(manifest)})

    async def remove_run(self, run: str) -> bool:
        """Drop a run from the index; announced, and True, if it was there."""
        self._written.pop(run, None)
        return bool((await self.connection.send(scripts.remove(run, deletion_event(run))))[0])

    async def reconcile(self, archive: ArchiveReader, run: str) -> None:
        """Make the index of one run equal to the listing of object storage.

        What has not been announced is, in its order: this is for the run's publisher.
        """
        try:
            contents, _ = await self.repair_run(archive, run)
        except RunNotFound:
            await self.remove_run(run)
            return
        await self.announce(contents)

    async def announce(self, contents: Contents, before: Look | None = None) -> None:
        """Announce what of a run has not been, in its order; nothing of what there was before."""
        found = [c.record for c in contents.checkpoints.values() if c]
        news: dict[str | int, Command] = {
            c.step: checkpoint_event(c)
            for c in found
            if not (before and b"%d" % c.step in before.steps)
        }
        if contents.completion and not (before and before.seal and before.seal.completion):
            news["complete"] = completion_event(contents.completion.record)
        await self._announce(contents.name, news)

    async def rebuild(self, archive: ArchiveReader) -> ReindexReport:
        """Make the whole index equal to object storage, and ready; see `reindex`."""
        return await Reindex(self.connection, archive).run()

    async def doubt(self, runs: Iterable[str]) -> None:
        """Hand runs whose entries are in doubt to whoever repairs the index."""
        await self.connection.send(("SADD", DOUBTED, *runs))

    async def doubted(self, limit: int = 1000) -> list[str]:
        """Runs that readers have handed over; each is told once."""
        [found] = await self.connection.send(("SPOP", DOUBTED, limit))
        return [name.decode(errors="replace") for name in found]

    # -- reading -----------------------------------------------------------------------------

    async def runs(
        self, after: str = "", limit: int | None = None, wanted: RunFilter = ALL
    ) -> list[str]:
        """The names strictly after a cursor, in lexicographic order, at most `limit`.

        Of the runs that are wanted; the others are not looked at.
        """
        page: Command = () if limit is None else ("LIMIT", 0, limit)
        if wanted == ALL:
            bounds = f"({after}" if after else "-", "+"
            [found] = await self._read(("ZRANGEBYLEX", RUNS, *bounds, *page))
        else:
            bounds = f"({wanted.filed}/{after}", f"({wanted.filed}0"  # `0` is next after `/`
            command: Command = ("ZRANGEBYLEX", FILED, *bounds, *page)
            whole, found = await self._read(FILED_WHOLE, command)
            if not whole:
                raise CatalogueUnavailable(NOT_WHOLE)
        names = [name.decode(errors="replace").rpartition("/")[2] for name in found]
        if not all(map(is_name, names)):
            raise CatalogueUnavailable(f"Redis lists a run by what is no name; {REINDEX}")
        return names

    async def groups(self) -> list[str]:
        """The names of the groups that have members, in lexicographic order."""
        [found] = await self._read(scripts.GROUP_NAMES)
        return [name.decode(errors="replace") for name in found]

    async def contents(self, run: str, known: Contents | None = None) -> Contents:
        """A run as its entry has it, proven; of that run only what `known` lacks is read.

        Raises IndexDoubted where the entry is absent, or is not proven to be whole and fresh.
        """
        return await read_entry(self.connection, run, known)

    async def seal(self, run: str) -> Seal | None:
        """The seal of a run's entry as it stands, fresh or not; None where there is none."""
        return decode_seal(await seal_bytes(self.connection, run))

    async def look(self, run: str) -> Look:
        """What stands at the keys of a run, believed or not: to be compared with a listing."""
        [found] = await self.connection.send(scripts.look(run))
        seal, steps, group, filed = found
        return Look(decode_seal(seal), frozenset(steps or ()), group, filed)

    async def states(self, runs: Sequence[str]) -> dict[str, RunState]:
        """How far each run is, in one round trip; those that are gone or in doubt are left out."""
        [rows] = await self._read(scripts.states(runs))
        return {state.run: state for state in states_of(runs, rows)}

    async def summaries(self, runs: Sequence[str], stale: bool = False) -> dict[str, RunSummary]:
        """What a list shows of each run, in one round trip; left out as by `states`.

        With `stale` also of those that were not compared lately, for when nobody can.
        """
        [rows] = await self.connection.send(scripts.summaries(runs))
        if rows is None:
            raise CatalogueUnavailable(NOT_WHOLE)
        summaries = summaries_of(runs, rows, self._summaries, stale)
        return {found.manifest.run: found for found in summaries}

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

    async def _read(self, *commands: Command) -> list[Any]:
        whole, *answers = await self.connection.send(scripts.WHOLE, *commands)
        if not whole:
            raise CatalogueUnavailable(NOT_WHOLE)
        return answers
