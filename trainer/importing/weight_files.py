"""Runs that others trained: every file is read and checked, then all of it is published.

Nothing is written before the last checkpoint is known to be good. `run.json` names the layout and
the digest of each file, so the same command completes an import that was interrupted, succeeds when
it is repeated, and is refused under a name that holds anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import torch

from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.task import Mask, Task
from trainer.importing.chance import warn_at_chance
from trainer.importing.elements import elements_record
from trainer.importing.files import Contents, read_contents
from trainer.importing.layout import Layout, ShuffleSplit
from trainer.importing.mapping import ForeignNetwork, read_network
from trainer.importing.publish import describe_import, publish
from trainer.importing.steps_and_split import steps_of, train_mask
from trainer.learning.data import Grid, make_grid
from trainer.learning.snapshot import take
from trainer.measuring.gradients import gradient_measures
from trainer.measuring.measures import read_outputs
from trainer.models import make_network
from trainer.models.export import (
    Exported,
    Graph,
    check_parity,
    export_graph,
    open_session,
    run_logits,
)
from trainer.models.network import Network
from trainer.reporting.progress import Reporter


@dataclass(frozen=True)
class Found:
    """One checkpoint of a file, and the split that the file tells."""

    where: str
    step: int
    network: ForeignNetwork
    train: Mask | None


def import_files(
    settings: Settings, paths: Sequence[Path], layout: Layout, run: str, reporter: Reporter
) -> int:
    """Publish files of weights as a run; return the exit status.

    Raises InvalidInput for whatever is wrong with a file, ParityError, and errors of publication.
    """
    files = [read_contents(path, settings.max_model_bytes) for path in paths]
    found = [one for file in files for one in _checkpoints(file, layout, settings.max_model_bytes)]
    found.sort(key=lambda one: one.step)
    _check_alike(found)
    first = found[0]
    grid = make_grid(_task(layout, first.network), first.train)
    numbers = layout.task.numbers(grid.task.modulus)
    manifest = describe_import(
        run,
        grid,
        architecture=first.network.architecture,
        config={
            "layout": msgspec.to_builtins(layout),
            "files": sorted(file.sha256 for file in files),
            **elements_record(numbers),
        },
        drawn=layout.split if isinstance(layout.split, ShuffleSplit) else None,
    )
    exported = _export(found, grid, run)
    last = read_outputs(open_session(exported[-1].model), grid, "logits")
    warn_at_chance(last.logits, grid, numbers)
    return publish(settings, manifest, grid, exported, reporter)


def _task(layout: Layout, network: ForeignNetwork) -> Task:
    return Task(operation=layout.task.operation, modulus=network.modulus)


def _checkpoints(contents: Contents, layout: Layout, limit: int) -> list[Found]:
    """The checkpoints of a file. Raises InvalidInput that names it and what is wrong with it."""
    besides = {layout.step.field, getattr(layout.split, "field", None)}
    states = contents.states(layout.file.state, besides)
    steps = steps_of(contents, layout.step, len(states))
    several = len(states) > 1
    wheres = [f"{contents.where} step {n}" if several else contents.where for n in steps]
    networks = [read_network(*one, layout) for one in zip(wheres, states, strict=True)]
    task = _task(layout, networks[0])
    try:
        make_grid(task, None)
    except InvalidInput as error:
        raise InvalidInput(contents.where, f"{error}, by {networks[0].modulus_by}") from None
    numbers = layout.task.numbers(task.modulus)
    train = train_mask(layout.split, task, contents, limit, numbers)
    both = zip(wheres, steps, networks, strict=True)
    return [Found(where, step, network, train) for where, step, network in both]


def _check_alike(found: Sequence[Found]) -> None:
    """Raise InvalidInput unless checkpoints, in order, are of one run at different steps."""
    for one, other in pairwise(found):
        between = f"{one.where} and {other.where}"
        if one.step == other.step:
            raise InvalidInput(between, f"both are step {one.step}")
        ours, theirs = one.network.facts, other.network.facts
        if differ := [f"{n} is {ours[n]} and {theirs[n]}" for n in ours if ours[n] != theirs[n]]:
            raise InvalidInput(between, f"are not of one run: {', '.join(differ)}")
        if not np.array_equal(np.asarray(one.train), np.asarray(other.train)):
            raise InvalidInput(between, "are not of one run: their splits differ")


def _export(found: Sequence[Found], grid: Grid, run: str) -> list[Exported]:
    """The checkpoints as ONNX files that compute what torch computes.

    Raises InvalidInput where logits are not finite, ParityError.
    """
    sample, everything = (torch.from_numpy(pairs) for pairs in (grid.sample(), grid.pairs))
    first = model_of(found[0].network)
    graph = Graph(export_graph(first, grid.sample()), run, grid.task)
    exported = []
    for one in found:
        model = model_of(one.network)
        with torch.no_grad():
            finite = bool(model(everything).logits.isfinite().all())
            expected = model(sample).logits
        if not finite:
            raise InvalidInput(one.where, "its logits are beyond float32; are the weights scaled?")
        snapshot = take(one.step, dict(model.named_parameters()), expected, {})
        data = graph.fill(snapshot.weights, one.step)
        logits = run_logits(open_session(data), grid.sample())
        check_parity(logits, snapshot.sample_logits, run, one.step)
        extra = one.network.norms | gradient_measures(model.double())
        exported.append(Exported(one.step, data, graph.opset, extra))
    return exported


def model_of(network: ForeignNetwork) -> Network:
    """The network in torch; biases, or positions, that the file lacks are 0."""
    model = make_network(network.section, network.modulus, seed=0)
    absent = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    weights = {name: torch.from_numpy(weight) for name, weight in network.weights.items()}
    model.load_state_dict(absent | weights)
    return model
