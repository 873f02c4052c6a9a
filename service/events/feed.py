"""Live events: one reader of the stream for all listeners of this process.

    Redis -- one connection --> Feed -- a bounded queue each --> EventStream, an answer without end

While Redis is away listeners stay, and are told afterwards what they missed.
"""

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from grokprobe.errors import CatalogueUnavailable
from grokprobe.store.catalogue.events import BEGINNING, Event, EventReader
from service.errors import TooManyListeners
from service.events.history import History
from service.events.stream import HEARTBEAT, REPLAYED, Listener, frame, greeting
from service.runs.views import RunViews
from service.telemetry.metrics import Metrics

logger = logging.getLogger("grokprobe.service")

ENDS = ("complete", "deleted")  # nothing follows these
HEARTBEAT_S = 15.0  # proxies cut what is silent for longer, most after 60 s
AT_ONCE = 500  # listeners told before other requests get their turn
WAIT_S = 5.0  # of one blocking read
PAUSE_S, MAX_PAUSE_S = 0.1, 2.0  # before Redis is asked again


@dataclass(frozen=True)
class Reading:
    """Whether the stream is being read, since when, and if not why."""

    fault: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


class Feed:
    """Reads the stream, keeps the views fresh and tells the listeners."""

    def __init__(
        self, events: EventReader, views: RunViews, metrics: Metrics, max_listeners: int
    ) -> None:
        self._events, self._views, self._metrics = events, views, metrics
        self._max_listeners = max_listeners
        self._history = History()
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._count = 0
        self._closed = False
        self.reading = Reading("it has not been read yet")

    # -- for those who listen ----------------------------------------------------------------

    @property
    def newest(self) -> str:
        """The place in the stream from which on a new listener is told everything."""
        return self._history.newest

    def admit(self) -> None:
        """Raise TooManyListeners, counted, when no more can be told in time."""
        if self._count >= self._max_listeners:
            self._metrics.refusals.inc("listeners")
            raise TooManyListeners(self._count)

    def missed(self, run: str, since: str) -> list[Event]:
        """What followed the event `since`; a `reset` where that is not known."""
        found = self._history.after(run, since)
        return [self._reset(run)] if found is None else found

    @contextmanager
    def listening(self, run: str, since: str) -> Iterator[Listener]:
        """A listener of a run, from the event `since` on."""
        missed = self.missed(run, since)
        listener = Listener(greeting(since, missed))
        ended = len(missed) > REPLAYED or any(event.kind in ENDS for event in missed)
        if ended or self._closed:
            listener.end()
        self._listeners[run].add(listener)
        self._count += 1
        self._metrics.listeners.set(self._count)
        try:
            yield listener
        finally:
            self._forget(run, listener)
            self._count -= 1
            self._metrics.listeners.set(self._count)

    def close(self) -> None:
        """End every stream, those that are still to come too: the process stops."""
        self._closed = True
        _end(itertools.chain.from_iterable(self._listeners.values()))

    # -- reading -----------------------------------------------------------------------------

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the stream meanwhile."""
        with suppress(CatalogueUnavailable):  # known to the first who come back, if Redis is up
            await self._read(0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._follow()), group.create_task(self._beat())]
            yield
            for task in tasks:
                task.cancel()

    async def _follow(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(CatalogueUnavailable),
            wait=wait_exponential(PAUSE_S, max=MAX_PAUSE_S),
            before_sleep=self._note_failure,
        ):
            with attempt:
                await self._resume()
                self.reading = Reading()
                attempt.retry_state.attempt_number = 1  # it answers: the next failure is a first
                while True:
                    await self._read(WAIT_S)

    def _note_failure(self, failed: RetryCallState) -> None:
        """For readiness; of failures in a row one is told."""
        error = failed.outcome and failed.outcome.exception()
        assert isinstance(error, CatalogueUnavailable)
        since = self.reading.since if self.reading.fault else datetime.now(UTC)
        self.reading = Reading(str(error), since)
        if failed.attempt_number == 1:
            logger.warning("live events wait: %s", error.told)

    async def _resume(self) -> None:
        """Go on after the newest event; where the stream has lost it, begin anew."""
        newest = self._history.newest
        if await self._events.holds(newest) or newest == BEGINNING:
            return
        self._history = History()
        for run, listeners in list(self._listeners.items()):
            await self._tell(run, listeners, frame(self._reset(run)))

    async def _read(self, wait_s: float) -> None:
        for event in await self._events.after(self._history.newest, wait_s):
            await self._announce(event)

    async def _announce(self, event: Event) -> None:
        self._history.add(event)
        self._views.invalidate(event.run)
        listeners = self._listeners.get(event.run, set())
        await self._tell(event.run, listeners, frame(event))
        if event.kind in ENDS:
            _end(listeners)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for run, listeners in list(self._listeners.items()):
                await self._tell(run, listeners, HEARTBEAT)

    async def _tell(self, run: str, listeners: Iterable[Listener], chunk: bytes) -> None:
        for number, listener in enumerate(list(listeners), 1):
            if not listener.tell(chunk):
                self._metrics.listeners_dropped.inc()
                self._forget(run, listener)
                listener.end()
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)  # they take it before the next

    def _forget(self, run: str, listener: Listener) -> None:
        listeners = self._listeners.get(run, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(run, None)

    def _reset(self, run: str) -> Event:
        return Event(self.newest, "reset", run, msgspec.json.encode({"run": run}))


def _end(listeners: Iterable[Listener]) -> None:
    for listener in listeners:
        listener.end()
