"""Answers as they are sent, kept for those who read them by parts.

A reader of Parquet asks for a length, an end, then one piece after the other: the answer is made
for the first of these requests and kept, while there is room, for the others.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from service.cache import Cache

FEWEST = 2  # kept answers that fit at least
MIN_BYTES = 4096  # less is one part, for most readers, and soon made again
AT_ONCE = 2  # being made, each of which may take its size twice

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class KeptAnswer(NamedTuple):
    """The bytes of an answer, None for one that is too large, and headers of its own."""

    body: bytes | None
    headers: Mapping[str, str] = NO_HEADERS


class KeptAnswers:
    """The cache, by strong ETag: equal tags have equal bytes."""

    def __init__(self, budget_bytes: int) -> None:
        self._largest = budget_bytes // FEWEST
        self._kept: Cache[str, KeptAnswer] = Cache(budget_bytes, lambda a: len(a.body or b" "))
        self._turn = asyncio.Semaphore(AT_ONCE)

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._kept.size

    def known(self, etag: str) -> KeptAnswer:
        """The kept answer, without a body if there is none."""
        return self._kept.known(etag) or KeptAnswer(None)

    def keep(self, etag: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Keep an answer unless it is too large, or small."""
        if MIN_BYTES <= len(body) <= self._largest:
            self._kept.keep(etag, KeptAnswer(body, headers))

    async def gather(self, etag: str, pieces: Callable[[], AsyncIterator[bytes]]) -> bytes | None:
        """An answer that comes in pieces, whole; None if it is too large, which is kept in mind."""
        return (await self._kept.get(etag, lambda: self._joined(pieces()))).body

    async def _joined(self, pieces: AsyncIterator[bytes]) -> KeptAnswer:
        found, size = [], 0
        async with self._turn:
            async for piece in pieces:
                found.append(piece)
                size += len(piece)
                if size > self._largest:
                    return KeptAnswer(None)
            return KeptAnswer(b"".join(found))
