"""`grokprobe reindex`: makes Redis equal to object storage, once or from now on."""

import asyncio
import signal
from contextlib import suppress

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue.reconciling.reconciler import Reconciler


async def reindex(settings: Settings, watch: bool) -> int:
    """Rebuild the index; exit status 1 if something that is stored could not be read.

    With `watch` keep it equal instead, until Ctrl-C or SIGTERM.
    """
    async with open_backends(settings) as backends:
        if watch:
            return await _watch(Reconciler(backends.catalogue, backends.archive, say=_say))
        report = await backends.catalogue.rebuild(backends.archive)
    for problem in report.problems:
        print(problem)
    if report.after:
        print(f"went on after {report.after}, where one that was interrupted had come")
    print(f"indexed {report.runs} runs, {report.checkpoints} checkpoints; dropped {report.removed}")
    return 1 if report.problems else 0


async def _watch(reconciler: Reconciler) -> int:
    """Status 0 after SIGTERM: a stop that is meant is no failure."""
    work = asyncio.create_task(reconciler.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    with suppress(asyncio.CancelledError):
        await work
    return 0


def _say(event: str) -> None:
    print(event, flush=True)
