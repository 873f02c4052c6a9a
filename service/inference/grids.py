"""Outputs over all pairs: computed once for all who ask, kept while they fit a budget in bytes.

They are kept as the files that the API sends; whoever wants an array gets a view of one.
"""

from collections.abc import Awaitable, Callable, Sequence

from service.cache import Cache, SingleFlight
from service.inference.checkpoints import Checkpoint
from service.telemetry.metrics import Metrics

Compute = Callable[[list[str]], Awaitable[list[bytes]]]

FEWEST = 16  # kept grids that fit at least: what is larger would push out many
COPIES = 3  # of a grid while it is made: parts, array, file


class Grids:
    """The cache, by checkpoint digest and output."""

    def __init__(self, metrics: Metrics, budget_bytes: int) -> None:
        self._metrics = metrics
        self._budget_bytes = budget_bytes
        self._kept: Cache[tuple[str, str], bytes] = Cache(budget_bytes, len)
        self._computing: SingleFlight[tuple[str, ...], list[bytes]] = SingleFlight()
        metrics.grid_cache_bytes.set_function(lambda: self._kept.size)

    def fits(self, size: int) -> bool:
        """Whether an output of so many bytes is kept."""
        return FEWEST * size <= self._budget_bytes

    async def get(
        self, checkpoint: Checkpoint, names: Sequence[str], compute: Compute
    ) -> list[bytes]:
        """The named outputs, which fit, as npy; `compute` gives those not kept, in one run."""
        digest = checkpoint.manifest.model.sha256
        found = {name: file for name in names if (file := self._kept.known((digest, name)))}
        if found:
            self._metrics.grids.inc("memory", by=len(found))
        if missing := [name for name in names if name not in found]:
            computed = await self._computing.run(
                (digest, *missing), lambda: self._compute(digest, missing, compute)
            )
            found |= zip(missing, computed, strict=True)
        return [found[name] for name in names]

    async def _compute(self, digest: str, names: list[str], compute: Compute) -> list[bytes]:
        files = await compute(names)
        self._metrics.grids.inc("computed", by=len(files))
        for name, file in zip(names, files, strict=True):
            self._kept.keep((digest, name), file)
        return files
