"""The fast forms of the network and of the loss against their textbook twins."""

from collections.abc import Mapping
from math import sqrt

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import Tensor
from torch.nn import functional

from grokprobe.task import Task
from tests.support import reference
from tests.support.rounding import lengths, rounding
from trainer.config.schema import TaskSection, TransformerSection
from trainer.learning.data import Grid, draw
from trainer.learning.losses import cross_entropy
from trainer.models.transformer import Transformer

SMALL = TransformerSection(d_model=24, heads=3, d_head=5, d_mlp=40)  # heads * d_head != d_model
VARIANTS = [
    SMALL,
    TransformerSection(),
    replace(SMALL, tokens="a b"),
    replace(SMALL, tokens="a b", attention_rate=0.3, biases="all", activation="gelu"),
    replace(SMALL, attention_rate=0.0, biases="none"),
    replace(SMALL, attention_scale=0.7, biases="all", activation="quadratic"),
    replace(SMALL, vocabularies="separate"),
    replace(SMALL, vocabularies="separate", tokens="a b", attention_rate=0.6, biases="all"),
]


def textbook(
    section: TransformerSection, W: Mapping[str, Tensor], pairs: Tensor
) -> dict[str, Tensor]:
    """The slow twin of a section."""
    scale = None if isinstance(section.attention_scale, str) else section.attention_scale
    activation = {"relu": torch.relu, "gelu": functional.gelu, "quadratic": torch.square}
    return reference.transformer(
        W,
        pairs,
        section.heads,
        rate=section.attention_rate,
        scale=scale,
        activation=activation[section.activation],
    )


def model_of(section: TransformerSection, modulus: int, dtype: torch.dtype) -> Transformer:
    """A network whose biases are not zero."""
    model = Transformer(section, modulus, seed=0).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("b_"):
                weight.normal_(generator=generator)
    return model


def grid(modulus: int = 13) -> Grid:
    return draw(TaskSection(modulus=modulus))


def both(
    section: TransformerSection, modulus: int, dtype: torch.dtype
) -> dict[str, tuple[float, float]]:
    """Relative difference and size of loss and gradients, fast against textbook."""
    model = model_of(section, modulus, dtype)
    pairs, answers = grid(modulus).train_part(torch.device("cpu"))
    slow_weights = {n: w.detach().clone().requires_grad_() for n, w in model.named_parameters()}
    slow = reference.cross_entropy(textbook(section, slow_weights, pairs)["logits"], answers)
    fast = cross_entropy(model(pairs).logits, answers)
    slow.backward()  # type: ignore[no-untyped-call]
    fast.backward()  # type: ignore[no-untyped-call]
    compared = {"loss": (fast.detach(), slow.detach())}
    for name, weight in model.named_parameters():
        ours, theirs = weight.grad, slow_weights[name].grad
        assert ours is not None
        assert theirs is not None
        compared[name] = (ours, theirs)
    return {name: ((x - y).norm().item(), y.norm().item()) for name, (x, y) in compared.items()}


@pytest.mark.parametrize("section", VARIANTS)
def test_loss_and_gradients_are_the_textbook_s_in_float64(section: TransformerSection) -> None:
    """Tables and folded matrices change nothing but the order of summation."""
    for name, (difference, size) in both(section, 13, torch.float64).items():
        assert difference <= 1e-12 * max(size, 1e-3), name  # b_K's is 0: all scores move alike


@pytest.mark.parametrize("modulus", [7, 13, 23])
def test_loss_and_gradients_agree_in_float32(modulus: int) -> None:
    """In the precision of training the two forms differ by rounding: forwards, backwards, pairs."""
    section, pairs = TransformerSection(), len(grid(modulus).train_part(torch.device("cpu"))[0])
    relative = rounding(*2 * lengths(section, modulus), pairs)
    for name, (difference, size) in both(section, modulus, torch.float32).items():
        assert difference <= relative * max(size, 1), name


@pytest.mark.parametrize("section", VARIANTS)
def test_every_output_is_the_textbook_s(section: TransformerSection) -> None:
    """Logits, neurons, attention and the matrices are what the contract says, or are not there."""
    model = model_of(section, 13, torch.float64)
    pairs = torch.from_numpy(grid().pairs)
    slow = textbook(section, dict(model.named_parameters()), pairs)
    for name, fast in model(pairs)._asdict().items():
        assert (fast is None) == (name not in slow), name
        if fast is not None:
            torch.testing.assert_close(fast, slow[name], rtol=1e-12, atol=1e-12)
    assert set(model(pairs)._fields) > set(slow)


def test_initial_weights_have_the_mainline_s_variances() -> None:
    """N(0, 1/d_model) for every matrix, N(0, 1/p) for W_U, zero for biases."""
    weights = dict(Transformer(TransformerSection(), 113, seed=0).named_parameters())
    for name, weight in weights.items():
        fan = 113 if name == "W_U" else 128
        expected = 0.0 if name.startswith("b_") else 1 / sqrt(fan)
        assert weight.std().item() == pytest.approx(expected, rel=0.06), name
    assert weights["W_E"].shape == (114, 128)
    assert weights["W_U"].shape == (128, 113)


def drawn_by_hand(modulus: int, seed: int) -> dict[str, Tensor]:
    """The mainline's initial weights, matrix after matrix from one generator."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"W_E": (modulus + 1, 128), "W_pos": (3, 128)}
    shapes |= dict.fromkeys(["W_Q", "W_K", "W_V", "W_O"], (128, 128))
    shapes |= {"W_in": (128, 512), "W_out": (512, 128), "W_U": (128, modulus)}
    fans = {"W_U": modulus}
    return {
        name: torch.randn(shape, generator=generator) / sqrt(fans.get(name, 128))
        for name, shape in shapes.items()
    }


def test_a_seed_draws_the_same_bits_for_ever() -> None:
    """Runs that are published go on from their seed, so neither order nor rounding may change."""
    weights = dict(Transformer(TransformerSection(), 13, seed=4).named_parameters())
    for name, expected in drawn_by_hand(13, 4).items():
        assert torch.equal(weights[name], expected), name


def test_given_embeddings_take_the_place_of_the_residues() -> None:
    """One row a pair for each operand, as the measures of gradients give them, is `forward`."""
    for section in VARIANTS:
        model = model_of(section, 13, torch.float64)
        pairs = torch.from_numpy(grid().sample(9))
        rows = torch.arange(9).repeat(2, 1).T
        first, second = model.embeddings()
        given = model.activations(first[pairs[:, 0]], second[pairs[:, 1]], rows)
        torch.testing.assert_close(given.logits, model(pairs).logits, rtol=1e-12, atol=1e-12)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    """Neither torch's global generator nor what was drawn before has a say."""
    torch.manual_seed(1)
    first = Transformer(SMALL, 13, seed=5)
    torch.manual_seed(2)
    again, other = Transformer(SMALL, 13, seed=5), Transformer(SMALL, 13, seed=6)
    assert torch.equal(first.W_E, again.W_E)
    assert not torch.equal(first.W_E, other.W_E)


def test_loss_and_its_gradient_are_autograd_s() -> None:
    """The hand-written gradient is that of the float64 log-softmax."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 13, generator=generator, dtype=torch.float64) * 4
    answers = torch.randint(13, (40,), generator=generator)
    fast, slow = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, expected = cross_entropy(fast, answers), reference.cross_entropy(slow, answers)
    (3 * loss).backward()  # type: ignore[no-untyped-call]
    (3 * expected).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(fast.grad, slow.grad, rtol=1e-12, atol=1e-17)


def test_loss_has_a_gradient_where_softmax_is_one() -> None:
    """Log-softmax in float64 rounds to 0 at a margin of 60 nats; the loss there is exp(-60)."""
    logits = torch.tensor([[60.0, 0.0]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([0]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(np.exp(-60.0), rel=1e-12)
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([-np.exp(-60.0), np.exp(-60.0)], rel=1e-6)


def test_undefined_pairs_are_neither_trained_on_nor_tested_on() -> None:
    """Division has no answer for b = 0."""
    divided = draw(TaskSection(operation="div", modulus=7))
    assert divided.task == Task(operation="div", modulus=7)
    defined = divided.pairs[:, 1] != 0
    assert divided.train is not None
    assert divided.test is not None
    assert np.array_equal(divided.train | divided.test, defined)
    assert not (divided.train & divided.test).any()
