"""The published file: DESIGN's ONNX contract, its bytes, its parity with torch."""

import os
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from msgspec.structs import replace

from grokprobe.task import Operation, Residues, Task, pairs
from tests.support.rounding import TINY_ROUNDING, assert_alike
from tests.support.trained import tiny_config
from trainer.config.schema import TaskSection
from trainer.learning.data import Grid, draw
from trainer.measuring.measures import measure, read_outputs, spectrum_row
from trainer.measuring.norms import weight_norms
from trainer.models import make_network
from trainer.models.export import (
    OUTPUTS,
    Graph,
    ParityError,
    Weights,
    check_parity,
    export_graph,
    open_session,
    run_logits,
)
from trainer.models.network import Network

MODEL = tiny_config().model


def network(seed: int) -> Network:
    return make_network(MODEL, 13, seed)


def weights_of(model: Network) -> Weights:
    return {name: w.detach().numpy().copy() for name, w in model.named_parameters()}


def resident() -> int:
    """The bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.fixture(scope="module")
def grid() -> Grid:
    return draw(tiny_config().task)


@pytest.fixture(scope="module")
def graph(grid: Grid) -> Graph:
    return Graph(export_graph(network(0), grid.sample()), "a-run", grid.task)


def outputs_of(model: Network, given: Residues) -> dict[str, torch.Tensor]:
    """What torch computes of each output that a network has, in the order of the files."""
    found = model(torch.from_numpy(given))._asdict()
    return {name: found[name] for name in OUTPUTS if found[name] is not None}


@pytest.mark.parametrize("rows", [0, 1, 2, 169])
def test_the_file_computes_what_torch_computes(graph: Graph, grid: Grid, rows: int) -> None:
    """Every output, any batch, for weights that the graph was not exported with."""
    model = network(7)
    session = open_session(graph.fill(weights_of(model), 3))
    given = grid.pairs[:rows]
    torchs = outputs_of(model, given)
    found = session.run(list(torchs), {"pairs": given})
    for ours, expected in zip(found, torchs.values(), strict=True):
        assert_alike(ours, expected.detach(), TINY_ROUNDING)


def test_a_graph_keeps_none_of_the_weights(graph: Graph) -> None:
    """However many checkpoints were filled in, which is many where others saved a run."""
    weights = weights_of(network(0))
    size = len(graph.fill(weights, 0))
    before = resident()
    for step in range(30_000_000 // size):
        graph.fill(weights, step)
    assert resident() - before < 15_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": "a b", "attention_rate": 0.3, "biases": "all"},
        {"activation": "gelu", "biases": "none", "attention_scale": 0.7},
        {"activation": "quadratic", "attention_rate": 0.0},
    ],
)
def test_every_variant_is_exported(grid: Grid, changes: dict[str, Any]) -> None:
    """Every output of each kind of network, and no initialisers but its parameters."""
    model = make_network(replace(MODEL, **changes), 13, 0)
    data = Graph(export_graph(model, grid.sample()), "a-run", grid.task).fill(weights_of(model), 0)
    names = [tensor.name for tensor in onnx.load_from_string(data).graph.initializer]
    assert set(names) == set(dict(model.named_parameters()))
    torchs = outputs_of(model, grid.pairs)
    found = open_session(data).run(list(torchs), {"pairs": grid.pairs})
    for ours, expected in zip(found, torchs.values(), strict=True):
        assert_alike(ours, expected.detach(), TINY_ROUNDING)


def test_the_file_keeps_the_contract(graph: Graph) -> None:
    """Names, kinds, initialisers, domain and facts are those that readers rely on."""
    proto = onnx.load_from_string(graph.fill(weights_of(network(0)), 12))
    onnx.checker.check_model(proto, full_check=True)
    names = [tensor.name for tensor in proto.graph.initializer]
    assert names == list(dict(network(0).named_parameters()))
    expected = list(outputs_of(network(0), pairs(13)))
    assert [entry.name for entry in proto.graph.output] == expected
    [given] = proto.graph.input
    assert (given.name, given.type.tensor_type.elem_type) == ("pairs", onnx.TensorProto.INT64)
    assert [entry.domain for entry in proto.opset_import] == [""]
    assert not proto.functions
    assert {entry.key: entry.value for entry in proto.metadata_props} == {
        "format_version": "1",
        "run": "a-run",
        "step": "12",
        "operation": "add",
        "modulus": "13",
    }


def test_the_file_names_no_source(graph: Graph) -> None:
    """Neither paths nor modules of the machine that exported it are in the bytes."""
    data = graph.fill(weights_of(network(0)), 0)
    for word in (b".py", b"trainer", b"torch", str(Path.cwd()).encode()):
        assert word not in data


def test_equal_weights_give_equal_bytes(graph: Graph, grid: Grid) -> None:
    """Whatever was filled in before, and also with the graph read from a published file."""
    first = graph.fill(weights_of(network(1)), 5)
    second = graph.fill(weights_of(network(2)), 5)
    assert first != second
    assert graph.fill(weights_of(network(1)), 5) == first
    resumed = Graph.from_model(second, "a-run", grid.task)
    assert resumed.fill(weights_of(network(1)), 5) == first


def test_a_wrong_weight_is_noticed(graph: Graph, grid: Grid) -> None:
    """A file that differs from torch by more than 1e-4 of the range is refused by name."""
    weights = dict(weights_of(network(0)))
    with torch.no_grad():
        expected = network(0)(torch.from_numpy(grid.sample())).logits.numpy()
    exact = run_logits(open_session(graph.fill(weights, 4)), grid.sample())
    check_parity(exact, expected, "a-run", 4)
    weights["W_U"] = weights["W_U"] * np.float32(1.001)
    off = run_logits(open_session(graph.fill(weights, 4)), grid.sample())
    with pytest.raises(ParityError, match=r"'a-run' step 4: .* differs from torch by"):
        check_parity(off, expected, "a-run", 4)
    with pytest.raises(ParityError):
        check_parity(np.full_like(expected, np.nan), expected, "a-run", 4)


def test_the_facts_are_the_task_s() -> None:
    """The operation in the file is the run's, not the graph's."""
    proto = export_graph(network(0), draw(tiny_config().task).sample())
    data = Graph(proto, "b", Task(operation="x2+y2", modulus=13)).fill(weights_of(network(0)), 1)
    facts = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    assert (facts["run"], facts["operation"]) == ("b", "x2+y2")


@pytest.mark.parametrize("operation", [o for o in get_args(Operation) if o != "s5"])
def test_every_operation_on_residues_can_be_measured(graph: Graph, operation: Operation) -> None:
    """The measures are finite, and the spectrum has the frequencies of the operation's group."""
    other = draw(TaskSection(operation=operation, modulus=13))
    weights = weights_of(network(0))
    probe = read_outputs(open_session(graph.fill(weights, 0)), other)
    measures, row = measure(probe, 0) | weight_norms(weights), spectrum_row(probe)
    grouped = other.task.operation in ("add", "sub")
    assert (measures.pop("distance_irrelevance") is not None) == grouped
    assert measures.pop("circularity_b") is None  # operand b has no table of its own
    has_direction = probe.basis.direction is not None
    assert (measures.pop("phase_misalignment") is not None) == has_direction
    assert all(value is not None and np.isfinite(value) for value in measures.values())
    assert row is not None
    assert len(row.power) == 6
    squares = [np.square(weight, dtype=np.float64).sum() for weight in weights.values()]
    assert measures["weight_norm"] == pytest.approx(sum(squares))
