"""What an update is made of: rates, transforms, batches, losses; and going on from a snapshot."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from math import cos, pi
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from grokprobe.errors import InvalidInput
from tests.support.trained import tiny_config
from tests.trainer.test_train import learner_of, same
from trainer.config.schema import Config, OptimiserSection
from trainer.learning.batches import Batches, rows_of
from trainer.learning.data import draw
from trainer.learning.gradient_transforms import Transforms
from trainer.learning.learner import Learner
from trainer.learning.losses import LOSSES
from trainer.learning.optimisers import make_optimisers, set_rate, share_of_rate
from trainer.learning.train import prepare
from trainer.models.network import take_rows
from trainer.publishing.training_state import decode_snapshots, encode_snapshots

EVERYTHING: list[dict[str, Any]] = [
    {},
    {"name": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4},
    {"name": "muon"},
    {"orthograd": True},
    {"grokfast_lamb": 2.0, "schedule": "cosine"},
    {"name": "muon", "orthograd": True, "grokfast_lamb": 0.5, "schedule": "linear"},
]


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare(tiny_config().training)


def run(learner: Learner, steps: int) -> list[list[float]]:
    """Update so often; the losses before each."""
    return learner.advance(learner.step + steps)


# -- rates ------------------------------------------------------------------------------------


def test_the_learning_rate_warms_up_linearly() -> None:
    """Update 1 of 10 has a tenth of it, update 10 and all later ones the whole."""
    section = OptimiserSection(learning_rate=0.5, warmup_steps=10)
    optimisers = make_optimisers([(section, {"W": torch.zeros(2, 2)})])
    rates = []
    for step in range(12):
        set_rate(optimisers, share_of_rate(section, step, 100))
        rates.append(optimisers[0].param_groups[0]["lr"])
    assert rates == pytest.approx([0.05 * n for n in range(1, 11)] + [0.5, 0.5])


def test_schedules_go_down_to_zero_after_the_warm_up() -> None:
    """Of 20 steps, 10 of them warm-up: half-way of the rest, and at the end."""
    for schedule, half in (("linear", 0.5), ("cosine", (1 + cos(pi / 2)) / 2), ("constant", 1.0)):
        section = OptimiserSection(warmup_steps=10, schedule=schedule)  # type: ignore[arg-type]
        assert share_of_rate(section, 10, 20) == 1
        assert share_of_rate(section, 15, 20) == pytest.approx(half)
        assert share_of_rate(section, 20, 20) == pytest.approx(0 if schedule != "constant" else 1)


def test_no_warm_up_is_the_whole_rate_at_once() -> None:
    """`warmup_steps = 0` is not a division by zero."""
    assert share_of_rate(OptimiserSection(warmup_steps=0), 0, 1) == 1


# -- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_indices", [False, True])
def test_rows_of_many_tables_are_taken_at_once(own_indices: bool) -> None:
    """Values and gradients bit for bit those of torch, mapped and not."""
    tables = torch.randn(3, 7, 2, 4, requires_grad=True)
    indices = torch.randint(7, (3, 50)) if own_indices else torch.randint(7, (50,)).expand(3, -1)
    weights = torch.randn(3, 50, 2, 4)
    expected = torch.stack([t.index_select(0, i) for t, i in zip(tables, indices, strict=True)])
    alone = torch.stack([take_rows(t, i) for t, i in zip(tables, indices, strict=True)])
    mapped = torch.vmap(take_rows, in_dims=(0, 0 if own_indices else None))(
        tables, indices if own_indices else indices[0]
    )
    (gradient,) = torch.autograd.grad((expected * weights).sum(), tables)
    for taken in (alone, mapped):
        assert torch.equal(taken, expected)
        assert torch.equal(torch.autograd.grad((taken * weights).sum(), tables)[0], gradient)


NEW_PAGES = """
import resource
from trainer.config.schema import TrainingSection
from trainer.learning.train import prepare
import torch

prepare(TrainingSection(device="cpu", threads=1))
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not the GNU C library")
def test_memory_is_kept_for_the_next_step() -> None:
    """64 MiB again and again are no new pages, once alignment has found its room."""
    done = subprocess.run(
        [sys.executable, "-c", NEW_PAGES], capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) < 1000  # of 16,384


DENORMAL = """
import torch
from trainer.config.schema import TrainingSection
from trainer.learning.train import prepare
from trainer.publishing.worker import Worker

async def left():
    return int((torch.full((2**22,), 1e-39) * 1.0 != 0).sum())

with Worker() as early:
    early.call(left)
    prepare(TrainingSection(device="cpu", threads=2))
    with Worker() as late:
        flushed = int((torch.full((2**22,), 1e-39) * 1.0 != 0).sum())
        print(flushed, early.call(left), late.call(left))
"""


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot flush")
def test_training_flushes_denormal_numbers_and_publication_keeps_them() -> None:
    """By every thread that trains; by the publisher's never, whichever of them began first."""
    done = subprocess.run(
        [sys.executable, "-c", DENORMAL], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", str(2**22), str(2**22)]


# -- optimisers and transforms ------------------------------------------------------------------


def test_adamw_and_sgd_are_their_formulas() -> None:
    """One step from given weights and gradient."""
    w, g = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.25]])
    expected = {
        # The first step of Adam is the sign of the gradient; decay is apart from it.
        "adamw": w - 0.1 * 0.3 * w - 0.1 * g.sign(),
        "sgd": w - 0.1 * (g + 0.3 * w),
    }
    for name, wanted in expected.items():
        section = OptimiserSection(name=name, learning_rate=0.1, weight_decay=0.3)  # type: ignore[arg-type]
        weights = w.clone()
        weights.grad = g.clone()
        [optimiser] = make_optimisers([(section, {"W": weights})])
        optimiser.step()
        torch.testing.assert_close(weights, wanted)


def test_muon_takes_the_matrices_between_embedding_and_unembedding() -> None:
    """Its step is orthogonal, at the size of AdamW's; all else is AdamW's."""
    section = OptimiserSection(name="muon", learning_rate=0.1, weight_decay=0.0)
    square = ("W_E", "W_E_b", "blocks.0.W_in", "W_U")
    names = dict.fromkeys(square, (8, 8)) | {"b_in": (8,)}
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.zeros(shape) for name, shape in names.items()}
    for tensor in weights.values():
        tensor.grad = torch.randn(tensor.shape, generator=generator)
    signs = {
        name: -0.1 * tensor.grad.sign()
        for name, tensor in weights.items()
        if tensor.grad is not None
    }
    muon, adamw = make_optimisers([(section, weights)])
    muon.step()
    adamw.step()
    for name in ("W_E", "W_E_b", "b_in", "W_U"):
        torch.testing.assert_close(weights[name], signs[name])
    step = weights["blocks.0.W_in"]
    singular = torch.linalg.svdvals(step)
    assert singular.max() / singular.min() < 2  # Newton-Schulz ends between .7 and 1.2
    assert step.square().mean().sqrt().item() == pytest.approx(0.1 * 0.2, rel=0.25)


def test_orthograd_is_across_the_weights_at_the_old_length() -> None:
    """Prieto et al. 2025: g' . w = 0, |g'| = |g|, and the rest of g keeps its direction."""
    generator = torch.Generator().manual_seed(1)
    w, g = (torch.randn(5, 4, generator=generator) for _ in range(2))
    w.grad = g.clone()
    Transforms(OptimiserSection(orthograd=True))([w])
    assert (w * w.grad).sum().item() == pytest.approx(0, abs=1e-5)
    assert w.grad.norm().item() == pytest.approx(g.norm().item(), rel=1e-6)
    across = g - w * (w * g).sum() / (w * w).sum()
    torch.testing.assert_close(w.grad / w.grad.norm(), across / across.norm())


def test_orthograd_leaves_the_gradient_of_a_zero_bias() -> None:
    """There is nothing to be across of."""
    bias = torch.zeros(3)
    bias.grad = torch.tensor([1.0, 2.0, 2.0])
    Transforms(OptimiserSection(orthograd=True))([bias])
    torch.testing.assert_close(bias.grad, torch.tensor([1.0, 2.0, 2.0]))


def test_grokfast_adds_the_slow_part_of_the_gradient() -> None:
    """Lee et al. 2024, algorithm 2, by hand over three updates."""
    transforms = Transforms(OptimiserSection(grokfast_lamb=2.0, grokfast_alpha=0.75))
    w, slow = torch.zeros(1), 0.0
    for number, gradient in enumerate([1.0, 3.0, -1.0]):
        slow = gradient if number == 0 else 0.75 * slow + 0.25 * gradient
        w.grad = torch.tensor([gradient])
        transforms([w])
        assert w.grad.item() == pytest.approx(gradient + 2 * slow)


# -- losses -----------------------------------------------------------------------------------


def textbook(name: str, logits: Tensor, answers: Tensor) -> Tensor:
    """Each loss by its definition, a row at a time."""
    rows = []
    for L, y in zip(logits.double(), answers, strict=True):
        if name == "mse":
            rows.append(((L - torch.eye(len(L), dtype=torch.float64)[y]) ** 2).mean())
        else:
            s = L.exp() if name == "cross_entropy" else torch.where(L >= 0, L + 1, 1 / (1 - L))
            rows.append(-(s[y] / s.sum()).log())
    return torch.stack(rows)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_the_definition(name: str) -> None:
    """Alone, weighted, and for the members of an ensemble at once."""
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn(2, 6, 5, generator=generator)
    answers = torch.randint(0, 5, (2, 6), generator=generator)
    share = torch.tensor([[1 / 6] * 6, [1 / 4] * 4 + [0] * 2], dtype=torch.float64)

    def gradient(loss: Tensor, of: Tensor) -> Tensor:
        return torch.autograd.grad(loss.sum(), of)[0]

    for given in (None, share):
        ours, wanted = logits.clone().requires_grad_(), logits.clone().requires_grad_()
        found = LOSSES[name](ours, answers, given)
        rows = torch.stack([textbook(name, wanted[m], answers[m]) for m in range(2)])
        expected = rows.mean(1) if given is None else (rows * given).sum(1)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradient(found, ours), gradient(expected, wanted))
    alone = LOSSES[name](logits[0], answers[0])
    torch.testing.assert_close(alone, textbook(name, logits[0], answers[0]).mean())


# -- batches ----------------------------------------------------------------------------------


def test_an_epoch_sees_each_pair_at_most_once() -> None:
    """Batches of one size without replacement, another order the next epoch, the same again."""
    epoch = np.concatenate([rows_of(3, step, 4, 10) for step in (0, 1)])
    assert len(set(epoch)) == 8
    assert not np.array_equal(rows_of(3, 0, 4, 10), rows_of(3, 2, 4, 10))
    np.testing.assert_array_equal(rows_of(3, 1, 4, 10), rows_of(3, 1, 4, 10))


def test_a_batch_is_half_of_all_at_most() -> None:
    """As Power et al. 2022; 0 is all of them."""
    for batch, expected in ((0, 101), (10, 10), (512, 50)):
        assert tiny_config(training={"batch": batch}).batch_size(101) == expected


def test_members_of_different_batch_sizes_are_refused() -> None:
    """One computation has one shape."""
    configs = [tiny_config(task={"train_fraction": f}, training={"batch": 80}) for f in (0.6, 0.9)]
    with pytest.raises(InvalidInput, match=r"training\.batch"):
        Batches(configs, [draw(c.task) for c in configs], torch.device("cpu"))


# -- going on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", EVERYTHING)
@pytest.mark.parametrize(("batch", "vocabularies"), [(0, "shared"), (32, "separate")])
def test_going_on_from_a_state_is_never_having_stopped(
    optimiser: dict[str, Any], batch: int, vocabularies: str
) -> None:
    """Through the bytes of a training state, with every optimiser, transform and schedule."""
    config = tiny_config(
        optimiser={"warmup_steps": 3, **optimiser},
        training={"batch": batch},
        model={"vocabularies": vocabularies},
    )
    whole, first, second = (learner_of(config) for _ in range(3))
    losses = run(whole, 12)
    assert run(first, 5) == losses[:5]
    [snapshot] = decode_snapshots(encode_snapshots([first.snapshot(0)]))
    second.restore(0, snapshot)
    assert second.step == 5
    assert run(second, 7) == losses[5:]
    assert same(second.snapshot(0), whole.snapshot(0))


# -- ensembles --------------------------------------------------------------------------------


def members(*changes: Any) -> list[Config]:
    """TINY as many times as there are changes, each by section."""
    return [tiny_config(**change) for change in changes]


VARIED: dict[str, list[Config]] = {
    "seeds": members(*({"training": {"seed": n}} for n in range(3))),
    "rates": members(
        {"optimiser": {"learning_rate": 0.01, "weight_decay": 0.5}},
        {"optimiser": {"learning_rate": 0.003, "weight_decay": 2.0}},
    ),
    "vocabularies": members(
        *({"training": {"seed": n}, "model": {"vocabularies": "separate"}} for n in range(2))
    ),
    "fractions": members(*({"task": {"train_fraction": f}} for f in (0.4, 0.6, 0.5))),
    "batches": members(*({"training": {"seed": n, "batch": 40}} for n in range(2))),
    "muon": members(*({"training": {"seed": n}, "optimiser": {"name": "muon"}} for n in range(2))),
    "grokfast": members(
        *(
            {"training": {"seed": n}, "optimiser": {"grokfast_lamb": 2.0, "orthograd": True}}
            for n in range(2)
        )
    ),
    "mse": members(*({"training": {"seed": n, "loss": "mse"}} for n in range(2))),
}


@pytest.fixture
def _float64() -> Iterator[None]:
    """Weights in float64, so that rounding stays small for hundreds of steps."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("configs", VARIED.values(), ids=VARIED)
def test_each_member_learns_as_it_would_alone(configs: list[Config]) -> None:
    """200 steps: every loss, and in the end every weight and moment.

    Muon's orthogonalisation works in bfloat16 whatever the weights are: coarser there.
    """
    ensemble = Learner(configs, [draw(c.task) for c in configs], torch.device("cpu"))
    together = np.array(run(ensemble, 200))
    coarse = configs[0].optimiser.name == "muon"
    rtol, atol = (0.5, 1e-2) if coarse else (1e-5, 1e-9)
    for number, config in enumerate(configs):
        alone = learner_of(config)
        losses = np.array(run(alone, 200))[:, 0]
        np.testing.assert_allclose(together[:, number], losses, rtol=rtol, atol=atol)
        mine, own = ensemble.snapshot(number), alone.snapshot(0)
        assert mine.moments.keys() == own.moments.keys()
        if not coarse:
            for name, weights in own.weights.items():
                np.testing.assert_allclose(mine.weights[name], weights, rtol=1e-4, atol=1e-7)


def test_in_float32_it_does_so_within_rounding() -> None:
    """The first steps, before what is rounded differently has grown."""
    configs = VARIED["seeds"]
    ensemble = Learner(configs, [draw(c.task) for c in configs], torch.device("cpu"))
    together = np.array(run(ensemble, 100))
    for number, config in enumerate(configs):
        losses = np.array(run(learner_of(config), 100))[:, 0]
        np.testing.assert_allclose(together[:, number], losses, rtol=0.02)


def test_an_ensemble_goes_on_from_its_members_states() -> None:
    """Each member is restored by itself; the whole goes on as if it had not stopped."""
    configs = VARIED["rates"]
    whole, second = (
        Learner(configs, [draw(c.task) for c in configs], torch.device("cpu")) for _ in range(2)
    )
    run(whole, 5)
    snapshots = [whole.snapshot(number) for number in range(len(configs))]
    losses = run(whole, 5)
    for number, snapshot in enumerate(snapshots):
        second.restore(number, snapshot)
    assert run(second, 5) == losses


def test_a_member_that_leaves_the_numbers_takes_nobody_along() -> None:
    """NaN in one stays in one."""
    hot = {"optimiser": {"learning_rate": 1.0, "weight_decay": 1000.0}}
    configs = members(hot, {})
    ensemble = Learner(configs, [draw(c.task) for c in configs], torch.device("cpu"))
    losses = np.array(run(ensemble, 100))
    assert np.isnan(losses[-1, 0])
    np.testing.assert_allclose(
        losses[:, 1], np.array(run(learner_of(configs[1]), 100))[:, 0], rtol=1e-2
    )
