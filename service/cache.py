"""Caches of what costs time: computed once for all who ask meanwhile, kept while there is room.

A failure is raised to all who wait for it, and not kept.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Computations under way, by key: all who ask for one meanwhile wait for the same."""

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[V]] = {}

    async def run(self, key: K, compute: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What `compute` returns or raises; it is called unless that is under way already."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(compute())
            task.add_done_callback(partial(self._end, key))
        # Shielded: one who goes away must not cancel what others wait for.
        return await asyncio.shield(task)

    def detach(self, key: K) -> None:
        """Leave what is under way to those who wait for it: who asks from here on starts anew."""
        self._tasks.pop(key, None)

    def is_current(self, key: K, task: object) -> bool:
        """Whether a task is what others who ask would wait for: it has not been detached."""
        return self._tasks.get(key) is task

    def _end(self, key: K, task: asyncio.Task[V]) -> None:
        if self.is_current(key, task):
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # looked at: asyncio would complain if all who waited had gone


class Cache(Generic[K, V]):
    """Computed values by key; where room is short, the least recently used go.

    Room and cost are in one unit, bytes for example; without a cost the room is a number of
    values. A value that costs more than all of the room is kept alone.
    """

    def __init__(
        self,
        room: int,
        cost: Callable[[V], int] = lambda _: 1,
        evicted: Callable[[], None] = lambda: None,
    ) -> None:
        """`evicted` is called for each value that went for lack of room."""
        self._cost, self._evicted = cost, evicted
        room = max(room, 1)  # in no room at all values without a cost would stay for ever
        self._kept: LRUCache[K, V] = LRUCache(room, lambda value: min(cost(value), room))
        self._computing: SingleFlight[K, V] = SingleFlight()

    @property
    def size(self) -> int:
        """What the kept values cost, above the room where one alone does."""
        if len(self._kept) == 1:
            return self._cost(*self._kept.values())
        return int(self._kept.currsize)

    def __iter__(self) -> Iterator[K]:
        """The keys of the values that are kept now, whatever goes meanwhile."""
        return iter(list(self._kept))

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def known(self, key: K) -> V | None:
        """The kept value, used herewith; None if there is none."""
        try:
            return self._kept[key]
        except KeyError:
            return None

    async def get(self, key: K, compute: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The kept value, else what `compute` returns or raises."""
        known = self.known(key)
        return await self.renew(key, compute) if known is None else known

    async def renew(self, key: K, compute: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What `compute` returns or raises, whatever is kept; kept instead of it."""

        async def computed() -> V:
            value = await compute()
            if self._computing.is_current(key, asyncio.current_task()):
                self.keep(key, value)
            return value

        return await self._computing.run(key, computed)

    def detach(self, key: K) -> None:
        """Something has changed: what is being computed is for those who wait, and not kept."""
        self._computing.detach(key)

    def keep(self, key: K, value: V) -> None:
        """Keep a value, instead of one that has the key already."""
        fewest = len(self._kept) + (key not in self._kept)
        self._kept[key] = value
        for _ in range(fewest - len(self._kept)):
            self._evicted()

    def drop(self, key: K) -> None:
        """Forget a kept value; who works with it keeps it until done."""
        self._kept.pop(key, None)
