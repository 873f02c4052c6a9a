"""One run's entry compared with object storage, by a look or whole, and made equal."""

from collections.abc import Callable
from contextlib import suppress

from grokprobe.errors import CheckpointCorrupt, IndexDoubted, RunNotFound
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import Contents, manifests_sha256
from grokprobe.store.archive.reader import ArchiveReader, Listing
from grokprobe.store.archive.seal import encode_seal
from grokprobe.store.catalogue.catalogue import Catalogue, Look
from grokprobe.store.catalogue.reindex import reindex_run
from grokprobe.store.records import sha256

UNFILED = "unfiled"  # whole, but not in the lists by what it is


class Runs:
    """Compares runs, and remembers what it found."""

    def __init__(
        self,
        catalogue: Catalogue,
        archive: ArchiveReader,
        say: Callable[[str], None],
        repaired: Callable[[str], None],
    ) -> None:
        self._catalogue, self._archive = catalogue, archive
        self._say, self._repaired = say, repaired
        self.differed = set[str]()  # runs that go on, when they were looked at last
        self.proven: dict[str, tuple[str, bytes]] = {}  # version of `run.json`, seal, by run
        self.deleted = set[str]()
        self.problems: dict[str, list[str]] = {}  # records that cannot be read, by run

    async def look(self, run: str) -> None:
        """Compare steps and end of an entry with one list."""
        # The entry first: what is published in between is then no surplus.
        found = await self._catalogue.look(run)
        try:
            listing = await self._archive.listing(run)
        except RunNotFound:
            return await self.prove(run)
        if _agrees(found, listing) and self._is_same(run, listing):
            self.differed.discard(run)
            if not listing.ended:
                await self._catalogue.renew(run)
            return None
        goes_on = found.seal and found.seal.completion is None
        if goes_on and run not in self.differed:
            self.differed.add(run)
            return None
        return await self.prove(run)

    def _is_same(self, run: str, listing: Listing) -> bool:
        """Whether `run.json` is the one that the entry was compared with, as far as is known."""
        return run not in self.proven or self.proven[run][0] == listing.version

    async def prove(self, run: str) -> None:
        """Compare all of an entry, and make it equal. What cannot be read is noted."""
        reason = "differs"
        try:
            contents = await self._catalogue.contents(run)
            if not (await self._catalogue.look(run)).is_filed(contents):
                reason = UNFILED
            elif await self._is_stored(contents):
                self.differed.discard(run)
                if contents.completion is None:
                    await self._catalogue.renew(run)
                return
        except IndexDoubted as doubt:
            reason = doubt.reason
        except (RunNotFound, CheckpointCorrupt):
            pass
        with suppress(IndexDoubted):  # others write it just now: the next turn looks again
            await self._repair(run, reason)

    async def _is_stored(self, contents: Contents) -> bool:
        """Whether a proven entry is as object storage has it. Raises as reading that does."""
        run, seal, ended = contents.name, contents.seal, contents.completion
        listing = await self._archive.listing(run)
        if [*contents.checkpoints] != listing.steps or listing.ended != bool(ended):
            return False
        if self.proven.get(run) == (listing.version, encode_seal(seal)):
            return True
        # Of a run that has ended two records prove all others; of older trainers they do not.
        if not ended or ended.record.manifests_sha256 != manifests_sha256(contents.checkpoints):
            return False
        read = self._archive.objects.read
        for path, expected in (
            (names.run_path(run), contents.run.sha256),
            (names.completion_path(run), ended.sha256),
        ):
            if sha256(await read(path) or b"") != expected:
                return False
        self.proven[run] = listing.version, encode_seal(seal)
        return True

    async def _repair(self, run: str, reason: str) -> None:
        """Read all of a run, and write what differs."""
        before = await self._catalogue.look(run)
        try:
            contents, changed = await reindex_run(self._catalogue.connection, self._archive, run)
        except CheckpointCorrupt as error:
            self.problems[run] = [str(error)]
            return
        self.differed.discard(run)
        self.problems.pop(run, None)
        if changed or reason == UNFILED:
            self._repaired("gone" if contents is None else reason)
            self._say(f"repaired the index of run {run!r}: {reason}")
        if contents is None:
            self.proven.pop(run, None)
            if await self._archive.objects.exists(names.tombstone_path(run)):
                self.deleted.add(run)
            return
        if contents.problems:
            self.problems[run] = contents.problems
        self.proven[run] = contents.version, encode_seal(contents.seal)
        if before.seal and changed:  # else it is not known what has been announced
            await self._catalogue.announce(contents, before)


def _agrees(found: Look, listing: Listing) -> bool:
    """Whether an entry has the steps and the end that were listed."""
    if (seal := found.seal) is None or found.steps != {b"%d" % step for step in listing.steps}:
        return False
    return seal.count == len(listing.steps) and listing.ended == (seal.completion is not None)
