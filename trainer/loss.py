"""The losses that are trained, in float64, because float32 floors near 1e-7.

cross_entropy   For a row with logits L, answer y, M = max L, others = sum of exp(L_c - M), c != y:

    loss       = log(others + exp(L_y - M)) - (L_y - M), which is log1p(others) where L_y = M
    dloss/dL_c = softmax_c for c != y
    dloss/dL_y = -others / (others + exp(L_y - M))

    The last line never subtracts from 1, so the gradient lives on when softmax_y rounds to 1.
    One pass of exp serves both: the forward pass leaves the gradient for the backward pass.

mse             Mean over rows and classes of (L - one-hot of y)^2 (Gromov 2023, equation 2).

stablemax       -log(s(L_y) / sum over c of s(L_c)), s(x) = x + 1 for x >= 0, else 1 / (1 - x)
                (Prieto et al. 2025, section 4.2).

Logits are (..., n, p), answers int64 (..., n); leading axes are the members of an ensemble. A loss
is the mean over rows, or their sum weighted by `share` (..., n), float64.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, answers: Tensor, share: Tensor | None) -> Tensor:
        """`logits` (..., n, p) of any float kind, `answers` and `share` (..., n, 1)."""
        terms = logits.double()
        terms = terms - terms.amax(dim=-1, keepdim=True)
        own = terms.gather(-1, answers)
        terms = _put(terms.exp_(), answers, 0.0)
        others = terms.sum(dim=-1, keepdim=True)
        total = others + own.exp()
        terms = _put(terms, answers, -others)
        terms.div_(total * answers.shape[-2] if share is None else total / share)
        ctx.save_for_backward(terms.to(logits.dtype))
        return _reduced(torch.where(own == 0, others.log1p(), total.log() - own), share)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype)[..., None, None], None, None


def _put(terms: Tensor, answers: Tensor, value: Tensor | float) -> Tensor:
    """`terms` (..., n, p) with one value at the answers (..., n, 1); they may be overwritten."""
    if not terms.is_cuda:
        return terms.scatter_(-1, answers, value)
    # A GPU's `scatter_` sorts first, to be deterministic.
    return torch.where(torch.arange(terms.shape[-1], device=terms.device) == answers, value, terms)


def _reduced(rows: Tensor, share: Tensor | None) -> Tensor:
    """(..., n, 1) -> (...)."""
    return rows.mean(dim=(-2, -1)) if share is None else (rows * share).sum(dim=(-2, -1))


def cross_entropy(logits: Tensor, answers: Tensor, share: Tensor | None = None) -> Tensor:
    """Cross-entropy in nats."""
    loss: Tensor = _CrossEntropy.apply(logits, answers[..., None], _column(share))  # type: ignore[no-untyped-call]
    return loss


def mse(logits: Tensor, answers: Tensor, share: Tensor | None = None) -> Tensor:
    """Mean squared error to the one-hot answer."""
    wanted = functional.one_hot(answers, logits.shape[-1])
    rows = (logits.double() - wanted).square().mean(dim=-1, keepdim=True)
    return _reduced(rows, _column(share))


def stablemax(logits: Tensor, answers: Tensor, share: Tensor | None = None) -> Tensor:
    """Cross-entropy in nats of StableMax probabilities."""
    L = logits.double()
    terms = torch.where(L >= 0, L + 1, 1 / (1 - L.clamp(max=0)))
    rows = terms.sum(dim=-1, keepdim=True).log() - terms.gather(-1, answers[..., None]).log()
    return _reduced(rows, _column(share))


def _column(share: Tensor | None) -> Tensor | None:
    return None if share is None else share[..., None]


LOSSES = {"cross_entropy": cross_entropy, "mse": mse, "stablemax": stablemax}
