"""What this process knows of each run: at most STALENESS_S old, and nothing from before the last
event that it heard of (`service.events.feed`), so that what was announced is there for all.

Records are immutable, so a view only ever fetches the checkpoints that it has not seen. It reads
the catalogue; where that is down, object storage; where both are, it stays as it is, so that hot
checkpoints go on being served.
"""

import math
import time
from dataclasses import replace

from grokprobe.errors import RunNotFound, StoreUnavailable
from grokprobe.store.records import now
from service.cache import Cache
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
        self._views: Cache[str, RunView] = Cache(MAX_VIEWS)

    async def get(self, run: str) -> RunView:
        """The view of a run. Raises RunNotFound, StoreUnavailable."""
        known = self._views.known(run)
        if known and time.monotonic() - known.read_at < STALENESS_S:
            return known
        return await self._views.renew(run, lambda: self._refresh(run, known))

    def invalidate(self, run: str) -> None:
        """Something was announced: what is known, or is being read, is too old from here on."""
        self._views.detach(run)
        if known := self._views.known(run):
            self._views.keep(run, replace(known, read_at=-math.inf))

    async def _refresh(self, run: str, known: RunView | None) -> RunView:
        try:
            view = await self._source.view(run, known)
        except RunNotFound:
            self._views.drop(run)
            raise
        except StoreUnavailable:
            if known is None:
                raise
            return known
        self._note_lag(known, view)
        return view

    def _note_lag(self, known: RunView | None, view: RunView) -> None:
        if known and view.latest and view.steps[-1:] != known.steps[-1:]:
            lag = now() - view.latest.created_at
            self._metrics.catalogue_lag.set(lag.total_seconds())
