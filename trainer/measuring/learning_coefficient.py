"""The local learning coefficient of a checkpoint w0 by SGLD localised there (Lau et al. 2023).

    w        <- w - eps/2 (n_beta grad L(w) + gamma (w - w0)) + sqrt(eps) N(0, 1)
    estimate  = n_beta (mean over draws of L(w) - L(w0))

L is the mean loss in nats over all n train pairs, n_beta = n / ln n unless configured, and each
chain starts at w0. The first half of the draws is discarded. Where L is 1/2 w.H.w, H having
eigenvalues h_i, the expected estimate is sum_i n_beta h_i / (2 k_i (1 - eps k_i / 4)) with
k_i = n_beta h_i + gamma: d/2 where gamma and eps are small, and less with gamma, which counts
only the directions steeper than itself. So estimates compare at equal hyperparameters only.

There is no estimate, but a reason, where
- sqrt(eps), the noise of one update, exceeds COARSEST of the root mean square of the weights;
- a loss is not finite: the trace ends before it;
- the trace has not levelled: of the half that is kept, the log of the later quarter's mean loss
  differs from the earlier quarter's by more than LEVEL standard errors of that over chains. (The
  log, because chains that diverge do so at one rate and to very different losses.)
"""

from collections.abc import Callable
from math import log, sqrt

import numpy as np
import torch
from msgspec.structs import asdict
from torch import Tensor, nn
from torch.func import functional_call

from grokprobe.analysis.fourier import Array
from grokprobe.store.records import LearningCoefficient
from trainer.config.schema import LearningCoefficientSection
from trainer.learning.losses import cross_entropy

COARSEST = 0.05
LEVEL = 3.0

Loss = Callable[[Tensor], Tensor]  # (chains, parameters) -> (chains,), nats


def network_loss(model: nn.Module, pairs: Tensor, answers: Tensor) -> Loss:
    """The loss of networks like `model`, one a row of parameters, all chains in one computation.

    A row holds the parameters in the order of `model.parameters()`; `pairs` (n, 2), `answers`
    (n,). The weights of `model` itself do not matter.
    """
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]

    def logits(row: Tensor) -> Tensor:
        parts = zip(shapes.items(), torch.split(row, sizes), strict=True)
        weights = {name: part.view(shape) for (name, shape), part in parts}
        answer: Tensor = functional_call(model, weights, (pairs,)).logits
        return answer

    def loss(rows: Tensor) -> Tensor:
        return torch.stack([cross_entropy(L, answers) for L in torch.vmap(logits)(rows)])

    return loss


def learning_coefficient(
    loss: Loss,
    w0: Tensor,
    n: int,
    section: LearningCoefficientSection,
    report: Callable[[int], None],
) -> LearningCoefficient:
    """Sample from w0 (parameters,), on its device, with a loss that is the mean over n pairs.

    `report` gets the number of draws done.
    """
    n_beta = section.n_beta or n / log(max(n, 2))
    trace = np.empty((section.chains, 0))
    refused = _too_coarse(w0, section.learning_rate)
    if not refused:
        trace = _sample(loss, w0, n_beta, section, report)
        refused = _unsettled(trace, section.draws)
    estimate, error = (None, None) if refused else _over_chains(n_beta * _gain(trace))
    hyperparameters = asdict(section) | {"n_beta": n_beta}
    del hyperparameters["every"]
    return LearningCoefficient(
        estimate=estimate,
        standard_error=error,
        refused=refused,
        hyperparameters={name: float(value) for name, value in hyperparameters.items()},
        traces=trace.tolist(),
    )


def _sample(
    loss: Loss,
    w0: Tensor,
    n_beta: float,
    section: LearningCoefficientSection,
    report: Callable[[int], None],
) -> Array:
    """The loss of each chain before each update, (chains, draws); fewer if one is not finite."""
    eps, gamma = section.learning_rate, section.localisation
    generator = torch.Generator().manual_seed(section.seed)
    trace = np.empty((section.chains, section.draws))
    w = w0.repeat(section.chains, 1)
    for draw in range(section.draws):
        losses = loss(w.requires_grad_())
        trace[:, draw] = losses.detach().cpu().numpy()
        if not np.isfinite(trace[:, draw]).all():
            return trace[:, :draw]
        (gradient,) = torch.autograd.grad(losses.sum(), w)
        noise = torch.randn(w.shape, generator=generator, dtype=w.dtype).to(w.device)
        w = w.detach()
        w = w - eps / 2 * (n_beta * gradient + gamma * (w - w0)) + sqrt(eps) * noise
        report(draw + 1)
    return trace


def _gain(trace: Array) -> Array:
    """The mean loss of the kept draws above the checkpoint's, (chains,)."""
    kept = trace[:, trace.shape[1] // 2 :]
    return np.asarray(kept.mean(axis=1) - trace[:, 0])


def _over_chains(each: Array) -> tuple[float, float]:
    """Mean and standard error of one value a chain."""
    return float(each.mean()), float(each.std(ddof=1) / sqrt(len(each)))


def _too_coarse(w0: Tensor, eps: float) -> str | None:
    scale = w0.double().square().mean().sqrt().item()
    if sqrt(eps) <= COARSEST * scale:
        return None
    return (
        f"the noise of an update, sqrt(learning_rate) = {sqrt(eps):.2g}, exceeds {COARSEST} of the "
        f"weights' root mean square {scale:.2g}; set it to {(COARSEST * scale) ** 2 / 2:.1g}"
    )


def _unsettled(trace: Array, draws: int) -> str | None:
    done = trace.shape[1]
    if done < draws:
        return f"the loss of a chain is not finite at draw {done}; set a smaller learning_rate"
    earlier, later = trace[:, draws // 2 : -(draws // 4)], trace[:, -(draws // 4) :]
    shift, noise = _over_chains(np.log(later.mean(axis=1)) - np.log(earlier.mean(axis=1)))
    if abs(shift) <= LEVEL * noise:
        return None
    return (
        f"the trace has not levelled: in the last quarter of the draws the log of the mean loss "
        f"moved by {shift:.2g}, more than {LEVEL:g} times its standard error {noise:.2g}; "
        "set more draws, or a smaller learning_rate if it rose without end"
    )
