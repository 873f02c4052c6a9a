"""From the settings to the two backends: object storage and Redis.

Both connect when they are first asked, so that nothing fails here because a server is down, and
both give up after seconds, so that a dead server costs a request seconds and not minutes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from urllib.parse import quote

from grokprobe.errors import SettingError, Unavailable
from grokprobe.settings import Settings, variable
from grokprobe.store.archive.opening import WRITING, Patience, open_store
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.clients import connect_reader, connect_redis
from grokprobe.store.catalogue.connection import WrongServer
from grokprobe.store.catalogue.embedded.server import embedded_redis
from grokprobe.store.catalogue.events import EventReader

EMBEDDED = "embedded"


@dataclass(frozen=True)
class Backends:
    """Object storage, the index and its events: what both programs stand on."""

    archive: ArchiveReader
    catalogue: Catalogue
    events: EventReader

    @property
    def publisher(self) -> ArchivePublisher:
        """Writes to the archive; for trainers and for whoever deletes."""
        return ArchivePublisher(self.archive)


@asynccontextmanager
async def open_backends(
    settings: Settings, patience: Patience = WRITING
) -> AsyncIterator[Backends]:
    """Open both backends, the index made ready where that is safe; a dead one is no error.

    Raises SettingError for a URL or a HOME that cannot be used or a Redis of another kind,
    CatalogueUnavailable if the embedded Redis does not start.
    """
    archive = ArchiveReader(open_store(settings, patience=patience))
    async with open_redis(settings) as (catalogue, events):
        try:
            await _prepare(archive, catalogue, owned=settings.redis_url == EMBEDDED)
        except WrongServer as error:
            raise SettingError(variable("redis_url"), str(error)) from None
        except Unavailable:
            pass  # degraded until the backend is back
        yield Backends(archive, catalogue, events)


async def _prepare(archive: ArchiveReader, catalogue: Catalogue, owned: bool) -> None:
    """Make an index ready: ours at once; one that others share is rebuilt by `reindex` alone."""
    if await catalogue.ready():
        return
    if owned:
        await catalogue.rebuild(archive)
    elif not await archive.runs():
        await catalogue.initialise()


@asynccontextmanager
async def open_redis(settings: Settings) -> AsyncIterator[tuple[Catalogue, EventReader]]:
    """Open the catalogue and its events, with a share in the embedded server if it is wanted."""
    owned = settings.redis_url == EMBEDDED
    server = embedded_redis(settings.home_path, settings.redis_server)
    with server if owned else nullcontext() as socket:
        url = f"unix://{quote(str(socket))}" if socket else settings.redis_url
        catalogue, events = Catalogue(connect_redis(url)), EventReader(connect_reader(url))
        try:
            yield catalogue, events
        finally:
            await events.aclose()
            await catalogue.connection.aclose()
