"""Runs that others trained: every file is read and checked, then all of it is published.

Nothing is written before the last checkpoint is known to be good. One checkpoint at a time is in
memory: each is read for its facts, for its check and for its publication. `run.json` names the
layout and the digest of each file, so the same command completes an import that was interrupted,
succeeds when it is repeated, and is refused under a name that holds anything else.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from grokprobe.analysis.probe import Probe
from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.store.records import RunManifest
from trainer.importing.chance import warn_at_chance
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
        logits = _checked_logits(one, found.layout, graph, grid, run)
    warn_at_chance(logits.numpy(), grid, found.numbers)
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
        with torch.no_grad():
            logits = model(torch.from_numpy(grid.pairs)).logits
        _refuse_infinite(one, logits)
        size = sum(weight.nbytes for weight in model.parameters())
        figures = figures_of(Probe(grid.task, grid.train, logits=logits.numpy()))
        yield f"step {one.step}: {size:,} bytes of weights, {figures}"
    warn_at_chance(logits.numpy(), grid, found.numbers)


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


def _checked_logits(one: Found, layout: Layout, graph: Graph, grid: Grid, run: str) -> torch.Tensor:
    """The logits of all pairs, (p*p, p).

    Raises InvalidInput unless they are finite, ParityError unless ONNX computes them too.
    """
    model = model_of(one.read(layout))
    with torch.no_grad():
        logits: torch.Tensor = model(torch.from_numpy(grid.pairs)).logits
        _refuse_infinite(one, logits)
        expected = model(torch.from_numpy(grid.sample())).logits.numpy()
    session = open_session(graph.fill(weights_of(model), one.step))
    check_parity(run_logits(session, grid.sample()), expected, run, one.step)
    return logits


def _refuse_infinite(one: Found, logits: torch.Tensor) -> None:
    if not logits.isfinite().all():
        raise InvalidInput(one.where, "its logits are beyond float32; are the weights scaled?")


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
