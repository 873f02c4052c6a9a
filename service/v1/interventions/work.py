"""An intervention on a checkpoint: its outputs read, its sets judged, in a turn of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.interventions.frequencies import AlongAnswers, WithoutFrequencies
from grokprobe.analysis.interventions.neurons import (
    WithoutNeurons,
    added_by,
    change_norms,
    is_linear,
    miss,
)
from grokprobe.analysis.interventions.outcome import (
    Design,
    Figures,
    Outcome,
    intervene,
)
from grokprobe.analysis.interventions.reading import (
    Grid,
    group_grid,
    known_grid,
    read_cubes,
    read_pairs,
)
from grokprobe.analysis.interventions.sets import Members
from grokprobe.analysis.outputs import Outputs
from grokprobe.task import UNDEFINED
from service.context import Context
from service.inference.altered import Altered, ModelFile
from service.inference.checkpoints import Checkpoint
from service.inference.sweep import AHEAD, Sweep
from service.inference.turns import Limit
from service.v1.interventions.asked import Asked
from service.v1.interventions.needs import need_bytes
from service.v1.interventions.parameters import heads_change, tables_change
from service.v1.interventions.records import Method

Blocks = Iterator[NDArray[Any]]
BLOCK_PAIRS = 1_024


class Found(NamedTuple):
    """The outcome, how it was computed, of heads in which layer, what the map misses of a logit."""

    method: Method
    outcome: Outcome
    layer: int | None = None
    missed: float | None = None


@dataclass(frozen=True)
class Work:
    """What stands when the outputs have been read."""

    asked: Asked
    grid: Grid
    read: dict[str, Outputs]  # by pair of the grid (pairs, width), or as cubes (n, n, width)
    limit: Limit

    @property
    def logits(self) -> Outputs:
        """The logits of the grid's pairs, (pairs, classes)."""
        logits = self.read["logits"]
        return logits.reshape(-1, logits.shape[-1])

    def intervene(
        self, blocks: Callable[[Members], Blocks], design: Design | None = None
    ) -> Outcome:
        """The outcome, by the logits of the grid's pairs in blocks for each set that is named.

        Where nothing is taken out the figures are those of before. Raises WorkTooLong.
        """
        design = design or self.asked.design
        before, done = self.grid.judge.figures(_blocks(self.logits)), count()

        def evaluate(members: Members) -> Figures:
            self.limit.check(next(done))
            if self._leaves_all(members):
                return before
            return self.grid.judge.figures(blocks(members))

        return intervene(design, self.grid.judge, before, evaluate)

    def _leaves_all(self, members: Members) -> bool:
        # What is kept along the answer's directions is without all other directions.
        completes = self.asked.directions != "answer" or self.asked.verb == "remove"
        return completes and not self.asked.design.removed(members)

    def removing(self, blocks: Callable[[Members], Blocks]) -> Callable[[Members], Blocks]:
        """What is taken out, for a set that is named."""
        return lambda members: blocks(self.asked.design.removed(members))

    def of_classes(self, blocks: Iterator[Outputs]) -> Iterator[Outputs]:
        """Logits of all classes as those of the grid."""
        classes = self.grid.classes
        for block in blocks:
            yield block if len(classes) == block.shape[1] else block[:, classes]


async def compute(context: Context, checkpoint: Checkpoint, asked: Asked) -> Found:
    """The outcome, and how it was computed.

    Raises InvalidInput, NeverFits, MemoryBusy, Overloaded, WorkTooLong, InferenceTooLong.
    """
    inference = context.inference
    async with inference.turns.turn() as limit:
        names = ("logits", "neurons") if asked.of in ("neurons", "activations") else ("logits",)
        sweep = await inference.sweep(checkpoint, names)  # which reserves for itself
        need = need_bytes(asked, checkpoint) + inference.runs_bytes(checkpoint, AHEAD + 1)
        async with inference.memory.reserve(need, f"an intervention on {asked.of}"):
            work = await _read(context, sweep, asked, limit)
            if asked.of == "logits":
                return Found("logits", await inference.aside(lambda: _of_logits(work)))
            if asked.of in ("neurons", "activations"):
                return await _of_neurons(context, checkpoint, work)
            return await _of_parameters(context, checkpoint, work)


async def _read(context: Context, sweep: Sweep, asked: Asked, limit: Limit) -> Work:
    """The outputs that an intervention is made of, over the pairs that it is judged by."""
    table, names = sweep.checkpoint.table, list(sweep.names)

    def read() -> Work:
        if asked.basis is None:
            grid = known_grid(table.answers, table.train_mask)
            found = read_pairs(sweep, names, table.answers != UNDEFINED)
        else:
            grid = group_grid(asked.basis, table.answers, table.train_mask)
            found = read_cubes(sweep, names, asked.basis, table.task.modulus)
        return Work(asked, grid, found, limit)

    return await context.inference.analyse(sweep, read)


def _of_logits(work: Work) -> Outcome:
    asked, L = work.asked, work.read["logits"]
    if asked.directions == "answer":
        assert asked.basis is not None
        assert asked.basis.direction is not None
        along = AlongAnswers(L, asked.basis.direction)
        return work.intervene(along.only if asked.verb == "keep" else along.without)
    return work.intervene(work.removing(WithoutFrequencies(L).without))


async def _of_neurons(context: Context, checkpoint: Checkpoint, work: Work) -> Found:
    """Through the neuron-logit map where that gives the logits, else by the model."""
    neurons = work.read["neurons"].reshape(len(work.logits), -1)
    file = await _file(context, checkpoint)
    name = file.neurons
    altered = await _altered(context, checkpoint, lambda: file.with_neurons(neurons.shape[1]))
    offered = checkpoint.shapes.get("neuron_logit_map", [])[1:] == [neurons.shape[1]]
    outward = await context.inference.matrix(checkpoint, "neuron_logit_map") if offered else None

    def run(values: Blocks) -> Blocks:
        return work.of_classes(altered.with_neurons(work.grid.pairs, name, values))

    def found() -> Found:
        if outward is not None:
            of_grid = outward[work.grid.classes]
            direct = np.concatenate(list(run(map(np.zeros_like, _blocks(neurons)))))
            added = added_by(neurons, of_grid)
            missed = miss(work.logits, direct, added)
            if is_linear(work.logits, missed):
                outcome = _by_map(work, neurons, of_grid, direct, added)
                return Found("neuron_logit_map", outcome, missed=missed)
        return Found("model", _by_neurons(work, neurons, run))

    return await context.inference.analyse(altered, found)


def _by_map(
    work: Work, neurons: Outputs, outward: Outputs, direct: Outputs, added: NDArray[np.float64]
) -> Outcome:
    L = work.read["logits"]
    if work.asked.of == "activations":
        cube = WithoutFrequencies(L, added.reshape(L.shape), direct.reshape(L.shape))
        return work.intervene(work.removing(cube.without))
    network = WithoutNeurons(work.logits, neurons, outward, direct, _replacement(work, neurons))
    design = work.asked.design
    matched = replace(design, norms=network.norms) if work.asked.matches else design
    return work.intervene(work.removing(network.without), matched)


def _by_neurons(work: Work, neurons: Outputs, run: Callable[[Blocks], Blocks]) -> Outcome:
    """By the model, which goes on from other neurons."""
    if work.asked.of == "activations":
        cube = WithoutFrequencies(work.read["neurons"])
        return work.intervene(work.removing(lambda removed: run(cube.without(removed))))
    instead, design = _replacement(work, neurons), work.asked.design

    def without(removed: Members) -> Blocks:
        gone = list(removed)
        for block in _blocks(neurons):
            changed = block.copy()
            changed[:, gone] = instead[gone]
            yield changed

    if work.asked.matches:
        design = replace(design, norms=change_norms(neurons, instead))
    return work.intervene(work.removing(lambda removed: run(without(removed))), design)


def _replacement(work: Work, neurons: Outputs) -> Outputs:
    mean: Outputs = neurons.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean if work.asked.by == "mean" else np.zeros_like(mean)


def _blocks(rows: NDArray[Any]) -> Blocks:
    return (rows[start : start + BLOCK_PAIRS] for start in range(0, len(rows), BLOCK_PAIRS))


async def _of_parameters(context: Context, checkpoint: Checkpoint, work: Work) -> Found:
    """By the model, with other parameters."""
    file = await _file(context, checkpoint)
    if work.asked.of == "heads":
        change = heads_change(work.asked, checkpoint, file)
    else:
        names = [name for name in ("embedding", "embedding_b") if name in checkpoint.shapes]
        tables = [await context.inference.matrix(checkpoint, name) for name in names]
        change = tables_change(work.asked, tables, file)
    altered = await _altered(context, checkpoint, lambda: file.with_parameters(change.names))

    def run(removed: Members) -> Blocks:
        given = change.without(removed)
        return work.of_classes(altered.with_parameters(work.grid.pairs, given))

    outcome = await context.inference.analyse(altered, lambda: work.intervene(work.removing(run)))
    return Found("model", outcome, change.layer)


async def _file(context: Context, checkpoint: Checkpoint) -> ModelFile:
    """The published file of a checkpoint that is loaded, so that its checks are behind it."""
    archive, limit = context.backends.archive, context.settings.max_model_bytes
    data = await archive.model(checkpoint.manifest, limit)
    return await context.inference.apart(lambda: ModelFile(data))


async def _altered(context: Context, checkpoint: Checkpoint, make: Callable[[], bytes]) -> Altered:
    where = f"run {checkpoint.manifest.run!r} step {checkpoint.manifest.step}"
    session = context.runtime.session
    return Altered(checkpoint, await context.inference.apart(lambda: session(make(), where)))
