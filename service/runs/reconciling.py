"""The reconciler as the service runs it: in the background, with its metrics."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from grokprobe.store.catalogue.faults import FAULTS
from grokprobe.store.catalogue.reconciling.reconciler import Reconciler, Reconciliation
from service.runs.source import Source
from service.telemetry.metrics import Metrics

logger = logging.getLogger("grokprobe.service")


def make_reconciler(source: Source, metrics: Metrics) -> Reconciler:
    """The reconciler of this process; the metrics tell its state."""
    reconciler = Reconciler(
        source.catalogue, source.archive, source.take_doubts, _say, metrics.index_repairs.inc
    )
    state = reconciler.state
    metrics.index_whole.set_function(lambda: state.whole)
    metrics.index_behind.set_function(lambda: state.behind)
    metrics.index_compared.set_function(lambda: state.passed_at)
    metrics.index_lock.set_function(lambda: state.holding)
    metrics.unreadable_records.set_function(lambda: state.unreadable)
    for name in FAULTS:
        metrics.redis_faults.labels(name).set_function(partial(_has, state, name))
    return reconciler


def _has(state: Reconciliation, fault: str) -> bool:
    return fault in state.faults


def _say(event: str) -> None:
    logger.info("the index: %s", event)


@asynccontextmanager
async def reconciling(reconciler: Reconciler) -> AsyncIterator[None]:
    """Keep the index equal to object storage meanwhile."""
    task = asyncio.create_task(reconciler.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
