"""Object storage, reduced to what publication needs; every failure in the words of our errors.

Published objects are created once and never overwritten. A missing object is None, no exception.
The library's blocking calls run in threads of ours: they take half the time of its async ones,
which moreover abort the process when it ends soon after one (seen in 2 of 40 exits).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore
from tenacity import RetryError, TryAgain, retry, retry_never, stop_after_attempt, wait_fixed

from grokprobe.errors import CheckpointCorrupt, GrokprobeError, StoreUnavailable
from grokprobe.spans import span
from grokprobe.store.archive.causes import cause_of, lacks_bucket, name_of, place_of

RECORD_MAX_BYTES = 64 * 2**20  # the largest is complete.json, with measures of every checkpoint
AT_ONCE = 16  # requests in flight
CREATE_ATTEMPTS = 20
CREATE_PAUSE_S = 0.05

A = TypeVar("A")
R = TypeVar("R")


async def gather(call: Callable[[A], Coroutine[Any, Any, R]], arguments: Iterable[A]) -> list[R]:
    """Call with each argument, at once as far as `Objects` lets them; an error stops the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call(argument)) for argument in arguments]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


class Objects:
    """The eight operations on objects. All raise StoreUnavailable where storage does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self.place = store, name_of(store)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")

    async def create(self, path: str, data: bytes) -> bytes | None:
        """Write a new object: None if this call wrote it, else the bytes that were there."""

        def put() -> bool:
            try:  # in one request: a multipart upload would not be conditional
                self._store.put(path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

        @retry(
            retry=retry_never,  # but on TryAgain
            stop=stop_after_attempt(CREATE_ATTEMPTS),
            wait=wait_fixed(CREATE_PAUSE_S),
        )
        async def put_or_read() -> bytes | None:
            if await self._run("write", path, put):
                return None
            existing = await self.read(path, RECORD_MAX_BYTES + len(data))
            # S3 answers 409 while another create is under way, which may yet fail: ask again.
            if existing is None:
                raise TryAgain
            return existing

        try:
            return await put_or_read()
        except RetryError:
            message = "object storage cannot write: it refuses every create"
            raise StoreUnavailable(message, f"{path} in {self.place}") from None

    async def replace(self, path: str, data: bytes) -> None:
        """Write an object, new or not, as a whole: the training state, which alone is replaced."""
        await self._run("write", path, lambda: self._store.put(path, data))

    async def read(self, path: str, max_bytes: int = RECORD_MAX_BYTES) -> bytes | None:
        """A whole object; CheckpointCorrupt, before the download, if it is above `max_bytes`."""

        def get() -> bytes:
            answer = self._store.get(path)
            if (size := answer.meta["size"]) > max_bytes:
                raise CheckpointCorrupt(f"{path} has {size} bytes, more than the {max_bytes} due")
            return answer.bytes().to_bytes()

        return await self._run_if_there("read", path, get)

    async def exists(self, path: str) -> bool:
        """Whether a record of that name is there.

        It is read: the answer to HEAD does not tell a missing object from a missing bucket.
        """
        return await self.read(path) is not None

    async def below(self, prefix: str) -> list[str]:
        """The sorted paths of all objects below a folder, at any depth."""

        def collect() -> list[str]:
            chunks = self._store.list(prefix, chunk_size=1000)
            return sorted(item["path"] for chunk in chunks for item in chunk)

        return await self._run("list", prefix, collect)

    async def children(self, prefix: str) -> list[str]:
        """The sorted paths of the objects and folders directly in a folder."""

        def collect() -> list[str]:
            found = self._store.list_with_delimiter(prefix)
            return sorted([*found["common_prefixes"], *(item["path"] for item in found["objects"])])

        return await self._run("list", prefix, collect)

    async def versions(self, prefix: str) -> dict[str, str]:
        """The objects directly in a folder, by path, with what changes when one is replaced."""

        def collect() -> dict[str, str]:
            found = self._store.list_with_delimiter(prefix)["objects"]
            return {o["path"]: f"{o['e_tag']} {o['last_modified']} {o['size']}" for o in found}

        return await self._run("list", prefix, collect)

    async def remove(self, path: str) -> None:
        """Delete an object; one that is not there is a success."""
        await self._run_if_there("delete", path, lambda: self._store.delete(path))

    async def _run_if_there(self, action: str, path: str, call: Callable[[], R]) -> R | None:
        """Do `_run`; None where `call` finds no object in a bucket that is there."""

        def attempt() -> R | None:
            try:
                return call()
            except FileNotFoundError as error:
                if lacks_bucket(error):
                    raise
                return None

        return await self._run(action, path, attempt)

    async def _run(self, action: str, path: str, call: Callable[[], R]) -> R:
        """Run `call` in a thread; whatever the library raises becomes one line (`causes`)."""
        with span(f"object storage {action}", path=path):  # which sees no words of the library
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
            except GrokprobeError:
                raise
            # Its own family, OSError and ValueError, and a bare Exception where Rust panics.
            except Exception as error:
                message = f"object storage cannot {action}: {cause_of(error)}"
                raise StoreUnavailable(message, place_of(error, path, self.place)) from None
