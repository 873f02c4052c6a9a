"""Results that cost more than a few milliseconds: computed once, kept here and in Redis.

A result is a function of a run and a checkpoint's file, of its name and parameters, of the
formulas, for which ANALYSIS_VERSION stands, as a changed formula raises it, and in its last digits
of the runtime's arithmetic: who computes alike shares results. Nothing ever expires here but by
room; Redis forgets after KEPT_S.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from grokprobe.analysis import ANALYSIS_VERSION
from service.cache import Cache
from service.runs.source import Source
from service.telemetry.metrics import Metrics

T = TypeVar("T")

MAX_RESULTS = 2_048  # the largest, of 512 neurons, takes about 50 kB
KEPT_S = 7 * 24 * 3600


def key_of(identity: str, what: str, arithmetic: str) -> str:
    """The key of a result of a checkpoint; `what` holds its name and all of its parameters."""
    return f"grokprobe:derived:{ANALYSIS_VERSION}:{arithmetic}:{identity}:{what}"


class Results:
    """The cache; `get` answers from memory, from Redis, or computes."""

    def __init__(self, source: Source, metrics: Metrics, arithmetic: str) -> None:
        self._source = source
        self._metrics = metrics
        self._arithmetic = arithmetic
        self._kept: Cache[str, Any] = Cache(MAX_RESULTS)

    async def get(
        self, identity: str, what: str, kind: Any, compute: Callable[[], Awaitable[T]]
    ) -> T:
        """A result of type `kind`, of the checkpoint that is known by this identity.

        Raises what `compute` raises, to all who wait for it.
        """
        key = key_of(identity, what, self._arithmetic)
        if key in self._kept:
            self._metrics.derived.inc("memory")
        found: T = await self._kept.get(key, lambda: self._find(key, kind, compute))
        return found

    async def _find(self, key: str, kind: Any, compute: Callable[[], Awaitable[T]]) -> T:
        data = await self._source.either(lambda: self._read(key), _nothing)
        try:
            found: T = msgspec.msgpack.decode(data or b"", type=kind)
            self._metrics.derived.inc("redis")
        except msgspec.MsgspecError:  # nothing there, or nothing of ours
            encoded = msgspec.msgpack.encode(await compute())
            self._metrics.derived.inc("computed")
            await self._source.either(lambda: self._write(key, encoded), _nothing)
            found = msgspec.msgpack.decode(encoded, type=kind)  # as whoever reads it from Redis
        return found

    async def _read(self, key: str) -> bytes | None:
        [data] = await self._source.catalogue.connection.send(("GET", key))
        return bytes(data) if data is not None else None

    async def _write(self, key: str, data: bytes) -> None:
        await self._source.catalogue.connection.send(("SET", key, data, "EX", KEPT_S))


async def _nothing() -> None:
    """What Redis has to say when it is down."""
