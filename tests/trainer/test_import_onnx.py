"""ONNX files that others made: what honours the contract is published as it is."""

import asyncio
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from grokprobe.safety.check import OUTPUTS
from grokprobe.settings import Settings
from grokprobe.store.archive.verification import problems
from tests.support.tiny import tiny_run
from tests.support.trained import Trained, archive, manifests, tiny_config
from tests.trainer.test_families import FAMILIES
from tests.trainer.test_families import files as exported
from trainer.__main__ import main
from trainer.measuring.gradients import gradient_measures
from trainer.models.network import Activations, Network

TINY = tiny_run(modulus=7, steps=(0, 30))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME of one's own for the commands of a test."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROKPROBE_LOG_FORMAT", "json")
    return tmp_path / "home"


def files(folder: Path) -> list[Path]:
    """The models of a tiny run: logits and an embedding, no neurons, no attention."""
    paths = [folder / f"{manifest.step}.onnx" for manifest, _ in TINY.checkpoints]
    for path, (_, model) in zip(paths, TINY.checkpoints, strict=True):
        path.write_bytes(model)
    return paths


def command(*paths: Path, modulus: int = 7, run: str = "foreign") -> list[str]:
    """The command line that imports them."""
    files = [str(path) for path in paths]
    return ["import-onnx", *files, "--operation", "add", "--modulus", str(modulus), "--run", run]


def test_the_contract_s_outputs_are_ours() -> None:
    """What a foreign model may offer is what our own offer."""
    assert tuple(OUTPUTS) == Activations._fields


def test_what_a_model_offers_is_measured(home: Path, tmp_path: Path) -> None:
    """Steps come from the files; measures of outputs that they lack are null."""
    paths = files(tmp_path)
    assert main(command(*paths)) == main(command(*paths)) == 0
    run = Trained(Settings(home=str(home)), "foreign", tiny_config())
    for manifest, (original, _) in zip(manifests(run), TINY.checkpoints, strict=True):
        assert manifest.step == original.step
        assert manifest.model.outputs == ["logits", "embedding"]
        measures = manifest.measures
        assert measures["gini_embedding"] == pytest.approx(original.measures["gini_embedding"])
        assert measures["weight_norm"] == pytest.approx(original.measures["weight_norm"])
        missing = ("train_loss", "neurons_clustered", "gini_neuron_logit_map", "softmax_collapse")
        assert {measures[name] for name in missing} == {None}
        assert manifest.spectrum == original.spectrum
    published = archive(run.settings)
    assert asyncio.run(problems(published, "foreign")) == []
    assert asyncio.run(published.run("foreign")).architecture == {"family": "onnx"}


def test_a_file_says_what_it_is_published_as(home: Path, tmp_path: Path) -> None:
    """Its facts are those of the new run; `--step` takes the place of the file's own."""
    [path, _] = files(tmp_path)
    assert main([*command(path), "--step", "12"]) == 0
    [model] = home.rglob("0000000012/model.onnx")
    proto = onnx.load_model_from_string(model.read_bytes())
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert (facts["run"], facts["step"], facts["modulus"]) == ("foreign", "12", "7")
    assert not [node for node in proto.graph.node if node.doc_string]


def test_a_dry_run_and_steps_on_the_command_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures and steps, and nothing is written; a step for each file, by number or pattern."""
    paths = files(tmp_path)
    numbers = ",".join(str(7 - index) for index, _ in enumerate(paths))
    assert main([*command(*paths), "--steps", numbers, "--group", "g", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "step 6: " in out
    assert "accuracy" in out
    assert "run foreign would be published in group g; this was a dry run" in out
    assert not home.exists()
    assert main([*command(*paths), "--steps", "1"]) == 2
    assert f"--steps: names 1 steps, and the files are {len(paths)}" in capsys.readouterr().err


def without_step(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def odd_step(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"step": "early"})


def other_operation(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"step": "1", "operation": "sub"})


def function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="")


def fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def float_pairs(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    cast = helper.make_node("Cast", ["pairs"], ["whole"], to=TensorProto.INT64)
    model.graph.node[0].input[1] = "whole"
    model.graph.node.insert(0, cast)


def more_classes(model: onnx.ModelProto) -> None:
    changed(model, 1, lambda W: np.concatenate([W, W[:, :1]], axis=1))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8


def not_finite(model: onnx.ModelProto) -> None:
    changed(model, 1, lambda W: np.full_like(W, np.inf))


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "NoSuchOperator"


def changed(model: onnx.ModelProto, number: int, how: Callable[[np.ndarray], np.ndarray]) -> None:
    """Another value for an initialiser."""
    tensor = model.graph.initializer[number]
    tensor.CopyFrom(numpy_helper.from_array(how(numpy_helper.to_array(tensor)), tensor.name))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_step, "does not say its step; state it with --step"),
        (odd_step, "'early' is no step"),
        (other_operation, "says that its operation is sub, not add"),
        (function, "is refused: it defines functions"),
        (fixed_batch, "its input `pairs` is not (any number, 2)"),
        (float_pairs, "its input `pairs` is not int64"),
        (more_classes, "its output 'logits' is pairs x 8, not pairs x 7"),
        (not_finite, "its output logits is not finite"),
        (unknown_operator, "its node 0, 'NoSuchOperator', is not allowed: "),
    ],
)
def test_a_model_that_breaks_the_contract_is_refused(
    home: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    spoil: Callable[[onnx.ModelProto], None],
    words: str,
) -> None:
    """In one line, and nothing is published, though the first file is good."""
    [good, path] = files(tmp_path)
    model = onnx.load_model_from_string(path.read_bytes())
    spoil(model)
    path.write_bytes(model.SerializeToString())
    assert main(command(good, path)) == 2
    [error] = capfd.readouterr().err.splitlines()
    assert error.startswith(f"error: {path}")
    assert words in error
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_files_must_agree_with_the_command_and_with_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another modulus, one step twice, a name that is taken, no odd prime, no ONNX."""
    paths = files(tmp_path)
    (tmp_path / "x.onnx").write_bytes(b"x")
    assert main(command(*paths, modulus=11)) == 2
    assert main(command(paths[0], paths[0])) == 2
    assert main(command(*paths, modulus=4)) == 2
    assert main(command(tmp_path / "x.onnx")) == 2
    assert main(command(paths[0])) == 0
    assert main(command(paths[1])) == 2
    words = [
        "pairs x 7, not pairs x 11",
        "step 0 too",
        "odd prime",
        "not an ONNX",
        "is another run",
    ]
    said = capsys.readouterr().err.splitlines()
    errors = [line for line in said if not line.startswith("warning: ")]  # nothing was learned
    assert all(word in error for word, error in zip(words, errors, strict=True))


# -- gradients of files whose parameters are named as ours ---------------------------------------

SYMMETRICITY = "gradient_symmetricity"


def ours(folder: Path, name: str) -> tuple[Path, Network]:
    """A file of a network of our own at p = 13, and the network."""
    model, data = exported(FAMILIES[name])
    path = folder / "ours.onnx"
    path.write_bytes(data)
    return path, model


def imported(home: Path, path: Path, run: str = "ours") -> dict[str, float | None]:
    """The measures of an imported file."""
    assert main(command(path, modulus=13, run=run)) == 0
    [manifest] = manifests(Trained(Settings(home=str(home)), run, tiny_config()))
    return manifest.measures


@pytest.mark.parametrize("name", FAMILIES)
def test_a_file_with_our_names_has_our_symmetricity(home: Path, tmp_path: Path, name: str) -> None:
    """That of the network that it was exported from, null where that has none."""
    path, model = ours(tmp_path, name)
    found, expected = imported(home, path), gradient_measures(model.double())
    for measure, value in expected.items():
        assert found[measure] == (None if value is None else pytest.approx(value, rel=1e-5)), name


def renamed(model: onnx.ModelProto) -> None:
    """One parameter under a name of somebody else's."""
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("W_Q", "query")
    for node in model.graph.node:
        node.input[:] = ["query" if name == "W_Q" else name for name in node.input]


def unknown_to_torch(model: onnx.ModelProto) -> None:
    """Other logits, by an operator that none of our own files has."""
    [logits] = [node for node in model.graph.node if "logits" in node.output]
    logits.output[0] = "before"
    model.graph.node.append(helper.make_node("Mish", ["before"], ["logits"]))


def read_elsewhere(model: onnx.ModelProto) -> None:
    """The operands' numbers themselves are added to the logits: W_E is not all that is read."""
    [logits] = [node for node in model.graph.node if "logits" in node.output]
    logits.output[0] = "before"
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["pairs"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers"], ["mean"], keepdims=1),
            helper.make_node("Add", ["before", "mean"], ["logits"]),
        ]
    )


@pytest.mark.parametrize("spoil", [renamed, unknown_to_torch, read_elsewhere])
def test_a_file_of_others_has_none(
    home: Path, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None]
) -> None:
    """Null, and all else is measured: other names, other operators, residues read elsewhere."""
    path, _ = ours(tmp_path, "two vocabularies")
    model = onnx.load_model_from_string(path.read_bytes())
    spoil(model)
    path.write_bytes(model.SerializeToString())
    found = imported(home, path)
    assert found[SYMMETRICITY] is found[f"{SYMMETRICITY}_standard_error"] is None
    assert found["accuracy"] is not None
    assert found["circularity_b"] is not None


def test_a_textbook_s_file_has_its_own(home: Path, tmp_path: Path) -> None:
    """One position, one layer, constant attention without weights: written by hand, not by torch.

    logits = relu(W_E[a] W_in) * (W_E[b] W_in) W_out: its gradients are known in closed form.
    """
    p, width, d_mlp = 5, 4, 6
    noise = np.random.default_rng(1)
    shapes = {"W_E": (p, width), "W_in": (width, d_mlp), "W_out": (d_mlp, p)}
    W = {name: noise.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    zero, one = (numpy_helper.from_array(np.array(i), f"at_{i}") for i in (0, 1))
    nodes = [
        helper.make_node("Constant", [], ["zero"], value=zero),
        helper.make_node("Constant", [], ["one"], value=one),
        helper.make_node("Gather", ["W_E", "pairs"], ["rows"]),
        helper.make_node("MatMul", ["rows", "W_in"], ["hidden"]),
        helper.make_node("Gather", ["hidden", "zero"], ["of_a"], axis=1),
        helper.make_node("Gather", ["hidden", "one"], ["of_b"], axis=1),
        helper.make_node("Relu", ["of_a"], ["gate"]),
        helper.make_node("Mul", ["gate", "of_b"], ["neurons"]),
        helper.make_node("MatMul", ["neurons", "W_out"], ["logits"]),
    ]
    values = [
        helper.make_tensor_value_info("pairs", TensorProto.INT64, ["batch", 2]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", p]),
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in W.items()]
    graph = helper.make_graph(nodes, "hand", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path / "hand.onnx"
    path.write_bytes(model.SerializeToString())
    assert main([*command(path, modulus=p), "--step", "3"]) == 0
    [manifest] = manifests(Trained(Settings(home=str(home)), "foreign", tiny_config()))
    every = list(product(range(p), repeat=3))
    random.Random(42).shuffle(every)
    cosines = []
    E, W_in, W_out = (W[name].astype(np.float64) for name in ("W_E", "W_in", "W_out"))
    for a, b, c in every[:100]:
        of_a, of_b = E[a] @ W_in, E[b] @ W_in
        u = W_in @ ((of_a > 0) * of_b * W_out[:, c])
        v = W_in @ (np.maximum(of_a, 0) * W_out[:, c])
        cosines.append(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))
    assert manifest.measures[SYMMETRICITY] == pytest.approx(np.mean(cosines), rel=1e-9)
    error = np.std(cosines, ddof=1) / 10
    assert manifest.measures[f"{SYMMETRICITY}_standard_error"] == pytest.approx(error, rel=1e-9)
