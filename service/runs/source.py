"""Where runs are read: in the catalogue, and in object storage while that is down."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from grokprobe.errors import CatalogueUnavailable
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue.catalogue import Catalogue
from service.runs.view import RunView, read_view

T = TypeVar("T")

CATALOGUE_PAUSE_S = 2.0  # after a failure, how long object storage is asked without trying Redis


class Source:
    """Reads what is published, whichever of the two answers."""

    def __init__(self, catalogue: Catalogue, archive: ArchiveReader) -> None:
        self.catalogue, self.archive = catalogue, archive
        self._catalogue_paused_until = 0.0

    async def either(
        self, catalogue: Callable[[], Awaitable[T]], archive: Callable[[], Awaitable[T]]
    ) -> T:
        """What the catalogue answers; where it is down, what object storage does.

        For a moment after a failure it is not asked: its timeouts are not paid per request.
        """
        if time.monotonic() >= self._catalogue_paused_until:
            try:
                return await catalogue()
            except CatalogueUnavailable:
                self._catalogue_paused_until = time.monotonic() + CATALOGUE_PAUSE_S
        return await archive()

    async def view(self, run: str, known: RunView | None = None) -> RunView:
        """A run as it is now; of its checkpoints only those are read that `known` lacks.

        Raises RunNotFound, StoreUnavailable.
        """
        return await self.either(
            lambda: read_view(self.catalogue, run, known),
            lambda: read_view(self.archive, run, known),
        )
