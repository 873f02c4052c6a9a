"""From URLs to the two backends: object storage and Redis.

Both connect when they are first asked, so that nothing fails here because a server is down, and
both give up after seconds, so that a dead server costs a request seconds and not minutes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store, from_url
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import RedisError

from grokprobe.errors import SettingError, Unavailable
from grokprobe.settings import Settings, variable
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.embedded_redis import embedded_redis
from grokprobe.store.catalogue.events import EventReader

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig  # exist for type checkers alone

EMBEDDED = "embedded"

STORE_TIMEOUTS: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=2),
    "read_timeout": timedelta(seconds=15),  # of silence, which an upload is too
    "timeout": timedelta(seconds=120),
}
STORE_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}

REDIS_TIMEOUT_S = 1.0
REDIS_RETRIES = 1  # of the connection and of the command, so four attempts
REDIS_CONNECTIONS = 32
REDIS_HEALTH_CHECK_S = 30


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
async def open_backends(settings: Settings) -> AsyncIterator[Backends]:
    """Open both backends, the index made ready where that is safe; a dead one is no error.

    Raises SettingError for a URL or a HOME that cannot be used, CatalogueUnavailable if the
    embedded Redis does not start.
    """
    archive = ArchiveReader(open_store(settings))
    async with open_redis(settings) as (catalogue, events):
        with suppress(Unavailable):  # degraded until the backend is back
            await _prepare(archive, catalogue, owned=settings.redis_url == EMBEDDED)
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
    with embedded_redis(settings.home_path) if owned else nullcontext() as socket:
        url = f"unix://{quote(str(socket))}" if socket else settings.redis_url
        catalogue, events = Catalogue(connect_redis(url)), EventReader(connect_reader(url))
        try:
            yield catalogue, events
        finally:
            await events.aclose()
            await catalogue.connection.aclose()


def connect_redis(url: str) -> Redis:
    """A client for requests: short timeouts, few retries, a bounded pool; connects when asked.

    Raises SettingError for a URL that cannot be used. It is not shown: it may hold a password.
    """
    try:
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            url,
            max_connections=REDIS_CONNECTIONS,
            timeout=REDIS_TIMEOUT_S,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), REDIS_RETRIES),
            health_check_interval=REDIS_HEALTH_CHECK_S,
        )
        # Connects nothing yet, but shows the options that it does not know.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError):
        raise SettingError(
            variable("redis_url"),
            "is not `embedded`, redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH with "
            "options that redis-py knows",
        ) from None
    return Redis.from_pool(pool)


def connect_reader(url: str) -> Redis:
    """A client for blocking reads: no socket timeout and no retries, which its reader has itself.

    The URL is one that `connect_redis` took.
    """
    return Redis.from_url(
        url,
        client_name="grokprobe-events",
        socket_timeout=None,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def open_store(settings: Settings) -> ObjectStore:
    """The object store that the settings name. Raises SettingError if it cannot be one."""
    if not settings.store_url:
        return _local_store(settings.home_path / "store", "home")
    try:
        parts = urlsplit(settings.store_url)
        if parts.scheme == "file" and not parts.netloc:
            return _local_store(Path(unquote(parts.path)), "store_url")
        if parts.scheme == "memory":
            return MemoryStore()
        if parts.scheme in ("s3", "gs", "az"):
            return _remote_store(settings)
    except (BaseError, ValueError) as error:
        cause = str(error).partition("\n")[0]
        raise SettingError(variable("store_url"), f"cannot be used: {cause}") from None
    raise SettingError(
        variable("store_url"),
        f"{settings.store_url!r} is not file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, "
        "az://CONTAINER/PREFIX or memory://",
    )


def _local_store(folder: Path, setting: str) -> LocalStore:
    try:
        return LocalStore(folder, mkdir=True)
    except OSError as error:
        raise SettingError(variable(setting), f"{folder} cannot be used: {error}") from None


def _remote_store(settings: Settings) -> ObjectStore:
    url, endpoint = settings.store_url, settings.s3_endpoint
    if not (url.startswith("s3:") and endpoint):
        return from_url(url, client_options=STORE_TIMEOUTS, retry_config=STORE_RETRIES)
    # The library accepts any text here and panics at the first request.
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        raise SettingError(variable("s3_endpoint"), f"{endpoint!r} is not http(s)://HOST:PORT")
    options: ClientConfig = {**STORE_TIMEOUTS, "allow_http": endpoint.startswith("http:")}
    return S3Store.from_url(
        url, endpoint=endpoint, client_options=options, retry_config=STORE_RETRIES
    )
