"""What this process knows of each run: at most STALENESS_S old, and nothing from before the last
event that it heard of (`service.events.feed`), so that what was announced is there for all.

Records are immutable, so a view only ever fetches the checkpoints that it has not seen. It reads
the catalogue, or object storage; where both are down it stays as it is, so that hot checkpoints go
on being served. It loses nothing unless object storage says so, and whatever is not found was not
found there.
"""

import logging
import math
import time
from dataclasses import replace

from grokprobe.errors import (
    IndexDoubted,
    LabelNotReached,
    RunNotFound,
    StepNotFound,
    StoreUnavailable,
)
from grokprobe.store.records import now
from service.cache import Cache, SingleFlight
from service.runs.source import Source
from service.runs.view import LABELS, RunView
from service.telemetry.metrics import Metrics

logger = logging.getLogger("grokprobe.service")

STALENESS_S = 1.0
MAX_VIEWS = 512
MAX_ABSENT = 4096
STORAGE_PAUSE_S = 2.0  # after a failure, how long nothing is proven


class RunViews:
    """The views of all runs that were asked for lately."""

    def __init__(self, source: Source, metrics: Metrics) -> None:
        self._source = source
        self._metrics = metrics
        self._views: Cache[str, RunView] = Cache(MAX_VIEWS)
        self._absent: Cache[str, float] = Cache(MAX_ABSENT)  # when it was not there
        self._asking: SingleFlight[str, RunView] = SingleFlight()  # object storage, by run
        self._storage_paused_until = 0.0

    async def get(self, run: str) -> RunView:
        """The view of a run. Raises RunNotFound, StoreUnavailable."""
        known = self._views.known(run)
        if known and _is_new(known.read_at):
            return known
        if _is_new(self._absent.known(run)):
            raise RunNotFound(run)
        return await self._views.renew(run, lambda: self._refresh(run, known))

    async def find(self, run: str, asked: str) -> tuple[RunView, int]:
        """The view of a run, and the step that a number or a label names: proven, if it can be.

        Raises RunNotFound, StepNotFound, LabelNotReached, CheckpointCorrupt, StoreUnavailable.
        """
        view = await self.get(run)
        try:
            step = view.step_of(asked)
            await self._prove(view, step)
        except (StepNotFound, LabelNotReached, IndexDoubted) as error:
            if isinstance(error, LabelNotReached) and asked not in LABELS:
                raise
            view = await self._ask_storage(view, error)
            step = view.step_of(asked)
        return view, step

    async def whole(self, run: str, kept: bool) -> RunView:
        """The view of a run: where it has ended all of it proven, if it can be.

        What is not `kept` by anybody is asked again, so that it is proven only where two reads do.
        """
        view = await self.get(run)
        ended = view.completion
        if ended is None or not (kept or ended.manifests_sha256):
            return view
        try:
            await self._prove(view, None)
        except IndexDoubted as error:
            view = await self._ask_storage(view, error)
        return view

    def invalidate(self, run: str) -> None:
        """Something was announced: what is known, or is being read, is too old from here on."""
        self._views.detach(run)
        self._absent.drop(run)
        if known := self._views.known(run):
            self._views.keep(run, replace(known, read_at=-math.inf))

    async def _refresh(self, run: str, known: RunView | None) -> RunView:
        try:
            view = await self._source.view(run, known)
        except RunNotFound:
            self._views.drop(run)
            self._absent.keep(run, time.monotonic())
            raise
        except StoreUnavailable:
            if known is None:
                raise
            return known
        self._note_lag(known, view)
        return view

    async def _prove(self, view: RunView, step: int | None) -> None:
        """Compare with object storage what has not been; where that is away, it stays unproven."""
        if view.proves(step) or time.monotonic() < self._storage_paused_until:
            return
        try:
            await self._source.prove(view, step)
        except StoreUnavailable:
            self._storage_paused_until = time.monotonic() + STORAGE_PAUSE_S

    async def _ask_storage(self, view: RunView, error: Exception) -> RunView:
        """The run as object storage has it, because of an error by the index's word.

        Raises that where the view is of there already, or nothing can follow any more.
        """
        run, doubted = view.manifest.run, isinstance(error, IndexDoubted)
        current = self._views.known(run)
        if not doubted and current and current.stored and _is_new(current.read_at):
            return current
        if not doubted and view.completion and view.proves(None):
            raise error
        if isinstance(error, IndexDoubted):
            self._source.note_doubt(error)
        return await self._asking.run(run, lambda: self._read_stored(run, view))

    async def _read_stored(self, run: str, known: RunView) -> RunView:
        view = await self._source.stored_view(run, known)
        self._views.detach(run)  # a refresh under way may know less
        self._views.keep(run, view)
        return view

    def _note_lag(self, known: RunView | None, view: RunView) -> None:
        if known and view.latest and view.steps[-1:] != known.steps[-1:]:
            lag = now() - view.latest.created_at
            self._metrics.catalogue_lag.set(lag.total_seconds())


def _is_new(read_at: float | None) -> bool:
    return read_at is not None and time.monotonic() - read_at < STALENESS_S
