"""Loaded checkpoints: ONNX Runtime sessions in a cache bounded by bytes.

A checkpoint is loaded once however many ask for it at the same time. What it costs is estimated:
a session of whatever size takes SESSION_BYTES, and ONNX Runtime keeps the weights and the tables
folded from them, SESSION_SIZES times the file. Of models that were not exported here it is the file
and all that may be folded.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from grokprobe.cached import cached_property
from grokprobe.errors import CatalogueUnavailable, CheckpointCorrupt
from grokprobe.safety.bounds import Bounds
from grokprobe.safety.check import check_finite
from grokprobe.store.archive.names import manifest_path
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.decoding import check_of_run
from grokprobe.store.records import CheckpointManifest, RunManifest, task_of
from grokprobe.task import Mask, Residues, Task, answers
from service.cache import Cache
from service.errors import OutputMissing
from service.inference.batching import INLINE_PAIRS
from service.inference.guarded import GUARD
from service.inference.runtime import Runtime
from service.runs.view import RunView, checkpoint_identity
from service.telemetry.metrics import Metrics

# Measured: 298 kB with a file of 15 kB, 1.46 MB with one of 912 kB.
SESSION_BYTES, SESSION_SIZES = 280_000, 1.4
# Multiply-adds of INLINE_PAIRS: our default model takes 2**26, one of four layers 2**29.
INLINE_WORK = 2**30
ANY_PAIR = np.zeros((1, 2), dtype=np.int64)


@dataclass(frozen=True)
class PairTable:
    """What a run's pairs are worth, in canonical order: answers (p*p,), train mask (p*p,)."""

    task: Task
    answers: Residues
    train_mask: Mask | None  # where the split is unknown

    @cached_property
    def parts(self) -> NDArray[np.object_]:
        """The part of the split that each pair belongs to; None where the split is unknown."""
        if self.train_mask is None:
            return np.full(len(self.answers), None)
        return np.where(self.train_mask, "train", "test").astype(object)


@dataclass(eq=False)
class Checkpoint:
    """A loaded checkpoint, and the table that all checkpoints of its run share.

    `is_trusted`: it has the form of our own exports and has never been slow, so that small runs
    may be on the event loop. Any other runs where it can be ended (guarded.py).
    """

    manifest: CheckpointManifest
    table: PairTable
    session: Any  # onnxruntime.InferenceSession: thread-safe, releases the interpreter lock
    identity: str  # of its run and its file: what is computed of it is kept by this
    bounds: Bounds
    is_trusted: bool

    @cached_property
    def shapes(self) -> dict[str, list[int]]:
        """The shape of every output by name; -1 is the number of pairs."""
        offered = self.manifest.model.outputs
        return {
            output.name: [size if isinstance(size, int) else -1 for size in output.shape]
            for output in self.session.get_outputs()
            if output.name in offered
        }

    def check(self, names: Iterable[str]) -> None:
        """Raise OutputMissing naming the first that the model does not have."""
        for name in names:
            if name not in self.shapes:
                raise OutputMissing(name[:60], self.shapes)

    def varies(self, name: str) -> bool:
        """Whether an output has a row for each pair; the others are the same for any."""
        return self.shapes[name][0] < 0

    def width(self, name: str) -> int:
        """Numbers in an output for each pair."""
        return math.prod(self.shapes[name][1:])

    def grid_bytes(self, name: str) -> int:
        """Bytes of an output over all pairs."""
        return 4 * self.table.task.modulus**2 * self.width(name)

    def run_bytes(self, pairs: int) -> int:
        """What a run of so many pairs takes beside its outputs at most.

        A layer of ours holds some values of each token beside those that it gives (attention has
        one row a token).
        """
        if not self.bounds.is_ours:
            return self.bounds.run_bytes.at(pairs)
        varying = [name for name in self.shapes if self.varies(name)]
        tokens = self.shapes["attention"][-1] if "attention" in varying else 1
        return 4 * pairs * (2 + 2 * tokens) * sum(map(self.width, varying))

    def outputs(self, names: list[str], pairs: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """The named outputs for pairs (n, 2), n at least 1, every number finite.

        Raises OutputMissing, CheckpointCorrupt.
        """
        self.check(names)
        return self.run(self.session, names, {"pairs": pairs})

    def run(
        self, session: Any, names: list[str], given: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[np.float32]]:
        """What a session over this checkpoint's model gives for its inputs.

        Raises CheckpointCorrupt.
        """
        guard = GUARD.get()
        assert self.is_trusted or guard, "what is not trusted runs where it can be ended"
        try:
            found: list[NDArray[np.float32]] = session.run(names, given, guard)
        except Exception as error:  # ONNX Runtime's own exceptions share no public base
            reason = str(error).partition("\n")[0]
            raise CheckpointCorrupt(f"{self._where} does not run: {reason}") from None
        for name, values in zip(names, found, strict=True):
            check_finite(values, self._where, f"output {name}")
        return found

    @property
    def _where(self) -> str:
        return f"run {self.manifest.run!r} step {self.manifest.step}"

    def matrix(self, name: str) -> NDArray[np.float32]:
        """An output that does not depend on the pairs, such as `embedding` (p, d_model)."""
        return self.outputs([name], ANY_PAIR)[0]


class Checkpoints:
    """The cache: `get` answers from memory or loads."""

    def __init__(
        self,
        archive: ArchiveReader,
        runtime: Runtime,
        metrics: Metrics,
        budget_bytes: int,
        max_model_bytes: int,
    ) -> None:
        self._archive = archive
        self._runtime = runtime
        self._metrics = metrics
        self._max_model_bytes = max_model_bytes
        # By run, the run's identity, and step.
        self._loaded: Cache[tuple[str, str, int], Checkpoint] = Cache(
            budget_bytes, _cost, metrics.cache_evictions.inc
        )
        metrics.cache_bytes.set_function(lambda: self._loaded.size)
        # A table lives as long as a loaded checkpoint of its run does.
        self._tables: WeakValueDictionary[str, PairTable] = WeakValueDictionary()

    async def get(self, view: RunView, step: int) -> Checkpoint:
        """The checkpoint of that very run, loaded.

        Raises StepNotFound, CheckpointCorrupt, StoreUnavailable, or CatalogueUnavailable if another
        run has taken the name since the view was read.
        """
        run = view.manifest.run
        key = (run, view.identity, step)
        if loaded := self._loaded.known(key):
            self._metrics.cache_hits.inc()
            return loaded
        self._metrics.cache_misses.inc()
        return await self._loaded.get(key, partial(self._load, *key))

    def drop(self, run: str, step: int | None = None) -> None:
        """Forget a loaded checkpoint, or all of a run; who works with it keeps it until done."""
        for key in self._loaded:
            if key[0] == run and step in (None, key[2]):
                self._loaded.drop(key)

    async def table(self, view: RunView) -> PairTable:
        """The pairs of that very run, whether or not a checkpoint is loaded; raises as get."""
        run, identity = view.manifest.run, view.identity
        return await self._table(await self._published(run, identity), identity)

    async def manifest(self, view: RunView, step: int) -> CheckpointManifest:
        """The manifest of a checkpoint as object storage has it; raises as get."""
        if view.proves(step):
            return view.checkpoints[step]
        return (await self._records(view.manifest.run, view.identity, step))[1]

    async def _published(self, run: str, identity: str) -> RunManifest:
        published = await self._archive.stored_run(run)
        if published.sha256 != identity:
            raise CatalogueUnavailable(
                f"the name {run!r} has just been taken by another run; ask again, and if this "
                "stays so, run `python -m grokprobe reindex`"
            )
        return published.record

    async def _records(
        self, run: str, identity: str, step: int
    ) -> tuple[RunManifest, CheckpointManifest]:
        # Digests come from the manifest in object storage, never from the index.
        published, manifest = await asyncio.gather(
            self._published(run, identity), self._archive.checkpoint(run, step)
        )
        check_of_run(published, manifest, manifest_path(run, step))
        return published, manifest

    async def _load(self, run: str, identity: str, step: int) -> Checkpoint:
        published, manifest = await self._records(run, identity, step)
        model = await self._archive.model(manifest, self._max_model_bytes)
        where, modulus = f"run {run!r} step {step}", published.task.modulus
        session, bounds = await asyncio.to_thread(self._runtime.open, model, where, modulus)
        table = await self._table(published, identity)
        self._metrics.cache_loads.inc()
        known_as = checkpoint_identity(identity, manifest)
        trusted = bounds.is_ours and bounds.run_work.at(INLINE_PAIRS) <= INLINE_WORK
        return Checkpoint(manifest, table, session, known_as, bounds, trusted)

    async def _table(self, published: RunManifest, identity: str) -> PairTable:
        known = self._tables.get(identity)
        if known is None:
            task = task_of(published)
            known = PairTable(task, answers(task), await self._archive.train_mask(published.run))
            self._tables[identity] = known
        return known


def _cost(checkpoint: Checkpoint) -> int:
    size, bounds = checkpoint.manifest.model.bytes, checkpoint.bounds
    kept = int(SESSION_SIZES * size) if bounds.is_ours else size + bounds.load_bytes
    return SESSION_BYTES + kept
