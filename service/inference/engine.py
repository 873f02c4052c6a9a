"""Execution: small work in batches on the event loop, large work in threads, grids once."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from grokprobe.cpus import allowed_cpus
from grokprobe.spans import span
from grokprobe.task import Residues, pairs
from service.formats.npy import npy_array
from service.inference.admission import Admission
from service.inference.batching import INLINE_PAIRS, Batcher, BatchRun, Work, run_timed
from service.inference.checkpoints import Checkpoint
from service.inference.grids import Grids
from service.telemetry.metrics import Metrics

T = TypeVar("T")

# Pairs in one run of larger work: a third faster than all pairs at once, in less memory, and the
# parts run beside each other.
PART_PAIRS = 1_024


class Inference:
    """What stands between the routes and ONNX Runtime."""

    def __init__(self, metrics: Metrics, max_in_flight: int, grid_cache_bytes: int) -> None:
        self._metrics = metrics
        self._batches = Batcher()
        self.admission = Admission(metrics, max_in_flight, self._batches.queue.is_late)
        self.permit = self.admission.permit
        self._grids = Grids(metrics, grid_cache_bytes)
        # More than cores: one that takes seconds must not hold up those that take milliseconds.
        self._threads = ThreadPoolExecutor(2 * allowed_cpus())

    async def outputs(
        self, checkpoint: Checkpoint, names: Sequence[str], asked: Residues, shared: bool = True
    ) -> list[NDArray[np.float32]]:
        """The named outputs for pairs (n, 2). Raises OutputMissing."""
        checkpoint.check(names)
        of_pairs = [name for name in names if checkpoint.varies(name)]
        work = partial(checkpoint.outputs, of_pairs)
        ran = (
            await self.by_pair(checkpoint, tuple(of_pairs), work, asked, shared=shared)
            if of_pairs
            else []
        )
        found = dict(zip(of_pairs, ran, strict=True))
        return [found[name] if name in found else checkpoint.matrix(name) for name in names]

    async def by_pair(
        self,
        checkpoint: Checkpoint,
        what: Hashable,
        work: Work,
        asked: Residues,
        large: bool = False,
        shared: bool = True,
    ) -> list[Any]:
        """What `work` says of each pair (n, 2); `what` names the work among the checkpoint's.

        Small work shares a run with what others ask of the same kind at the same time; work is
        large by its number of pairs, or because the caller says so. Last digits depend on how many
        pairs a run has: what must be the same each time is not shared.
        """
        began = time.perf_counter()
        with span("inference", pairs=len(asked)):
            if large or len(asked) > INLINE_PAIRS:
                ran = await self._in_parts(work, asked)
            elif not shared:
                ran = run_timed(work, asked)
            else:
                ran = await self._batches.run((checkpoint.identity, what), work, asked)
        self._metrics.inferred(ran.began - began, ran.ended - ran.began)
        return ran.columns

    async def _in_parts(self, work: Work, asked: Residues) -> BatchRun:
        parts = [asked[start : start + PART_PAIRS] for start in range(0, len(asked), PART_PAIRS)]
        rans = await asyncio.gather(*(self.apart(partial(run_timed, work, part)) for part in parts))
        columns = zip(*(ran.columns for ran in rans), strict=True)
        return BatchRun(
            [_joined(of_parts) for of_parts in columns],
            min(ran.began for ran in rans),
            max(ran.ended for ran in rans),
        )

    def keeps(self, checkpoint: Checkpoint, name: str) -> bool:
        """Whether an output over all pairs is small enough to be kept."""
        return self._grids.fits(checkpoint.grid_bytes(name))

    async def grid(self, checkpoint: Checkpoint, names: Sequence[str]) -> list[NDArray[np.float32]]:
        """The named outputs for all pairs in canonical order, not to be written to.

        Raises OutputMissing.
        """
        checkpoint.check(names)
        kept = [name for name in names if self.keeps(checkpoint, name)]
        found = dict(zip(kept, map(npy_array, await self.files(checkpoint, kept)), strict=True))
        others = [name for name in names if name not in found]
        asked = pairs(checkpoint.table.task.modulus)
        found |= zip(others, await self.outputs(checkpoint, others, asked, False), strict=True)
        return [found[name] for name in names]

    async def files(self, checkpoint: Checkpoint, names: Sequence[str]) -> list[bytes]:
        """The same as npy, of outputs that are kept: the very bytes. Raises OutputMissing."""
        asked = pairs(checkpoint.table.task.modulus)
        return await self._grids.get(
            checkpoint, names, lambda missing: self.outputs(checkpoint, missing, asked, False)
        )

    async def blocks(
        self, checkpoint: Checkpoint, name: str, size: int, first: int = 0
    ) -> AsyncIterator[NDArray[np.float32]]:
        """An output for all pairs, `size` rows at a time: of the kept, or computed as it is taken.

        Begins with the block of number `first`. The size divides PART_PAIRS or is a multiple of
        it: whatever it is, the runs are those that a whole grid takes. Raises OutputMissing.
        """
        asked = pairs(checkpoint.table.task.modulus)
        whole = await self.grid(checkpoint, [name]) if self.keeps(checkpoint, name) else None
        step, start = max(size, PART_PAIRS), first * size
        for begin in range(start - start % step, len(asked), step):
            run = slice(begin, begin + step)
            [part] = (
                [whole[0][run]]
                if whole
                else await self.outputs(checkpoint, [name], asked[run], False)
            )
            for offset in range(max(0, start - begin), len(part), size):
                yield part[offset : offset + size]

    async def apart(self, work: Callable[[], T]) -> T:
        """Run what takes milliseconds in a thread, so that others are answered."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, work)


def _joined(parts: Sequence[Any]) -> Any:
    """A column from its parts."""
    lists = isinstance(parts[0], list)
    return list(chain.from_iterable(parts)) if lists else np.concatenate(parts)
