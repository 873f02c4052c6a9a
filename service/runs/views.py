"""What this process knows of each run: at most STALENESS_S old, and nothing from before the last
event that it heard of (`service.events.feed`), so that what was announced is there for all.

Records are immutable, so a view only ever fetches the checkpoints that it has not seen. It reads
the catalogue; where that is down, object storage; where both are, it stays as it is, so that hot
checkpoints go on being served.
"""

import asyncio
import math
import time
from collections import OrderedDict
from dataclasses import replace

from grokprobe.errors import (
    RunNotFound,
    StoreUnavailable,
)
from grokprobe.store.records import (
    now,
)
from service.runs.source import Source
from service.runs.view import RunView
from service.telemetry.metrics import Metrics

STALENESS_S = 1.0
MAX_VIEWS = 512


class RunViews:
    """The views of all runs that were asked for lately."""

    def __init__(self, source: Source, metrics: Metrics) -> None:
        self._source = source
        self._metrics = metrics
        self._views: OrderedDict[str, RunView] = OrderedDict()
        self._reading: dict[str, asyncio.Task[RunView]] = {}

    async def get(self, run: str) -> RunView:
        """The view of a run. Raises RunNotFound, StoreUnavailable."""
        known = self._views.get(run)
        if known and time.monotonic() - known.read_at < STALENESS_S:
            return known
        if run not in self._reading:
            task = asyncio.create_task(self._refresh(run, known))
            self._reading[run] = task
            task.add_done_callback(lambda done: self._is_last(run, done) and self._reading.pop(run))
        return await asyncio.shield(self._reading[run])

    def invalidate(self, run: str) -> None:
        """Something was announced: what is known, or is being read, is too old from here on."""
        self._reading.pop(run, None)
        if known := self._views.get(run):
            self._views[run] = replace(known, read_at=-math.inf)

    def _is_last(self, run: str, task: object) -> bool:
        """Whether nothing was announced since this task began to read the run."""
        return self._reading.get(run) is task

    async def _refresh(self, run: str, known: RunView | None) -> RunView:
        try:
            view = await self._source.view(run, known)
        except RunNotFound:
            self._views.pop(run, None)
            raise
        except StoreUnavailable:
            if known is None:
                raise
            return known
        self._note_lag(known, view)
        if self._is_last(run, asyncio.current_task()):
            self._views[run] = view
            self._views.move_to_end(run)
            if len(self._views) > MAX_VIEWS:
                self._views.popitem(last=False)
        return view

    def _note_lag(self, known: RunView | None, view: RunView) -> None:
        if known and view.steps[-1:] != known.steps[-1:]:
            newest = view.checkpoints[view.steps[-1]]
            self._metrics.catalogue_lag.set((now() - newest.created_at).total_seconds())
