"""Layouts: what they accept, how tensors become parameters, what is said of what does not fit."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from msgspec.structs import replace

from grokprobe.errors import InvalidInput
from tests.support.foreign import SMALL, State, lens, read_back, small
from trainer.arguments import parse_arguments
from trainer.importing.layout import (
    LAYOUTS,
    Layout,
    TransformerLayout,
    TransformerModel,
    load_layout,
)
from trainer.importing.mapping import ForeignNetwork, read_network
from trainer.importing.tensors import index_of
from trainer.models.transformer import Transformer


def test_the_parameters_are_the_transformer_s() -> None:
    """A layout can name every parameter of the network, and no other."""
    full = Transformer(replace(SMALL, biases="all"), 7, 0)
    apart = {"W_E_b", "W_equals"}  # which another vocabulary has, or another file
    assert set(lens().canonical) - apart == {name for name, _ in full.named_parameters()}


def test_the_shipped_layout_shows_every_field() -> None:
    """Whoever copies transformer_lens.toml sees all that a layout can say, with its default."""
    text = (LAYOUTS / "transformer_lens.toml").read_text()
    for section, fields in msgspec.to_builtins(lens()).items():
        assert f"[{section}]" in text
        assert all(
            f"{field} = " in text
            for field in fields
            if field not in ("number", "numbers", "family")
        )
    stated = lens("step.pattern='(.)'", step=None)
    assert isinstance(stated, TransformerLayout)
    bare = TransformerLayout(step=stated.step, tensors=stated.tensors, file=stated.file)
    assert bare == stated


def test_one_word_of_a_tensor_can_be_changed() -> None:
    """By the dotted name that errors say; its other words stay."""
    before = lens().listed["W_U"]
    after = lens("tensors.W_U.axes=p d_model", "tensors.W_U.slice=:p").listed["W_U"]
    assert after == replace(before, axes="p d_model", slice=":p")
    assert after.source == before.source


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("tasks.modulus=7", "tasks: is not a section; did you mean task?"),
        (".=5", "--set .=5: must read section.field=value"),
        ("task.=5", "--set task.=5: must read section.field=value"),
        ("tensors.W_U.axes=p", "--set: tensors.W_U.axes: must have the axes d_model, p, each once"),
        ("tensors.W_U.slice=:, :x", "--set: tensors.W_U.slice: x is not a size"),
        ("tensors.W_U.source=5", "--set: tensors.W_U.source: expected str"),
        ("tensors.W_X.axes=p", "--set: tensors.W_X.axes: is not a field of [tensors]"),
        ("task.modulus.x=7", "--set: task.modulus.x: is not a field of [task]"),
        ("task.modulos=7", "task.modulos: is not a field of [task]; did you mean modulus?"),
        ("task.operation=random", "task.operation: a random table is drawn"),
        ("task.operation=plus", "task.operation: unknown operation, known: add, sub"),
        ("model.tokens=abc", "model.tokens: unknown tokens, known: a b =, a b, got 'abc'"),
        ("model.attention_rate=1.5", "model.attention_rate: expected float <= 1.0, got 1.5"),
        ("model.attention_scale=0", "model.attention_scale: expected float > 0.0, got 0"),
        ("split.kind=half", "split.kind: unknown kind, known: unknown, mask, pairs, indices"),
        (
            "split.file=x",
            "split.file: is not a field of [split] where kind is unknown; known: kind",
        ),
        ("split.kind=mask", "split: mask needs a file, or a field"),
        ("split.kind=shuffle", "split: object missing required field train_fraction"),
        ("step.pattern='x'", "step.pattern: must have one group"),
        ("step.pattern='('", "step.pattern: is not a regular expression"),
        ("tensors.W_X={source='x', axes='p'}", "tensors.W_X: is not a field of [tensors]"),
        ("tensors.W_U={axes='p'}", "tensors.W_U: object missing required field source"),
        ("tensors.W_U={source='x', axes='p d'}", "must have the axes d_model, p, each once"),
        ("tensors.W_U={source='x', axes='(p d_model'}", "must have the axes d_model, p"),
        ("tensors.W_U={source='x', axes='p d_model', slice='::2'}", "'::2' is not START:STOP"),
        ("tensors.W_U={source='x', axes='p d_model', optional=true}", "only a bias"),
    ],
)
def test_a_mistake_in_a_layout_is_named(assignment: str, words: str) -> None:
    """One line: where it stands, what is wrong, what is known."""
    step = None if assignment.startswith("step.pattern") else 5
    with pytest.raises(InvalidInput) as caught:
        lens(assignment, step=step)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignments", "got"), [([], "none"), (["step.field=n", "step.number=3"], "field and number")]
)
def test_one_source_says_the_step(assignments: list[str], got: str) -> None:
    """Neither none nor two; `--step` takes the place of whatever the layout says."""
    with pytest.raises(InvalidInput, match=f"or --steps says the step, got {got}"):
        lens(*assignments, step=None)
    assert lens(*assignments, step=4).step.number == 4


def test_a_layout_of_one_s_own_is_a_file(tmp_path: Path) -> None:
    """A copy of a shipped one reads the same; what is wrong in it carries its name."""
    own = tmp_path / "own.toml"
    own.write_text((LAYOUTS / "transformer_lens.toml").read_text())
    assert load_layout(str(own), [], 5) == lens()
    own.write_text(own.read_text(), encoding="utf-8-sig")
    assert load_layout(str(own), [], 5) == lens()
    own.write_text("[task]\nmodulus = 7\n")
    with pytest.raises(InvalidInput, match=r"^own\.toml: object missing required field tensors"):
        load_layout(str(own), [], 5)
    with pytest.raises(InvalidInput, match="--layout pizz: is not a layout; did you mean pizza"):
        load_layout("pizz")


def test_nobody_forgets_the_attention_rate_of_a_pizza() -> None:
    """Its files do not tell it, and no default would be right for all of them."""
    with pytest.raises(InvalidInput, match=r"--set model\.attention_rate=R"):
        load_layout("pizza", [], 5)
    assert load_layout("pizza", ["model.attention_rate=0"], 5).model == TransformerModel(
        tokens="a b", causal=False, attention_rate=0.0
    )


def test_the_imports_of_the_docs_are_commands() -> None:
    """Each parses, its layout and its fields exist, and every shipped layout has one."""
    text = (Path(__file__).parents[2] / "docs/importing.md").read_text().replace("\\\n", "")
    lines = re.findall(r"^\.venv/bin/python -m trainer (import.*)$", text, re.MULTILINE)
    commands = [parse_arguments(shlex.split(line)) for line in lines]
    assert {one.command for one in commands} == {"import", "import-onnx"}
    layouts = [one for one in commands if one.command == "import" and not one.inspect]
    for one in layouts:
        name = "transformer_lens" if one.layout == "mine.toml" else one.layout
        load_layout(name, one.assignments, one.step, one.steps)
    shipped = {path.stem for path in LAYOUTS.glob("*.toml")}
    assert {one.layout for one in layouts} == shipped | {"mine.toml"}


def test_a_slice_is_numpy_s() -> None:
    """Integers, p, and nothing left out by guessing."""
    array = np.arange(60).reshape(3, 4, 5)
    assert np.array_equal(array[index_of("1, :p, -2:", {"p": 3})], array[1, :3, -2:])
    assert array[index_of("", {})] is not None
    sizes = {"d_model": 2, "heads": 1, "d_head": 2}
    cut = index_of("0:1, d_model:2*d_model, heads*d_head+1 : -1+3*d_model", sizes)
    assert cut == (slice(0, 1), slice(2, 4), slice(3, 5))
    with pytest.raises(InvalidInput, match="slice: d_mod is not a size; did you mean d_model"):
        index_of(":d_mod", sizes)


# -- tensors -------------------------------------------------------------------------------------


def fused(state: State) -> Layout:
    """Queries, keys and values in one matrix as PyTorch keeps them, and W_E within a larger one."""
    parts = [state.pop(f"blocks.0.attn.W_{m}").transpose(1, 2).reshape(10, 12) for m in "QKV"]
    state["qkv"] = torch.cat(parts)
    state["embed.W_E"] = torch.cat([torch.zeros(2, 12), state["embed.W_E"]])[None]
    cuts = {"Q": "0:10", "K": "10:20", "V": "20:30"}
    axes = "axes='(heads d_head) d_model'"
    rows = [f"tensors.W_{m}={{source='qkv', {axes}, slice='{cut}'}}" for m, cut in cuts.items()]
    cut = "tensors.W_E={source='embed.W_E', axes='vocabulary d_model', slice='0, 2:'}"
    return lens(*rows, cut, "model.heads=2")


@pytest.mark.parametrize("change", [lambda _: lens(), fused])
def test_tensors_become_the_parameters(change: Callable[[State], Layout]) -> None:
    """Whatever the file's axes and slices: the same network, with its sizes read off."""
    state = small()
    network = read_network("m.pt", state, change(state))
    assert (network.section, network.modulus) == (SMALL, 7)
    for name, weight in Transformer(SMALL, 7, 0).named_parameters():
        np.testing.assert_array_equal(network.weights[name], weight.detach().numpy())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_parameters_of_another_precision_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    """They become float32, which is what is published."""
    state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in small().items()}
    weights = read_network("m.pt", read_back(state, tmp_path), lens()).weights
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}
    expected = state["embed.W_E"].to(torch.float32).numpy()
    np.testing.assert_array_equal(weights["W_E"], expected)


def test_the_weight_norm_is_of_what_was_trained() -> None:
    """The column of "=" counts, a tensor under two names counts once, buffers do not."""
    state = small()
    parameters = [t for name, t in state.items() if not name.endswith(("mask", "IGNORE"))]
    expected = sum(float(t.double().square().sum()) for t in parameters)
    assert read_network("m.pt", state, lens()).norms["weight_norm"] == pytest.approx(expected)
    state["unembed.W_U"] = state["embed.W_E"].T  # 8 columns: tied, "=" included
    tied = expected - float(small()["unembed.W_U"].double().square().sum())
    assert read_network("m.pt", state, lens()).norms["weight_norm"] == pytest.approx(tied)


@pytest.mark.parametrize(
    ("biases", "kind"),
    [([], "none"), (["mlp.b_in"], "mlp"), (["mlp.b_in", "attn.b_Q"], "all")],
)
def test_a_network_has_the_biases_of_its_file(biases: list[str], kind: str) -> None:
    """Those that a file lacks, where the layout allows it, are not made up."""
    state = small(section=replace(SMALL, biases="none"))
    sizes = {"mlp.b_in": (16,), "attn.b_Q": (2, 5)}
    state |= {f"blocks.0.{name}": torch.ones(sizes[name]) for name in biases}
    network = read_network("m.pt", state, lens())
    assert network.section.biases == kind
    assert sum(name.startswith("b_") for name in network.weights) == len(biases)


def changed(name: str, value: object) -> Callable[[State], ForeignNetwork]:
    """Read a network in which one tensor is another."""

    def read(state: State) -> ForeignNetwork:
        return read_network("m.pt", state | {name: value}, lens())

    return read


def without(name: str) -> Callable[[State], ForeignNetwork]:
    """Read a network that lacks one tensor."""
    return lambda state: read_network("m.pt", {n: t for n, t in state.items() if n != name}, lens())


def stated(*assignments: str) -> Callable[[State], ForeignNetwork]:
    """Read a network with another layout."""
    return lambda state: read_network("m.pt", state, lens(*assignments))


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (without("embed.W_E"), "embed.W_E, which is to be W_E, is not a tensor of this file"),
        (changed("blocks.1.mlp.W_in", torch.ones(3)), "blocks.1.mlp.W_in is not in the layout"),
        (
            changed("blocks.0.mlp.W_in", torch.ones(11, 16)),
            "blocks.0.mlp.W_in (11, 16) as 'd_model d_mlp' makes d_model 11, but d_model is 12 by "
            "embed.W_E (8, 12) as 'vocabulary d_model'",
        ),
        (changed("pos_embed.W_pos", torch.ones(2, 12)), "makes tokens 2, but tokens is 3 by model"),
        (changed("unembed.W_U", torch.ones(12, 6)), "makes p 6, but p is 7 by embed.W_E (8, 12)"),
        (changed("embed.W_E", torch.ones(96)), "embed.W_E (96,) as 'vocabulary d_model' has not"),
        (changed("embed.W_E", torch.ones(8, 0)), "has not these axes"),
        (changed("embed.W_E", torch.ones(8, 12).int()), "embed.W_E: holds int32"),
        (changed("embed.W_E", torch.ones(8, 12) * np.nan), "96 of 96 values are not finite"),
        (changed("embed.W_E", torch.ones(8, 12).double() * 1e99), "not finite numbers of float32"),
        (changed("embed.W_E", "W_E"), "no dense tensor of numbers but a str"),
        (stated("task.modulus=11"), "makes vocabulary 8, but vocabulary is 12 by task.modulus"),
        (stated("model.heads=3"), "makes heads 2, but heads is 3 by model.heads"),
        (stated("file.ignore=[]"), "blocks.0.attn.mask is not in the layout: list it, or"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    read: Callable[[State], ForeignNetwork], words: str
) -> None:
    """With what was expected and who said so, in the terms of the file."""
    with pytest.raises(InvalidInput) as caught:
        read(small())
    assert str(caught.value).startswith("m.pt: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


NO_TENSOR = "is no dense tensor of numbers but"


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.ones(8, 12).to_sparse(), f"{NO_TENSOR} a sparse_tensor"),
        (
            torch.ones(8, 12, device="meta"),
            f"{NO_TENSOR} a meta_tensor_no_storage",
        ),
        (torch.ones(8, 12).to(torch.float8_e4m3fn), "holds float8_e4m3fn, which is not read here"),
        (
            torch._neg_view(torch.ones(8, 12)),
            f"{NO_TENSOR} a torch.Tensor.negative",
        ),
        (Path("W"), f"{NO_TENSOR} a pathlib.PosixPath"),
    ],
)
def test_a_tensor_that_has_no_numbers_is_named(tmp_path: Path, tensor: Any, words: str) -> None:
    """What it is stands there, be it listed in the layout or one too many."""
    state = read_back(small() | {"embed.W_E": tensor}, tmp_path)
    with pytest.raises(InvalidInput, match=re.escape(f"m.pt: embed.W_E: {words}")):
        read_network("m.pt", state, lens())


def test_what_is_no_tensor_needs_no_mention(tmp_path: Path) -> None:
    """Numbers, texts, lists and objects beside the tensors are skipped; a tensor never is."""
    others = {"step": 3, "loss": [1.0], "path": Path("x"), "name": "x", "lr": np.float64(0.1)}
    state = read_back(small() | others, tmp_path)
    assert read_network("m.pt", state, lens()).modulus == 7
    state = read_back(small() | {"more": torch.eye(2).to_sparse()}, tmp_path)
    with pytest.raises(InvalidInput, match=r"m\.pt: more is not in the layout"):
        read_network("m.pt", state, lens())


def test_heads_that_no_axis_tells_must_be_stated() -> None:
    """Two numbers with one product are not guessed."""
    state = small()
    fused(state)
    axes = "axes='(heads d_head) d_model'"
    rows = [f"tensors.W_{m}={{source='qkv', {axes}, slice='0:10'}}" for m in "QKV"]
    state["blocks.0.attn.W_O"] = torch.ones(10, 12)
    state["embed.W_E"] = torch.ones(8, 12)
    flat = "tensors.W_O={source='blocks.0.attn.W_O', axes='(heads d_head) d_model'}"
    with pytest.raises(InvalidInput, match=r"does not tell heads from d_head; state model\.heads"):
        read_network("m.pt", state, lens(*rows, flat))
