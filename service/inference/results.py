"""Results that cost more than a few milliseconds: computed once, kept in this process.

A result is a function of a run and a checkpoint's file, which its key names by their digests, and
of its name and parameters. None expires; the least recently used go where room is short. They are
not shared by Redis: whoever asks decides what is computed, so they would fill it, and what Redis
says of them could not be proven.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from service.cache import Cache
from service.telemetry.metrics import Metrics

T = TypeVar("T")

# Measured: 5.7 bytes of memory for each that MessagePack takes of named numbers, 3.7 of lists. What
# is bytes itself takes those.
OVERHEAD, LEAST_BYTES = 6, 1_000


class _Kept(NamedTuple):
    result: Any
    cost: int


class Results:
    """The cache; `get` answers from memory or computes."""

    def __init__(self, metrics: Metrics, budget_bytes: int) -> None:
        self._metrics = metrics
        self._kept: Cache[tuple[str, str], _Kept] = Cache(budget_bytes, lambda kept: kept.cost)
        metrics.result_cache_bytes.set_function(lambda: self.size)

    @property
    def size(self) -> int:
        """What all that is kept takes, estimated."""
        return self._kept.size

    def known(self, identity: str, what: str) -> Any:
        """A result that is kept, used herewith; None if it is not."""
        kept = self._kept.known((identity, what))
        return kept and kept.result

    async def get(
        self, identity: str, what: str, kind: Any, compute: Callable[[], Awaitable[T]]
    ) -> T:
        """A result of type `kind`, of the checkpoint that is known by this identity.

        `what` holds its name and all of its parameters. Raises what `compute` raises, to all who
        wait for it.
        """
        key = identity, what
        if key in self._kept:
            self._metrics.derived.inc("memory")
        found: T = (await self._kept.get(key, lambda: self._compute(kind, compute))).result
        return found

    async def _compute(self, kind: Any, compute: Callable[[], Awaitable[Any]]) -> _Kept:
        encoded = msgspec.msgpack.encode(await compute())
        self._metrics.derived.inc("computed")
        result = msgspec.msgpack.decode(encoded, type=kind)  # plain, whatever it was made of
        overhead = 1 if kind is bytes else OVERHEAD
        return _Kept(result, LEAST_BYTES + overhead * len(encoded))
