"""Where runs are read: in the catalogue as far as it proves itself, else in object storage.

A run whose entry is in doubt is read from object storage alone; the others go on from the index.
What the index does not have, or does not have any more, is never gone by its word alone.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from grokprobe.errors import CatalogueUnavailable, IndexDoubted, RunNotFound
from grokprobe.store.archive.contents import Contents
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.keys import FRESH_S
from grokprobe.store.records import is_name
from service.runs.proof import Proof
from service.runs.view import RunView, read_view
from service.telemetry.metrics import Metrics

T = TypeVar("T")

CATALOGUE_PAUSE_S = 2.0  # after a failure, how long object storage is asked without trying Redis
MAX_DOUBTS = 10_000  # that wait to be taken


class Source:
    """Reads what is published, whichever of the two answers."""

    def __init__(self, catalogue: Catalogue, archive: ArchiveReader, metrics: Metrics) -> None:
        self.catalogue, self.archive = catalogue, archive
        self.doubts: dict[str, str] = {}  # runs to repair in the index, with the reason
        self._metrics = metrics
        self._catalogue_paused_until = 0.0
        self._distrusted_until = 0.0

    async def either(
        self, catalogue: Callable[[], Awaitable[T]], archive: Callable[[], Awaitable[T]]
    ) -> T:
        """What the catalogue answers; where it is down, what object storage does.

        For a moment after a failure it is not asked: its timeouts are not paid per request.
        """
        try:
            return await self._ask(catalogue)
        except CatalogueUnavailable:
            return await archive()

    async def view(self, run: str, known: RunView | None = None) -> RunView:
        """A run as it is now; of its records only those are read that `known` lacks.

        Raises RunNotFound, StoreUnavailable, CheckpointCorrupt for a `run.json` that is broken.
        """
        if not is_name(run):
            raise RunNotFound(run)
        try:
            contents = await self._indexed(run, known)
        except IndexDoubted as doubt:
            view = await self.stored_view(run, known)
            self.note_doubt(doubt)
            return view
        except CatalogueUnavailable:
            return await self.stored_view(run, known)
        return RunView(contents, known.proof if known else Proof(), stored=False)

    async def stored_view(self, run: str, known: RunView | None = None) -> RunView:
        """A run as object storage has it, which proves all of it; raises like `view`."""
        return await read_view(self.archive, run, known)

    async def prove(self, view: RunView, step: int | None) -> None:
        """Compare a checkpoint of a view, with None all of it, with object storage, once.

        Raises IndexDoubted where that says otherwise, RunNotFound, StoreUnavailable.
        """
        await view.proof.extend(self.archive, view.contents, step)

    def note_doubt(self, doubt: IndexDoubted) -> None:
        """Count an entry that was not believed, and leave it to whoever repairs the index."""
        self._metrics.index_doubts.inc(doubt.reason)
        if len(self.doubts) < MAX_DOUBTS:
            self.doubts[doubt.run] = doubt.reason

    def take_doubts(self) -> list[str]:
        """The runs whose entries in the index are to be repaired, each told once."""
        taken = list(self.doubts)
        self.doubts.clear()
        return taken

    async def _indexed(self, run: str, known: RunView | None) -> Contents:
        """What the index proves, if it is no less than what is known. Raises IndexDoubted."""
        before = known.contents if known else None
        contents = await self._ask(lambda: self.catalogue.contents(run, before))
        if contents.completion is None and time.monotonic() < self._distrusted_until:
            raise IndexDoubted(run, "stale")
        if before and not contents.holds(before):
            raise IndexDoubted(run, "shrunk")
        return contents

    async def _ask(self, catalogue: Callable[[], Awaitable[T]]) -> T:
        if time.monotonic() < self._catalogue_paused_until:
            raise CatalogueUnavailable("Redis did not answer a moment ago")
        try:
            return await catalogue()
        except IndexDoubted:
            raise
        except CatalogueUnavailable:
            now = time.monotonic()
            self._catalogue_paused_until = now + CATALOGUE_PAUSE_S
            # Whoever publishes may not have reached it either: what was fresh then is not now.
            self._distrusted_until = now + FRESH_S
            raise
