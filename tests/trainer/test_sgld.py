"""The local learning coefficient against potentials whose answer is known, and its refusals."""

from collections.abc import Mapping
from math import log, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from grokprobe.store.records import LearningCoefficient
from tests.support import reference
from tests.trainer.test_model import SMALL, grid
from trainer.config.schema import LearningCoefficientSection
from trainer.measuring.learning_coefficient import Loss, learning_coefficient, network_loss
from trainer.models.transformer import Transformer

N = 1_000
N_BETA = N / log(N)


def quadratic(h: Tensor) -> tuple[Loss, Tensor]:
    """L(w) = 1/2 sum_i h_i (w_i - 10)^2 and its minimum."""
    w0 = torch.full_like(h, 10.0)
    return lambda w: 0.5 * (w - w0).square() @ h, w0


def sampled(h: Tensor, **fields: Any) -> LearningCoefficient:
    """The learning coefficient of a quadratic potential with eigenvalues h."""
    loss, w0 = quadratic(h)
    section = LearningCoefficientSection(**fields)
    return learning_coefficient(loss, w0, N, section, lambda _: None)


def within(found: LearningCoefficient, expected: float, errors: float = 2) -> bool:
    """Whether an estimate lies within some standard errors of the truth."""
    if found.estimate is None or found.standard_error is None:
        return False
    return abs(found.estimate - expected) <= errors * found.standard_error


def test_a_quadratic_potential_has_half_its_dimension() -> None:
    """d/2 within two standard errors: of ten seeds, not chosen, at most three fall outside."""
    h = torch.ones(50, dtype=torch.float64)
    eps = 0.01 / N_BETA  # the bias of the step, d/2 * eps n_beta h/4, is .06
    fields = {"chains": 16, "draws": 4_000, "learning_rate": eps, "localisation": 0.0}
    hits = [within(sampled(h, seed=seed, **fields), 25.0) for seed in range(10)]
    assert sum(hits) >= 7


def test_localisation_and_the_step_have_their_share() -> None:
    """The formula at the top of sgld.py, steep and flat directions, a coarse step."""
    h = torch.logspace(-2, 1, 60, dtype=torch.float64)
    eps, gamma = 2e-4, 100.0
    k = N_BETA * h + gamma
    expected = (N_BETA * h / (2 * k * (1 - eps * k / 4))).sum().item()
    fields = {"chains": 16, "draws": 2_000, "learning_rate": eps, "localisation": gamma}
    hits = [within(sampled(h, seed=seed, **fields), expected) for seed in range(10)]
    assert sum(hits) >= 7


def test_the_error_comes_from_the_chains() -> None:
    """Estimate, error and hyperparameters are what the traces and the configuration say."""
    found = sampled(torch.ones(50), draws=100, learning_rate=5e-3, localisation=0.0)
    traces = np.array(found.traces)
    assert traces.shape == (8, 100)
    each = N_BETA * (traces[:, 50:].mean(axis=1) - traces[:, 0])
    assert found.estimate == pytest.approx(each.mean())
    assert found.standard_error == pytest.approx(each.std(ddof=1) / sqrt(8))
    assert found.refused is None
    assert found.hyperparameters == {
        "chains": 8.0,
        "draws": 100.0,
        "learning_rate": 5e-3,
        "localisation": 0.0,
        "n_beta": N_BETA,
        "seed": 0.0,
    }


def test_the_seed_decides() -> None:
    """The same seed gives the same traces whatever torch drew before; another gives others."""
    torch.manual_seed(1)
    first = sampled(torch.ones(50), draws=20)
    torch.manual_seed(2)
    assert sampled(torch.ones(50), draws=20) == first
    assert sampled(torch.ones(50), draws=20, seed=1).traces != first.traces


@pytest.mark.parametrize(
    ("fields", "draws", "reason"),
    [
        ({"learning_rate": 0.26}, 0, "root mean square 10; set it to 0.1"),
        ({"learning_rate": 4e-4}, 400, "the trace has not levelled"),  # gamma eps = 4: grows slowly
        (
            {"learning_rate": 0.2},
            20,
            "a chain is not finite at draw",
        ),  # grows 1,000 times an update
        ({"localisation": 0.0}, 400, "the trace has not levelled"),  # 700 updates a relaxation
    ],
)
def test_what_cannot_be_trusted_is_refused(
    fields: Mapping[str, Any], draws: int, reason: str
) -> None:
    """No estimate without a reason to believe it: the trace stays as evidence."""
    found = sampled(torch.ones(50), **fields)
    assert (found.estimate, found.standard_error) == (None, None)
    assert found.refused is not None
    assert reason in found.refused
    assert np.isfinite(found.traces).all()
    assert np.array(found.traces).shape[1] <= draws


def one_by_one(model: Transformer, section: LearningCoefficientSection, n_beta: float) -> Tensor:
    """The traces (chains, draws) of the textbook network, a chain and a tensor at a time."""
    pairs, answers = grid().train_part(torch.device("cpu"))
    start = {name: w.detach() for name, w in model.named_parameters()}
    sizes = [w.numel() for w in start.values()]
    traces = torch.empty(section.chains, section.draws, dtype=torch.float64)
    for chain in range(section.chains):
        generator = torch.Generator().manual_seed(section.seed)
        W = dict(start)
        for draw in range(section.draws):
            W = {name: w.requires_grad_() for name, w in W.items()}
            logits = reference.transformer(W, pairs, SMALL.heads)["logits"]
            loss = reference.cross_entropy(logits, answers)
            traces[chain, draw] = loss.detach()
            gradients = torch.autograd.grad(loss, list(W.values()))
            size = (section.chains, sum(sizes))
            noise = torch.randn(size, generator=generator, dtype=torch.float64)[chain]
            for (name, w), g, xi in zip(
                W.items(), gradients, torch.split(noise, sizes), strict=True
            ):
                pull = n_beta * g + section.localisation * (w.detach() - start[name])
                step = sqrt(section.learning_rate) * xi.view_as(w)
                W[name] = w.detach() - section.learning_rate / 2 * pull + step
    return traces


def test_batched_chains_are_chains_one_by_one() -> None:
    """All chains in one computation follow the textbook network's, to rounding."""
    model = Transformer(SMALL, 13, seed=0).double()
    section = LearningCoefficientSection(chains=3, draws=12, seed=7)
    pairs, answers = grid().train_part(torch.device("cpu"))
    w0 = torch.cat([w.detach().flatten() for w in model.parameters()])
    loss = network_loss(model, pairs, answers)
    found = learning_coefficient(loss, w0, len(pairs), section, lambda _: None)
    expected = one_by_one(model, section, found.hyperparameters["n_beta"])
    assert found.hyperparameters["n_beta"] == pytest.approx(len(pairs) / log(len(pairs)))
    np.testing.assert_allclose(found.traces, expected, rtol=1e-10)
