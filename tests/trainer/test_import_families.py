"""Every family comes back from files of any naming and axis order, by a layout."""

import asyncio
import re
from pathlib import Path
from typing import Any

import einops
import msgspec
import numpy as np
import pytest
import torch
from msgspec.structs import replace

from grokprobe.errors import InvalidInput
from tests.support.foreign import State, lens, save, small
from tests.support.trained import Trained, archive, manifests, settings_at, tiny_config
from tests.trainer.test_families import (
    EMBEDDED,
    FAMILIES,
    LAYERED,
    ONE_HOT,
    PAIRS,
    every_family,
    network,
)
from trainer.config.schema import MLPSection, ModelSection, TransformerSection
from trainer.importing.layout import (
    Layout,
    MLPLayout,
    TransformerLayout,
    TransformerModel,
    load_layout,
)
from trainer.importing.mapping import read_network
from trainer.importing.tensors import OF_EMBEDDED_MLP, OF_LAYER, OF_ONE_HOT_MLP, OF_TRANSFORMER
from trainer.importing.weight_files import import_files, model_of
from trainer.models.network import Network
from trainer.reporting.progress import JsonReporter

LENGTHS = {"tokens": 3, "heads": 3, "d_head": 5}


def axes_of(section: ModelSection, name: str) -> str:
    """The canonical axes of a parameter."""
    one_hot = isinstance(section, MLPSection) and section.inputs == "one-hot"
    of_mlp = OF_ONE_HOT_MLP if one_hot else OF_EMBEDDED_MLP
    table = of_mlp if isinstance(section, MLPSection) else OF_TRANSFORMER | OF_LAYER
    return table[name.rpartition(".")[2]]


def foreign(section: ModelSection, model: Network) -> tuple[State, dict[str, dict[str, str]]]:
    """A state dictionary, every axis in the other order, and the tensors of its layout."""
    state, tensors = {}, {}
    for name, weight in model.named_parameters():
        canonical = axes_of(section, name)
        backwards = " ".join(reversed(re.findall(r"\w+", canonical)))
        lengths = {axis: n for axis, n in LENGTHS.items() if axis in ("heads", "d_head")}
        known = {axis: n for axis, n in lengths.items() if axis in canonical.split("(")[-1]}
        source = "net." + re.sub(r"blocks\.(\d+)\.", r"layer_\1/", name)
        state[source] = einops.rearrange(weight.detach(), f"{canonical} -> {backwards}", **known)
        general = re.sub(r"layer_\d+", "layer_{layer}", source)
        tensors[name.rpartition(".")[2]] = {"source": general, "axes": backwards}
    return state, tensors


def layout_of(section: ModelSection, tensors: Any) -> Layout:
    """The layout that says what the tensors do not tell."""
    kind: type[Layout] = MLPLayout if isinstance(section, MLPSection) else TransformerLayout
    told = {"layers", "heads", *("d_model", "d_head", "d_mlp", "biases", "initialisation")}
    told |= {"inputs", "join", "vocabularies"}
    facts = {k: v for k, v in msgspec.to_builtins(section).items() if k not in told}
    return msgspec.convert({"model": facts, "tensors": tensors, "step": {"number": 1}}, kind)


@every_family
def test_a_network_comes_back_whatever_its_file_is_like(section: ModelSection) -> None:
    """The same section, and the same logits."""
    model = network(section, dtype=torch.float32)
    state, tensors = foreign(section, model)
    found = read_network("m.pt", state, layout_of(section, tensors))
    expected = msgspec.to_builtins(section) | {"initialisation": None}
    if isinstance(section, MLPSection) and section.inputs == "one-hot":  # which is the same network
        del expected["d_model"]
        joins = section.join == "concatenate" or section.vocabularies == "separate"
        expected |= {"vocabularies": "shared", "join": "concatenate" if joins else "add"}
    assert found.architecture | {"initialisation": None} == expected
    torch.testing.assert_close(model_of(found)(PAIRS).logits, model(PAIRS).logits)


def test_every_parameter_can_be_listed() -> None:
    """The layouts of a family know its parameters, and no others."""
    for name, section in FAMILIES.items():
        model = network(section)
        _, tensors = foreign(section, model)
        layout = layout_of(section, tensors)
        assert set(layout.listed) == set(tensors), name
        missing = set(layout.canonical) - set(tensors)
        optional = ("W_E_b", "W_in_b", "W_equals")
        assert all(one.startswith("b_") or one in optional for one in missing), name


def one_table(model: Network, positions: bool) -> tuple[State, dict[str, str]]:
    """As `a`, `p + b` and, where it is a token, `2 p` are looked up in one matrix; its lines."""
    W = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    of_a_and_equals = W.pop("W_E")
    equals = len(of_a_and_equals) > 13
    whole = torch.cat([of_a_and_equals[:13], W.pop("W_E_b"), of_a_and_equals[13:]])
    if not positions:
        model.get_parameter("W_pos").data.zero_()
        del W["W_pos"]
    end = "-1" if equals else ""
    lines = {
        "W_E": "{ source = 'W', axes = 'p d_model', slice = ':p' }",
        "W_E_b": f"{{ source = 'W', axes = 'p d_model', slice = 'p:{end}' }}",
    }
    if equals:
        lines["W_equals"] = "{ source = 'W', axes = 'd_model', slice = '-1' }"
    axes = OF_TRANSFORMER | OF_LAYER
    lines |= {name: f"{{ source = '{name}', axes = '{axes[name]}' }}" for name in W}
    return W | {"W": whole.contiguous()}, lines


@pytest.mark.parametrize("name", ["two vocabularies", "two vocabularies, a b"])
@pytest.mark.parametrize("positions", [True, False])
def test_two_vocabularies_may_lie_in_one_matrix(name: str, positions: bool, tmp_path: Path) -> None:
    """Its parts are slices, "=" a line of its own; without positions they are 0."""
    section = FAMILIES[name]
    assert isinstance(section, TransformerSection)
    model = network(section, dtype=torch.float32)
    state, lines = one_table(model, positions)
    rest = "[model]\nheads = 3\n" + "".join(
        f"{field} = {getattr(section, field)!r}\n" for field in ("tokens", "attention_rate")
    )
    text = "\n".join([rest, "[tensors]", *(f"{name} = {line}" for name, line in lines.items())])
    (tmp_path / "mine.toml").write_text(text)
    found = read_network("m.pt", state, load_layout(str(tmp_path / "mine.toml"), step=1))
    assert found.section == section
    torch.testing.assert_close(model_of(found)(PAIRS).logits, model(PAIRS).logits)
    norm = sum(float(tensor.double().square().sum()) for tensor in state.values())
    assert found.norms["weight_norm"] == pytest.approx(norm)


def test_the_embedding_of_equals_may_lie_apart() -> None:
    """Then W_E has a row for each residue alone; W_equals is the last row of what is trained."""
    state = small()
    whole = state["embed.W_E"]
    state |= {"embed.W_E": whole[:-1].clone(), "equals": whole[-1].clone()}
    apart = lens(
        "tensors.W_E={source='embed.W_E', axes='p d_model'}",
        "tensors.W_equals={source='equals', axes='d_model'}",
    )
    found, expected = read_network("m.pt", state, apart), read_network("m.pt", small(), lens())
    assert found.section == expected.section
    assert np.array_equal(found.weights["W_E"], expected.weights["W_E"])


# -- the layouts that come with this -------------------------------------------------------------


def gromov(model: Network) -> State:
    """The state dictionary of two torch.nn.Linear."""
    W = dict(model.named_parameters())
    first = torch.cat([W["W_in"], W["W_in_b"]]).T.contiguous().detach()
    return {"fc1.weight": first, "fc2.weight": W["W_out"].T.contiguous().detach()}


def test_two_linear_layers_are_an_mlp(tmp_path: Path) -> None:
    """Published with all that an MLP has, under what its tensors tell of it."""
    model = network(ONE_HOT, dtype=torch.float32)
    path = save(gromov(model), tmp_path / "gromov.pt")
    settings = settings_at(tmp_path / "home")
    assert import_files(settings, [path], load_layout("mlp", step=7), "theirs", JsonReporter()) == 0
    run = Trained(settings, "theirs", tiny_config())
    [manifest] = manifests(run)
    embeddings = ["embedding", "embedding_b", "effective_embedding", "effective_embedding_b"]
    assert manifest.model.outputs == ["logits", "neurons", *embeddings, "neuron_logit_map"]
    assert manifest.measures["gradient_symmetricity"] is None
    assert manifest.measures["circularity"] is not None
    assert manifest.measures["circularity_b"] is not None
    assert asyncio.run(archive(settings).run("theirs")).architecture == {
        "family": "mlp",
        "inputs": "one-hot",
        "join": "concatenate",
        "vocabularies": "shared",
        "activation": "quadratic",
        "d_mlp": 24,
        "biases": "none",
    }


def lens_state(model: Network, section: TransformerSection) -> State:
    """The state dictionary of TransformerLens, with a column for "="."""
    state = {}
    for name, weight in model.named_parameters():
        within = re.sub(r"(ln[12]|ln_final)_", r"\1.", name)
        part = "mlp" if re.search("W_in|W_out|b_in|b_out", name) else "attn"
        if "ln" not in within:
            within = re.sub(r"(blocks\.\d\.)", rf"\1{part}.", within)
        state[within] = weight.detach()
        if "attn" in within and "b_O" not in within:
            heads = {"W_O": "(h e) d -> h e d", "b": "(h e) -> h e"}
            kind = "W_O" if "W_O" in within else "b" if "b_" in within else "W"
            pattern = heads.get(kind, "d (h e) -> h d e")
            state[within] = einops.rearrange(weight.detach(), pattern, h=section.heads)
    around = {"W_E": "embed.W_E", "W_pos": "pos_embed.W_pos", "b_U": "unembed.b_U"}
    for ours, theirs in around.items():
        if ours in state:
            state[theirs] = state.pop(ours)
    state["unembed.W_U"] = torch.cat([state.pop("W_U"), torch.ones(section.d_model, 1)], dim=1)
    return state | {"blocks.1.attn.mask": torch.ones(3, 3, dtype=torch.bool)}


def test_layers_of_transformer_lens_are_counted() -> None:
    """The file tells how many there are; LayerNorm must be stated, and its tensors are read."""
    for section in (LAYERED, replace(LAYERED, layers=3, layer_norm="pre", biases="all")):
        model = network(section, dtype=torch.float32)
        layout = lens(f"model.layer_norm={section.layer_norm}")
        found = read_network("m.pt", lens_state(model, section), layout)
        assert found.section == section
        torch.testing.assert_close(model_of(found)(PAIRS).logits, model(PAIRS).logits)


def test_layer_norm_is_never_left_out_in_silence() -> None:
    """A file that has it is refused where the layout says none, and the other way round."""
    section = replace(LAYERED, layer_norm="pre")
    state = lens_state(network(section), section)
    with pytest.raises(InvalidInput, match=r"is of a LayerNorm, but model\.layer_norm is none"):
        read_network("m.pt", state, lens())
    plain = lens_state(network(LAYERED), LAYERED)
    with pytest.raises(InvalidInput, match=r"blocks\.0\.ln1\.w, which is to be blocks\.0\.ln1_w"):
        read_network("m.pt", plain, lens("model.layer_norm=post"))
    assert TransformerModel().layer_norm == "none"


@pytest.mark.parametrize(
    ("layout", "assignment", "words"),
    [
        (
            "mlp",
            "model.tokens='a b'",
            "model.tokens: is not a field of [model] where family is mlp",
        ),
        ("mlp", "model.activation=tanh", "unknown activation, known: relu, gelu, quadratic"),
        ("mlp", "model.family=cnn", "model.family: unknown family, known: transformer, mlp"),
        ("mlp", "tensors.W_U={source='x', axes='p'}", "tensors.W_U: is not a field of [tensors]"),
        ("mlp", "tensors.W_E_b={source='x', axes='p d'}", "tensors.W_E_b: is b's embedding"),
        ("mlp", "tensors.W_E={source='x', axes='p d_model'}", "must have the axes d_model, d_mlp"),
        ("pizza", "model.layer_norm=post", "tensors.ln1_w: must be listed where model.layer_norm"),
        ("pizza", "model.layers=13", "model.layers: expected int <= 12"),
        ("pizza", "tensors.W_equals={source='x', axes='d_model'}", "tensors.W_equals: is the"),
        (
            "transformer_lens",
            "tensors.W_E_b={source='x', axes='d'}",
            "tensors.W_E_b.axes: must have the axes p, d_model, each once, got 'd'",
        ),
    ],
)
def test_a_mistake_in_a_layout_of_a_family_is_named(
    layout: str, assignment: str, words: str
) -> None:
    """One line: where it stands, what is wrong, what is known."""
    with pytest.raises(InvalidInput) as caught:
        load_layout(layout, ["model.attention_rate=0"] * (layout == "pizza") + [assignment], 5)
    assert words in str(caught.value)


def test_stacked_layers_are_slices() -> None:
    """Layers that lie in one tensor: the slice takes the number, and the layout says how many."""
    model = network(LAYERED, dtype=torch.float32)
    state, tensors = foreign(LAYERED, model)
    for name, tensor in tensors.items():
        if "{layer}" in tensor["source"]:
            parts = [state.pop(tensor["source"].replace("{layer}", str(i))) for i in range(2)]
            state[name] = torch.stack(parts)
            tensors[name] = {"source": name, "axes": tensor["axes"], "slice": "{layer}"}
    layout = layout_of(LAYERED, tensors)
    assert isinstance(layout, TransformerLayout)
    stated = replace(layout, model=replace(layout.model, layers=2))
    found = read_network("m.pt", state, stated)
    torch.testing.assert_close(model_of(found)(PAIRS).logits, model(PAIRS).logits)


def test_embedded_networks_are_read_in_their_own_precision() -> None:
    """Half precision becomes float32, as of any other family."""
    model = network(EMBEDDED, dtype=torch.float16)
    state, tensors = foreign(EMBEDDED, model)
    found = read_network("m.pt", state, layout_of(EMBEDDED, tensors))
    torch.testing.assert_close(model_of(found)(PAIRS).logits, model.float()(PAIRS).logits)
