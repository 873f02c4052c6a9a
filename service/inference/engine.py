"""Execution: small work in batches on the event loop, large work in threads, grids once."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from grokprobe.machine.cpus import allowed_cpus
from grokprobe.settings import Settings
from grokprobe.spans import span
from grokprobe.task import Residues, pairs
from service.formats.npy import npy_array, npy_bytes
from service.inference.admission import Admission
from service.inference.batching import INLINE_PAIRS, Batcher, BatchRun, Work, run_timed
from service.inference.checkpoints import Checkpoint
from service.inference.grids import COPIES, Grids
from service.inference.guarded import Guarded
from service.inference.memory import Memory
from service.inference.sweep import PART_PAIRS, Parts, Sweep, part_pairs
from service.inference.turns import Turns
from service.telemetry.metrics import Metrics

T = TypeVar("T")

# A run on the event loop takes a millisecond or a few: what took so long does not run there again.
SLOW_S = 0.5
# More than cores: one that takes seconds must not hold up those that take milliseconds.
THREADS = 2 * allowed_cpus()


class Inference:
    """What stands between the routes and ONNX Runtime."""

    def __init__(
        self,
        metrics: Metrics,
        max_in_flight: int,
        grid_cache_bytes: int,
        memory_bytes: int = Settings().request_memory_bytes,
        max_inference_s: int = Settings().max_inference_s,
    ) -> None:
        self._metrics = metrics
        self.memory = Memory(metrics, memory_bytes)
        self._batches = Batcher()
        self.admission = Admission(metrics, max_in_flight, self._batches.queue.is_late)
        self.permit = self.admission.permit
        self._grids = Grids(metrics, grid_cache_bytes)
        self._guarded = Guarded(metrics, max_in_flight, max_inference_s)
        self.turns = Turns(metrics, max_in_flight)
        self._threads = ThreadPoolExecutor(THREADS)
        # Analyses wait for parts that the other threads compute, so they have threads of their own.
        self._analyses = ThreadPoolExecutor(THREADS)

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
        return [
            found[name] if name in found else await self.matrix(checkpoint, name) for name in names
        ]

    async def matrix(self, checkpoint: Checkpoint, name: str) -> NDArray[np.float32]:
        """An output that does not depend on the pairs. Raises OutputMissing."""
        work = partial(checkpoint.matrix, name)
        return work() if checkpoint.is_trusted else (await self._guarded.run([work]))[0]

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
            if large or len(asked) > INLINE_PAIRS or not checkpoint.is_trusted:
                ran = await self._in_parts(checkpoint, work, asked)
            else:
                if shared:
                    ran = await self._batches.run((checkpoint.identity, what), work, asked)
                else:
                    ran = run_timed(work, asked)
                if ran.ended - ran.began > SLOW_S:
                    checkpoint.is_trusted = False
        self._metrics.inferred(ran.began - began, ran.ended - ran.began)
        return ran.columns

    async def _in_parts(self, checkpoint: Checkpoint, work: Work, asked: Residues) -> BatchRun:
        size = part_pairs(checkpoint)
        parts = [asked[start : start + size] for start in range(0, len(asked), size)]
        works = [partial(run_timed, work, part) for part in parts]
        rans = (
            await asyncio.gather(*map(self.apart, works))
            if checkpoint.is_trusted
            else await self._guarded.run(works)
        )
        columns = zip(*(ran.columns for ran in rans), strict=True)
        return BatchRun(
            [_joined(of_parts) for of_parts in columns],
            min(ran.began for ran in rans),
            max(ran.ended for ran in rans),
        )

    def keeps(self, checkpoint: Checkpoint, name: str) -> bool:
        """Whether an output over all pairs is small enough to be kept."""
        return self._grids.fits(checkpoint.grid_bytes(name))

    async def sweep(self, checkpoint: Checkpoint, names: Sequence[str]) -> Sweep:
        """The named outputs for all pairs, to be read by an analysis; the small ones are kept.

        Raises OutputMissing.
        """
        checkpoint.check(names)
        kept = [name for name in names if self.keeps(checkpoint, name)]
        files = await self.files(checkpoint, kept) if kept else []
        arrays = dict(zip(kept, map(npy_array, files), strict=True))
        return Sweep(checkpoint, tuple(names), arrays)

    async def analyse(self, sweep: Parts, work: Callable[[], T], *others: Parts) -> T:
        """Run an analysis, which reads a sweep or several, or other runs, in a thread."""
        began, sweeps = time.perf_counter(), (sweep, *others)
        with span("inference", pairs=sum(one.pairs for one in sweeps)):
            async with self._lent(sweeps):
                found = await self.aside(work)
        firsts = [one.first_s for one in sweeps if one.first_s is not None]
        if firsts:
            self._metrics.inferred(min(firsts) - began, sum(one.inferring_s for one in sweeps))
        return found

    async def aside(self, work: Callable[[], T]) -> T:
        """Run what takes seconds in a thread of the analyses."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._analyses, run, work)

    async def files(self, checkpoint: Checkpoint, names: Sequence[str]) -> list[bytes]:
        """The named outputs for all pairs as npy, of those that are kept. Raises OutputMissing."""
        asked = pairs(checkpoint.table.task.modulus)

        async def compute(missing: list[str]) -> list[bytes]:
            need = COPIES * sum(map(checkpoint.grid_bytes, missing))
            need += self.runs_bytes(checkpoint)
            async with self.memory.reserve(need, f"{' and '.join(missing)} of all pairs"):
                return list(map(npy_bytes, await self.outputs(checkpoint, missing, asked, False)))

        return await self._grids.get(checkpoint, names, compute)

    async def blocks(
        self, checkpoint: Checkpoint, name: str, size: int, first: int = 0
    ) -> AsyncIterator[NDArray[np.float32]]:
        """An output for all pairs, `size` rows at a time: of the kept, or computed as it is taken.

        Begins with the block of number `first`. The size divides PART_PAIRS or is a multiple of
        it: whatever it is, the runs are those that a whole grid takes. Raises OutputMissing.
        """
        asked = pairs(checkpoint.table.task.modulus)
        kept = await self.files(checkpoint, [name]) if self.keeps(checkpoint, name) else []
        whole = list(map(npy_array, kept))
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

    def runs_bytes(self, checkpoint: Checkpoint, at_once: int = THREADS) -> int:
        """What so many runs at once take at most beside their outputs; of foreign models fewer."""
        if not checkpoint.is_trusted:
            at_once = min(at_once, self._guarded.at_once)
        return at_once * checkpoint.run_bytes(part_pairs(checkpoint))

    @asynccontextmanager
    async def _lent(self, sweeps: Sequence[Parts]) -> AsyncIterator[None]:
        """Give each what starts its runs; those of foreign models share one permit."""
        for one in sweeps:
            one.submit = self._threads.submit
        guarded = [one for one in sweeps if not (one.is_kept or one.checkpoint.is_trusted)]
        if not guarded:
            yield
            return
        async with self._guarded.lent() as submit:
            for one in guarded:
                one.submit = submit
            yield

    async def apart(self, work: Callable[[], T]) -> T:
        """Run what takes milliseconds in a thread, so that others are answered."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, work)


def _joined(parts: Sequence[Any]) -> Any:
    """A column from its parts."""
    lists = isinstance(parts[0], list)
    return list(chain.from_iterable(parts)) if lists else np.concatenate(parts)
