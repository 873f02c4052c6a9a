"""Object storage, reduced to what publication needs; every failure in the words of our errors.

Objects are created once and never overwritten. A missing object is None, never an exception.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

from grokprobe.errors import CheckpointCorrupt, StoreUnavailable

RECORD_MAX_BYTES = 64 * 2**20  # the largest is complete.json, with measures of every checkpoint
AT_ONCE = 16  # requests in flight for one call of ours
CREATE_ATTEMPTS = 20
CREATE_PAUSE_S = 0.05

A = TypeVar("A")
R = TypeVar("R")


async def gather(call: Callable[[A], Awaitable[R]], arguments: Iterable[A]) -> list[R]:
    """`call` of each argument, AT_ONCE at a time; the first error stops the others."""
    permits = asyncio.Semaphore(AT_ONCE)

    async def one(argument: A) -> R:
        async with permits:
            return await call(argument)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(argument)) for argument in arguments]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


@contextmanager
def _translated(action: str, path: str) -> Iterator[None]:
    """Whatever the library raises becomes a StoreUnavailable of one line."""
    try:
        yield
    # It raises its own family, OSError and ValueError, and a bare Exception where Rust panics.
    except Exception as error:
        cause = " ".join(str(error).partition("\n\nDebug source")[0].split())
        raise StoreUnavailable(f"object storage cannot {action} {path}: {cause}") from error


class Objects:
    """The six operations. All raise StoreUnavailable where storage does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def create(self, path: str, data: bytes) -> bytes | None:
        """Write a new object: None if this call wrote it, else the bytes that were there."""
        for _ in range(CREATE_ATTEMPTS):
            with _translated("write", path), suppress(AlreadyExistsError):
                # One request: a multipart upload would not be conditional.
                await self._store.put_async(path, data, mode="create", use_multipart=False)
                return None
            existing = await self.read(path, RECORD_MAX_BYTES + len(data))
            if existing is not None:
                return existing
            # S3 answers 409 while another create is under way, which may yet fail: ask again.
            await asyncio.sleep(CREATE_PAUSE_S)
        raise StoreUnavailable(f"object storage cannot write {path}: it refuses every create")

    async def read(self, path: str, max_bytes: int = RECORD_MAX_BYTES) -> bytes | None:
        """A whole object; CheckpointCorrupt, before the download, if it is above `max_bytes`."""
        with _translated("read", path):
            try:
                answer = await self._store.get_async(path)
            except FileNotFoundError:
                return None
            size = answer.meta["size"]
            if size <= max_bytes:
                return (await answer.bytes_async()).to_bytes()
        raise CheckpointCorrupt(f"{path} has {size} bytes, at most {max_bytes} can be right")

    async def exists(self, path: str) -> bool:
        """Whether an object of that name is there."""
        with _translated("read", path):
            try:
                await self._store.head_async(path)
            except FileNotFoundError:
                return False
            return True

    async def below(self, prefix: str) -> list[str]:
        """The sorted paths of all objects below a folder, at any depth."""
        with _translated("list", prefix):
            chunks = self._store.list_async(prefix, chunk_size=1000)
            return sorted([item["path"] async for chunk in chunks for item in chunk])

    async def children(self, prefix: str) -> list[str]:
        """The sorted paths of the objects and folders directly in a folder."""
        with _translated("list", prefix):
            listing = await self._store.list_with_delimiter_async(prefix)
        return sorted([*listing["common_prefixes"], *(item["path"] for item in listing["objects"])])

    async def remove(self, path: str) -> None:
        """Delete an object; one that is not there is a success."""
        with _translated("delete", path), suppress(FileNotFoundError):
            await self._store.delete_async(path)
