"""Real stores for the tests that read or write them."""

import asyncio
import functools
import itertools
import logging
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec, cast

import httpx
import msgspec
from moto.server import ThreadedMotoServer
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store
from redis.asyncio import Redis

from grokprobe.settings import Settings
from grokprobe.store.archive.contents import read_contents
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.catalogue.catalogue import Catalogue

KINDS = ("memory", "local", "s3")

P = ParamSpec("P")


def with_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """An async test as a plain one, with a loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


# -- stores ------------------------------------------------------------------------------------


@functools.cache
def s3_endpoint() -> str:
    """The URL of an S3 server that ends with this process; it takes any credentials."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def s3_bucket() -> str:
    """The name of a new, empty bucket."""
    bucket = uuid.uuid4().hex
    httpx.put(f"{s3_endpoint()}/{bucket}").raise_for_status()
    return bucket


def new_store(kind: str, folder: Path) -> ObjectStore:
    """An empty store: `memory`, `local` (under `folder`) or `s3`."""
    if kind == "memory":
        return MemoryStore()
    if kind == "local":
        return LocalStore(folder / "store", mkdir=True)
    return S3Store(
        s3_bucket(),
        prefix="some/prefix",
        endpoint=s3_endpoint(),
        access_key_id="test",
        secret_access_key="test",
        client_options={"allow_http": True},
    )


async def contents(archive: ArchiveReader) -> dict[str, bytes]:
    """Every object by its path."""
    return {
        path: await archive.objects.read(path) or b"" for path in await archive.objects.below("")
    }


# -- backends ------------------------------------------------------------------------------------


@asynccontextmanager
async def backends(folder: Path) -> AsyncIterator[tuple[Backends, Redis]]:
    """Local files and an embedded Redis, and a client that goes around the catalogue."""
    async with open_backends(Settings(home=str(folder))) as opened:
        socket = folder / "redis" / "redis.sock"
        async with Redis(unix_socket_path=str(socket), decode_responses=True) as client:
            yield opened, client


async def answers(source: ArchiveReader | Catalogue) -> dict[str, Any]:
    """All that the two have in common, as plain values."""
    found: dict[str, Any] = {"runs": await source.runs()}
    for run in found["runs"]:
        if isinstance(source, Catalogue):
            there = await source.contents(run)
        else:
            there = await read_contents(source, run)
        records = [there.run, there.completion, *there.checkpoints.values()]
        found[run] = [record and record.record for record in records], list(there.checkpoints)
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


# -- cost ----------------------------------------------------------------------------------------


class CountingStore:
    """Another store; it counts the requests that are sent to it, and each takes `delay_s`."""

    def __init__(self, store: ObjectStore, delay_s: float = 0.0) -> None:
        self._store, self._delay_s = store, delay_s
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def counted(path: str, *args: Any, **kwargs: Any) -> Any:
            self.paths.append(path)
            time.sleep(self._delay_s)
            return call(path, *args, **kwargs)

        return counted if callable(call) else call

    @property
    def archive(self) -> ArchiveReader:
        """A new reader of this store."""
        return ArchiveReader(cast(ObjectStore, self))


async def indexed_steps(catalogue: Catalogue, run: str) -> list[int]:
    """The steps of a run by the index, which proves them."""
    return list((await catalogue.contents(run)).checkpoints)


# -- interruption --------------------------------------------------------------------------------


class Interrupted(BaseException):
    """Stands for the end of a process: no `except Exception` sees it."""


def kill() -> None:
    """End this process as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt() -> None:
    """End the publication alone."""
    raise Interrupted


class InterruptingStore:
    """Another store, but from write or delete number `at` on `how` happens instead."""

    def __init__(self, store: ObjectStore, at: int, how: Callable[[], None]) -> None:
        self._store, self._at, self._how = store, at, how
        self._numbers = itertools.count()  # several threads count

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        return self._counted(call) if name in ("put", "delete") else call

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **kwargs: Any) -> Any:
            if next(self._numbers) >= self._at:
                self._how()
            return call(*args, **kwargs)

        return write


def interrupting(store: ObjectStore, at: int, how: Callable[[], None] = interrupt) -> ArchiveReader:
    """An archive on `store` that does not survive its write number `at`, counted from 0."""
    return ArchiveReader(cast(ObjectStore, InterruptingStore(store, at, how)))


def take_away(home: Path) -> None:
    """Where the folder of object storage was, there is a file."""
    store = home / "store"
    store.rename(home / "away")
    store.write_text("")
