"""Outputs over all pairs: computed once for all who ask, kept while they fit a budget in bytes.

They are kept as the files that the API sends; whoever wants an array gets a view of one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.formats.npy import npy_bytes
from service.inference.checkpoints import Checkpoint
from service.telemetry.metrics import Metrics

Compute = Callable[[list[str]], Awaitable[list[NDArray[np.float32]]]]

# Kept grids that fit at least. What is larger would push out many, and takes its size three times
# while it is made: parts, array, file.
FEWEST = 16


class Grids:
    """The cache, by checkpoint digest and output; the least recently used go first."""

    def __init__(self, metrics: Metrics, budget_bytes: int) -> None:
        self._metrics = metrics
        self._budget_bytes = budget_bytes
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._computing: dict[tuple[str, ...], asyncio.Task[list[bytes]]] = {}
        self._bytes = 0

    def fits(self, size: int) -> bool:
        """Whether an output of so many bytes is kept."""
        return FEWEST * size <= self._budget_bytes

    async def get(
        self, checkpoint: Checkpoint, names: Sequence[str], compute: Compute
    ) -> list[bytes]:
        """The named outputs, which fit, as npy; `compute` gives those not kept, in one run."""
        digest = checkpoint.manifest.model.sha256
        found = {name: self._kept[digest, name] for name in names if (digest, name) in self._kept}
        for name in found:
            self._kept.move_to_end((digest, name))
        if found:
            self._metrics.grids.inc("memory", by=len(found))
        if missing := [name for name in names if name not in found]:
            computed = await self._shared(digest, missing, compute)
            found |= zip(missing, computed, strict=True)
        return [found[name] for name in names]

    async def _shared(self, digest: str, names: list[str], compute: Compute) -> list[bytes]:
        key = (digest, *names)
        if key not in self._computing:
            task = asyncio.create_task(self._compute(digest, names, compute))
            self._computing[key] = task
            task.add_done_callback(lambda _: self._computing.pop(key))
        # Shielded: one client that hangs up must not cancel what others wait for.
        return await asyncio.shield(self._computing[key])

    async def _compute(self, digest: str, names: list[str], compute: Compute) -> list[bytes]:
        files = [npy_bytes(grid) for grid in await compute(names)]
        self._metrics.grids.inc("computed", by=len(files))
        for name, file in zip(names, files, strict=True):
            self._keep((digest, name), file)
        return files

    def _keep(self, key: tuple[str, str], file: bytes) -> None:
        if key in self._kept:
            return
        self._kept[key] = file
        self._bytes += len(file)
        while self._bytes > self._budget_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
        self._metrics.grid_cache_bytes.set(self._bytes)
