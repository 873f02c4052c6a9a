"""Runs that others trained: every file is read and checked, then all of it is published.

Nothing is written before the last checkpoint is known to be good. One checkpoint at a time is in
memory: each is read for its facts, for its check and for its publication. `run.json` names the
layout and the digest of each file, so the same command completes an import that was interrupted,
succeeds when it is repeated, and is refused under a name that holds anything else.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from grokprobe.analysis.outputs import ROWS, Outputs
from grokprobe.analysis.probe import Probe
from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.store.records import RunManifest
from grokprobe.task import Residues
from trainer.importing.chance import answers_of, warn_at_chance
from trainer.importing.checkpoints import Found, FoundRun, find_run, task_of
from trainer.importing.layout import Layout
from trainer.importing.layouts.splits import ShuffleSplit
from trainer.importing.mapping import ForeignNetwork
from trainer.importing.publish import (
    describe_import,
    figures_of,
    publish,
    rehearse,
    tensors_of,
)
from trainer.learning.data import Grid, make_grid
from trainer.measuring.gradients import gradient_measures
from trainer.models import make_network
from trainer.models.export import (
    Exported,
    Graph,
    Weights,
    check_parity,
    export_graph,
    open_session,
    run_logits,
)
from trainer.models.network import Network
from trainer.reporting.progress import Reporter


def import_files(
    settings: Settings,
    paths: Sequence[Path],
    layout: Layout,
    run: str,
    reporter: Reporter,
    group: str | None = None,
) -> int:
    """Publish files of weights as a run; return the exit status.

    Raises InvalidInput for whatever is wrong with a file, ParityError, and errors of publication.
    """
    found = find_run(paths, layout, settings.max_model_bytes)
    return import_run(settings, found, run, reporter, group)


def import_run(
    settings: Settings, found: FoundRun, run: str, reporter: Reporter, group: str | None
) -> int:
    """Publish what was found in files; return the exit status.

    Raises InvalidInput, ParityError, and errors of publication.
    """
    first = found.checkpoints[0].read(found.layout)
    manifest, grid = _describe(found, first, run, group)
    graph = Graph(export_graph(model_of(first), grid.sample()), run, grid.task)
    for one in found.checkpoints:
        predicted = _checked_answers(one, found.layout, graph, grid, run)
    warn_at_chance(predicted, grid, found.numbers)
    steps = [one.step for one in found.checkpoints]
    exported = _export(found.checkpoints, found.layout, graph)
    return publish(settings, manifest, grid, steps, exported, reporter)


def rehearse_run(settings: Settings, found: FoundRun, run: str, group: str | None) -> int:
    """Print what `import_run` would publish, and write nothing; return the exit status.

    Raises InvalidInput if another run has the name, RunDeleted, and whatever is wrong with a file.
    """
    first = found.checkpoints[0].read(found.layout)
    manifest, grid = _describe(found, first, run, group)
    told = itertools.chain(tensors_of(first), _told_of(found, grid))
    print(*rehearse(settings, manifest, told), sep="\n")
    return 0


def _told_of(found: FoundRun, grid: Grid) -> Iterator[str]:
    """A line about each checkpoint: its size, and how well it answers. Raises InvalidInput."""
    for one in found.checkpoints:
        model = model_of(one.read(found.layout))
        outputs = NetworkOutputs(one.where, model, grid)
        size = sum(weight.nbytes for weight in model.parameters())
        figures = figures_of(Probe(grid.task, grid.train, outputs))
        yield f"step {one.step}: {size:,} bytes of weights, {figures}"
    warn_at_chance(answers_of(outputs), grid, found.numbers)


def _describe(
    found: FoundRun, first: ForeignNetwork, run: str, group: str | None
) -> tuple[RunManifest, Grid]:
    """The manifest of the run, and its pairs."""
    split = found.layout.split
    grid = make_grid(task_of(found.layout, first), found.checkpoints[0].train)
    manifest = describe_import(
        run,
        grid,
        architecture=first.architecture,
        config=found.config,
        drawn=split if isinstance(split, ShuffleSplit) else None,
        group=group,
    )
    return manifest, grid


@dataclass(frozen=True)
class NetworkOutputs:
    """The logits of a network in torch, which stands at `where`, over the pairs of a grid."""

    where: str
    network: Network
    grid: Grid
    names = ("logits",)

    def blocks(self, names: Sequence[str]) -> Iterator[Sequence[Outputs]]:
        """Consecutive rows of the logits. Raises InvalidInput unless they are finite."""
        for pairs in torch.split(torch.from_numpy(self.grid.pairs), ROWS):
            with torch.no_grad():
                logits = self.network(pairs).logits
            if not logits.isfinite().all():
                message = "its logits are beyond float32; are the weights scaled?"
                raise InvalidInput(self.where, message)
            yield [logits.numpy()] * len(names)


def _checked_answers(one: Found, layout: Layout, graph: Graph, grid: Grid, run: str) -> Residues:
    """What the network answers, (p*p,).

    Raises InvalidInput unless its logits are finite, ParityError unless ONNX computes them too.
    """
    model = model_of(one.read(layout))
    predicted = answers_of(NetworkOutputs(one.where, model, grid))
    with torch.no_grad():
        expected = model(torch.from_numpy(grid.sample())).logits.numpy()
    session = open_session(graph.fill(weights_of(model), one.step))
    check_parity(run_logits(session, grid.sample()), expected, run, one.step)
    return predicted


def _export(found: Sequence[Found], layout: Layout, graph: Graph) -> Iterator[Exported]:
    """The checkpoints as ONNX files, one at a time."""
    for one in found:
        network = one.read(layout)
        model = model_of(network)
        data = graph.fill(weights_of(model), one.step)
        extra = network.norms | gradient_measures(model.double())
        yield Exported(one.step, data, graph.opset, extra)


def model_of(network: ForeignNetwork) -> Network:
    """The network in torch; biases, or positions, that the file lacks are 0."""
    model = make_network(network.section, network.modulus, seed=0)
    absent = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    weights = {name: torch.from_numpy(weight) for name, weight in network.weights.items()}
    model.load_state_dict(absent | weights)
    return model


def weights_of(model: Network) -> Weights:
    """Its parameters, as they are in memory."""
    return {name: weight.detach().numpy() for name, weight in model.named_parameters()}
