"""Object storage, reduced to what publication needs; every failure in the words of our errors.

Published objects are created once and never overwritten. A missing object is None, no exception.
The library's blocking calls run in threads of ours: they take half the time of its async ones,
which moreover abort the process when it ends soon after one (seen in 2 of 40 exits).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, TypeVar

from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore
from tenacity import RetryError, TryAgain, retry, retry_never, stop_after_attempt, wait_fixed

from grokprobe.errors import CheckpointCorrupt, GrokprobeError, StoreUnavailable
from grokprobe.spans import span
from grokprobe.store.archive.causes import (
    SILENT,
    cause_of,
    lacks_bucket,
    name_of,
    place_of,
)

RECORD_MAX_BYTES = 64 * 2**20  # the largest is complete.json, with measures of every checkpoint
AT_ONCE = 16  # requests in flight
CREATE_ATTEMPTS = 20
CREATE_PAUSE_S = 0.05
SILENCE_PAUSE_S = 2.0  # after it was silent, how long storage is not asked

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


async def in_turns(call: Callable[[A], Coroutine[Any, Any, Any]], arguments: Iterable[A]) -> None:
    """Call with each argument, in their order, AT_ONCE at a time; an error stops the rest."""
    rest = iter(arguments)

    async def work(_: int) -> None:
        for argument in rest:
            await call(argument)

    await gather(work, range(AT_ONCE))


class Objects:
    """The eight operations on objects. All raise StoreUnavailable where storage does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self.place = store, name_of(store)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")
        self._answered_at = self._silent_until = 0.0

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
        try:
            return await self.read(path) is not None
        except CheckpointCorrupt:  # larger than any record
            return True

    async def below(self, prefix: str, at_most: int | None = None) -> list[str]:
        """The sorted paths of all objects below a folder, at any depth.

        CheckpointCorrupt where there are more than `at_most`, as soon as that is known.
        """

        def collect() -> list[str]:
            return sorted(item["path"] for item in self._listed(prefix, at_most))

        return await self._run("list", prefix, collect)

    async def children(self, prefix: str) -> list[str]:
        """The sorted paths of the objects and folders directly in a folder."""

        def collect() -> list[str]:
            found = self._store.list_with_delimiter(prefix)
            return sorted([*found["common_prefixes"], *(item["path"] for item in found["objects"])])

        return await self._run("list", prefix, collect)

    async def versions(
        self, prefix: str, deep: bool = False, at_most: int | None = None
    ) -> dict[str, str]:
        """The objects directly in a folder, by path, with what changes when one is replaced.

        `deep` for those at any depth.
        """

        def collect() -> dict[str, str]:
            if deep:
                found = list(self._listed(prefix, at_most))
            else:
                found = list(self._store.list_with_delimiter(prefix)["objects"])
            return {o["path"]: f"{o['e_tag']} {o['last_modified']} {o['size']}" for o in found}

        return await self._run("list", prefix, collect)

    def _listed(self, prefix: str, at_most: int | None) -> Iterator[Any]:
        """What lies below a folder. Raises CheckpointCorrupt at the first that is too many."""
        found = chain.from_iterable(self._store.list(prefix, chunk_size=1000))
        for number, item in enumerate(found):
            if number == at_most:
                raise CheckpointCorrupt(f"{prefix} holds more than {at_most} objects")
            yield item

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
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._unless_silent, action, path, call
                )
            except GrokprobeError:
                raise
            # Its own family, OSError and ValueError, and a bare Exception where Rust panics.
            except Exception as error:
                message = f"object storage cannot {action}: {cause_of(error)}"
                raise StoreUnavailable(message, place_of(error, path, self.place)) from None

    def _unless_silent(self, action: str, path: str, call: Callable[[], R]) -> R:
        """Call, but fail at once for a moment after a call was not answered, and none since.

        Else those that wait for a thread would wait for one silence after another.
        """
        began = time.monotonic()
        if began < self._silent_until:
            message = f"object storage cannot {action}: {SILENT}"
            raise StoreUnavailable(message, f"{path} in {self.place}")
        try:
            found = call()
        except Exception as error:
            if self._answered_at < began and cause_of(error) == SILENT:
                self._silent_until = time.monotonic() + SILENCE_PAUSE_S
            raise
        self._answered_at = time.monotonic()
        return found
