"""Every family against its textbook twin, as a file, measured, and sampled in parallel."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from msgspec.structs import replace
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from grokprobe.safety.check import check_model
from tests.support import reference
from tests.support.rounding import assert_alike, lengths, rounding
from tests.trainer.test_model import textbook as one_layer
from trainer.config.schema import MLPSection, ModelSection, TaskSection, TransformerSection
from trainer.learning.data import draw
from trainer.measuring.gradients import gradient_measures, gradient_symmetricity
from trainer.measuring.measures import measure, own_keys, read_outputs, spectrum_row
from trainer.models import make_network
from trainer.models.export import OUTPUTS, Graph, export_graph, offered, open_session
from trainer.models.layered import LayeredTransformer
from trainer.models.network import Network
from trainer.models.transformer import Transformer

GRID = draw(TaskSection(modulus=13))
PAIRS = torch.from_numpy(GRID.pairs)
LAYERED = TransformerSection(layers=2, d_model=20, heads=3, d_head=5, d_mlp=24)
POWER = replace(LAYERED, layer_norm="post", biases="none", initialisation="pytorch")
ONE_HOT = MLPSection(d_mlp=24)
EMBEDDED = MLPSection(inputs="embedding", d_model=10, d_mlp=24, activation="relu", biases="all")
TRANSFORMERS: dict[str, ModelSection] = {
    "two layers": LAYERED,
    "power": POWER,
    "pre": replace(LAYERED, layers=3, layer_norm="pre", biases="all", activation="gelu"),
    "not causal": replace(LAYERED, causal=False, tokens="a b", attention_rate=0.4),
    "constant attention": replace(LAYERED, attention_rate=0.0, attention_scale=0.7),
    "one layer, pre": replace(LAYERED, layers=1, layer_norm="pre", tokens="a b"),
    "one layer, post": replace(LAYERED, layers=1, layer_norm="post", attention_rate=0.0),
    "two vocabularies": replace(LAYERED, layers=1, vocabularies="separate"),
    "two vocabularies, a b": replace(
        LAYERED, layers=1, vocabularies="separate", tokens="a b", attention_rate=0.4, biases="all"
    ),
    "two vocabularies, two layers": replace(POWER, vocabularies="separate", tokens="a b"),
    "two vocabularies, pre": replace(LAYERED, vocabularies="separate", layer_norm="pre"),
}
MLPS: dict[str, ModelSection] = {
    f"{kind.inputs}, {join}, {vocabularies}": replace(kind, join=join, vocabularies=vocabularies)
    for kind, join, vocabularies in product(
        (ONE_HOT, EMBEDDED), ("concatenate", "add"), ("shared", "separate")
    )
}
FAMILIES = TRANSFORMERS | MLPS
every_family = pytest.mark.parametrize("section", FAMILIES.values(), ids=FAMILIES.keys())
few = {name: FAMILIES[name] for name in ("two layers", "power", "pre", "not causal")}
few |= {name: FAMILIES[name] for name in ("two vocabularies", "two vocabularies, two layers")}
few |= {"gromov": ONE_HOT, "embedded": EMBEDDED, "added": replace(ONE_HOT, join="add")}
few |= {"two tables": replace(EMBEDDED, vocabularies="separate")}
a_few = pytest.mark.parametrize("section", few.values(), ids=few.keys())


def network(section: ModelSection, seed: int = 0, dtype: torch.dtype = torch.float64) -> Network:
    """A network no parameter of which is 0 or 1 everywhere."""
    model = make_network(section, 13, seed).to(dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator, dtype=dtype) * 0.2)
    return model


def textbook(section: ModelSection, W: dict[str, Tensor]) -> Mapping[str, Tensor | None]:
    """What the slow twin of a section answers for all pairs."""
    activations = {"relu": torch.relu, "gelu": functional.gelu, "quadratic": torch.square}
    activation = activations[section.activation]
    if isinstance(section, MLPSection):
        return reference.mlp(W, PAIRS, section, activation)
    if section.layers == 1 and section.layer_norm == "none":
        return one_layer(section, W, PAIRS)
    return reference.layered(W, PAIRS, section, activation)


@every_family
def test_every_output_is_the_textbook_s(section: ModelSection) -> None:
    """What a network has is right, and what the textbook has not it has not either."""
    model = network(section)
    slow = textbook(section, dict(model.named_parameters()))
    for name, fast in model(PAIRS)._asdict().items():
        assert (fast is None) == (slow.get(name) is None), name
        if fast is not None:
            torch.testing.assert_close(fast, slow[name], rtol=1e-10, atol=1e-10)


@every_family
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_gradients_are_the_textbook_s(
    section: ModelSection, dtype: torch.dtype, bound: float
) -> None:
    """Of every parameter, relative to its size; also in the precision of training."""
    model, answers = network(section, dtype=dtype), torch.from_numpy(GRID.answers)
    W = {name: w.detach().clone().requires_grad_() for name, w in model.named_parameters()}
    logits = textbook(section, W)["logits"]
    assert logits is not None
    reference.cross_entropy(logits, answers).backward()  # type: ignore[no-untyped-call]
    loss = reference.cross_entropy(model(PAIRS).logits, answers)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, weight in model.named_parameters():
        fast, slow = weight.grad, W[name].grad
        assert fast is not None
        assert slow is not None
        assert (fast - slow).norm() <= bound * max(slow.norm().item(), 0.1), name


@every_family
def test_given_embeddings_take_the_place_of_the_residues(section: ModelSection) -> None:
    """One row a pair for each operand, as the measures of gradients give them, is `forward`."""
    model = network(section)
    first, second = model.embeddings()
    rows = torch.arange(len(PAIRS))[:, None].expand(-1, 2)
    given = model.activations(first[PAIRS[:, 0]], second[PAIRS[:, 1]], rows)
    torch.testing.assert_close(given.logits, model(PAIRS).logits, rtol=1e-10, atol=1e-10)


@every_family
def test_symmetricity_is_null_exactly_where_it_says_nothing(section: ModelSection) -> None:
    """Networks that add the embeddings say so; of all others the two gradients differ.

    Of tables without a common basis they cannot be compared.
    """
    model = network(section)
    adds, one_basis = model.adds_embeddings, model.one_basis
    model.adds_embeddings, model.one_basis = False, True
    found = gradient_symmetricity(model)
    assert found is not None
    assert (found[0] > 1 - 1e-9) == adds
    model.adds_embeddings, model.one_basis = adds, one_basis
    told = gradient_measures(model)["gradient_symmetricity"] is not None
    assert told == (one_basis and not adds)


def turned(model: Network, section: ModelSection) -> Network:
    """The same network with b's table, and all that meets it, in another basis at random."""
    d_model = section.d_model
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(d_model, d_model, generator=generator, dtype=torch.float64)
    Q = torch.linalg.qr(noise).Q
    other = make_network(section, 13, 0).double()
    weights = dict(model.state_dict())
    for table, met in (("W_E_b", "W_in_b"), ("W_E", "W_in")):
        if table in weights:
            weights[table], weights[met] = weights[table] @ Q, Q.T @ weights[met]
            break
    else:
        raise AssertionError(section)
    if "W_E_b" not in weights:  # one table: both parts of W_in meet it
        weights["W_in_b"] = Q.T @ weights["W_in_b"]
    other.load_state_dict(weights)
    return other


@pytest.mark.parametrize("vocabularies", ["shared", "separate"])
def test_no_measure_of_gradients_depends_on_a_basis(vocabularies: Any) -> None:
    """One function in two bases: the outputs are equal, and so is what is said of its gradients.

    Two tables that are joined end to end can be turned apart: then their cosine is any number, so
    there is none.
    """
    section = replace(EMBEDDED, vocabularies=vocabularies)
    model = network(section)
    other = turned(model, section)
    torch.testing.assert_close(other(PAIRS).logits, model(PAIRS).logits)
    for name in ("effective_embedding", "effective_embedding_b"):
        ours, theirs = getattr(model(PAIRS), name), getattr(other(PAIRS), name)
        torch.testing.assert_close(ours, theirs)
    told = gradient_measures(model)["gradient_symmetricity"]
    assert gradient_measures(other)["gradient_symmetricity"] == pytest.approx(told)
    assert (told is None) == (vocabularies == "separate")
    model.one_basis = other.one_basis = True
    undecided = [gradient_symmetricity(each) for each in (model, other)]
    assert (undecided[0] == pytest.approx(undecided[1])) == (vocabularies == "shared")


@a_few
def test_networks_in_parallel_are_those_one_by_one(section: ModelSection) -> None:
    """Stacked parameters, mapped over: what samples and sweeps train with."""
    models = [network(section, seed) for seed in range(3)]
    names = [name for name, _ in models[0].named_parameters()]
    stacked = {n: torch.stack([m.get_parameter(n).detach() for m in models]) for n in names}

    def logits(weights: dict[str, Tensor]) -> Tensor:
        answer: Tensor = functional_call(models[0], weights, (PAIRS,)).logits
        return answer

    together = torch.vmap(logits)(stacked)
    for one, model in zip(together, models, strict=True):
        torch.testing.assert_close(one, model(PAIRS).logits, rtol=1e-10, atol=1e-10)


@a_few
def test_initial_weights_depend_on_the_seed_alone(section: ModelSection) -> None:
    """Neither torch's global generator nor what was drawn before has a say."""
    torch.manual_seed(1)
    first = make_network(section, 13, 5).state_dict()
    torch.manual_seed(2)
    again, other = (make_network(section, 13, seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def spread_of(section: ModelSection, modulus: int) -> dict[str, float]:
    """The standard deviation of each initial parameter."""
    model = make_network(section, modulus, 0)
    return {name: weight.std().item() for name, weight in model.named_parameters()}


def test_initial_weights_have_the_variances_of_their_papers() -> None:
    """docs/maths.md, "Canonical runs"; an embedded MLP has rows of length 1, as one-hots have."""
    s = 0.5 / (2 * 500) ** (1 / 3)
    embedded = MLPSection(inputs="embedding", vocabularies="separate")
    unit = 128**-0.5
    expected: list[tuple[ModelSection, dict[str, float]]] = [
        (MLPSection(), {"W_in": s, "W_in_b": s, "W_out": s}),
        (embedded, {"W_E": unit, "W_E_b": unit, "W_in": s, "W_in_b": s, "W_out": s}),
        (
            TransformerSection(initialisation="pizza"),
            {"W_E": unit, "W_in": 512**-0.5, "W_out": unit, "W_U": 97**-0.5, "b_in": 0.0},
        ),
    ]
    for section, deviations in expected:
        found = spread_of(section, 97)
        assert {n: found[n] for n in deviations} == pytest.approx(deviations, rel=0.06)


def test_torch_s_defaults_are_torch_s() -> None:
    """The bounds of torch.nn.Linear, of its weight and its bias; N(0, 1) as torch.nn.Embedding."""
    layered = replace(POWER, biases="all", d_model=128, d_mlp=512)
    found = spread_of(layered, 97)
    assert [found["W_E"], found["W_pos"]] == pytest.approx([1, 1], rel=0.06)
    linear = torch.nn.Linear(512, 128)
    for ours, theirs in (("W_out", linear.weight), ("b_out", linear.bias)):
        assert found[f"blocks.1.{ours}"] == pytest.approx(theirs.std().item(), rel=0.2)
    joined = replace(EMBEDDED, initialisation="pytorch", d_model=128, d_mlp=512)
    model = make_network(joined, 97, 0)
    bound = torch.nn.Linear(256, 512).weight.abs().max().item()
    assert model.get_parameter("W_in_b").abs().max().item() == pytest.approx(bound, rel=0.01)
    assert model.get_parameter("b_in").abs().max().item() == pytest.approx(bound, rel=0.05)


def test_one_layer_without_layer_norm_takes_the_folded_form() -> None:
    """The same network in both forms, so a configuration has one answer."""
    section = replace(LAYERED, layers=1, biases="all")
    fast = make_network(section, 13, 0)
    assert isinstance(fast, Transformer)
    layered = LayeredTransformer(section, 13, 0)
    weights = {f"blocks.0.{n}": w for n, w in fast.state_dict().items()}
    own = {"W_E", "W_pos", "W_U", "b_U"}
    weights |= {name: weights.pop(f"blocks.0.{name}") for name in own}
    layered.load_state_dict(weights)
    relative = rounding(*lengths(section, 13))
    assert_alike(layered(PAIRS).logits.detach(), fast(PAIRS).logits.detach(), relative)


def files(section: ModelSection) -> tuple[Network, bytes]:
    """A network and its ONNX file, whose graph was exported with other weights."""
    graph = Graph(export_graph(make_network(section, 13, 9), GRID.sample()), "run", GRID.task)
    model = network(section, dtype=torch.float32)
    weights = {name: w.detach().numpy().copy() for name, w in model.named_parameters()}
    return model, graph.fill(weights, 3)


@a_few
def test_the_file_computes_what_torch_computes(section: ModelSection) -> None:
    """Every output that the network has, for batches of any size; parameters by their names."""
    model, data = files(section)
    check_model(data, "here", 13)
    proto = onnx.load_model_from_string(data)
    names = [tensor.name for tensor in proto.graph.initializer]
    assert names == [name for name, _ in model.named_parameters()]
    found = [output.name for output in proto.graph.output]
    assert found == offered(model(PAIRS)) == [name for name in OUTPUTS if name in found]
    session = open_session(data)
    for rows in (0, 1, 2, 169):
        expected: dict[str, Any] = model(PAIRS[:rows])._asdict()
        answers = session.run(found, {"pairs": GRID.pairs[:rows]})
        for name, ours in zip(found, answers, strict=True):
            np.testing.assert_allclose(ours, expected[name].detach(), rtol=1e-4, atol=1e-4)


@a_few
def test_what_a_file_lacks_leaves_its_measures_null(section: ModelSection) -> None:
    """All else is a number: losses, spectrum, neurons, circles and keys."""
    model, data = files(section)
    probe = read_outputs(open_session(data), GRID)
    found = measure(probe, 3)
    told = {"gini_neuron_logit_map": "neuron_logit_map", "circularity_b": "embedding_b"}
    absent = {name for name, output in told.items() if getattr(probe, output) is None}
    absent |= {"phase_misalignment"} if "gini_neuron_logit_map" in absent else set()
    assert {name for name, value in found.items() if value is None} == absent
    for output in told.values():
        assert (getattr(model(PAIRS), output) is None) == (getattr(probe, output) is None)
    assert spectrum_row(probe) is not None
    assert own_keys(probe, 3) is not None
