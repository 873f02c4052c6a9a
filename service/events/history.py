"""The newest events of all runs, kept in this process.

A listener who comes back is told what it missed from here: nobody asks Redis for it, however many
come back at once.
"""

import itertools
from collections import OrderedDict, defaultdict, deque

from grokprobe.store.catalogue.events import BEGINNING, KEPT, Event, position


class History:
    """The newest events of all runs, as many as the stream holds."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, Event] = OrderedDict()
        self._of_run: defaultdict[str, deque[Event]] = defaultdict(deque)

    @property
    def newest(self) -> str:
        """The id of the last event."""
        return next(reversed(self._events), BEGINNING)

    def add(self, event: Event) -> None:
        """Keep an event; the oldest goes."""
        self._events[event.id] = event
        self._of_run[event.run].append(event)
        if len(self._events) > KEPT:
            _, oldest = self._events.popitem(last=False)
            self._of_run[oldest.run].popleft()
            if not self._of_run[oldest.run]:
                del self._of_run[oldest.run]

    def after(self, run: str, event_id: str) -> list[Event] | None:
        """What followed an event of any run; None where that event is not known here."""
        if event_id not in self._events and not (event_id == BEGINNING and self._is_whole):
            return None
        since = position(event_id)
        newer = itertools.takewhile(
            lambda event: position(event.id) > since, reversed(self._of_run.get(run, ()))
        )
        return list(newer)[::-1]

    @property
    def _is_whole(self) -> bool:
        """Whether nothing can have been trimmed yet."""
        return len(self._events) < KEPT
