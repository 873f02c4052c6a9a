"""Real stores for the tests that read or write them."""

import asyncio
import functools
import logging
import os
import signal
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, cast

import httpx
from moto.server import ThreadedMotoServer
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from grokprobe.store.archive import Archive

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


async def contents(archive: Archive) -> dict[str, bytes]:
    """Every object by its path."""
    return {
        path: await archive.objects.read(path) or b"" for path in await archive.objects.below("")
    }


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
    """The store of another, in which `how` happens in place of write or delete number `at`."""

    def __init__(self, store: ObjectStore, at: int, how: Callable[[], None] = interrupt) -> None:
        self._store, self._left, self._how = store, at, how

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        return self._counted(call) if name in ("put_async", "delete_async") else call

    def _counted(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def write(*args: Any, **kwargs: Any) -> Any:
            if self._left == 0:
                self._how()
            self._left -= 1
            return await call(*args, **kwargs)

        return write


def interrupting(store: ObjectStore, at: int, how: Callable[[], None] = interrupt) -> Archive:
    """An archive on `store` that does not survive its write number `at`, counted from 0."""
    return Archive(cast(ObjectStore, InterruptingStore(store, at, how)))
