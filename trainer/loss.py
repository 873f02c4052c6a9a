"""The training loss: cross-entropy in float64, because float32 floors near 1e-7.

For a row with logits L, answer y, M = max L and others = sum over c != y of exp(L_c - M):

    loss       = log(others + exp(L_y - M)) - (L_y - M), which is log1p(others) where L_y = M
    dloss/dL_c = softmax_c for c != y
    dloss/dL_y = -others / (others + exp(L_y - M))

The last line never subtracts from 1, so the gradient lives on when softmax_y rounds to 1.
One pass of exp serves both: the forward pass leaves the gradient for the backward pass.
"""

from typing import Any

import torch
from torch import Tensor


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, answers: Tensor) -> Tensor:
        """Mean over rows; `logits` (n, p) of any float kind, `answers` (n, 1)."""
        terms = logits.double()
        terms = terms - terms.amax(dim=1, keepdim=True)
        own = terms.gather(1, answers)
        terms.exp_().scatter_(1, answers, 0.0)
        others = terms.sum(dim=1, keepdim=True)
        total = others + own.exp()
        terms.scatter_(1, answers, -others).div_(total * len(answers))
        ctx.save_for_backward(terms.to(logits.dtype))
        return torch.where(own == 0, others.log1p(), total.log() - own).mean()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype), None


def cross_entropy(logits: Tensor, answers: Tensor) -> Tensor:
    """Mean cross-entropy in nats, a float64 scalar: `logits` (n, p), `answers` int64 (n,)."""
    loss: Tensor = _CrossEntropy.apply(logits, answers[:, None])  # type: ignore[no-untyped-call]
    return loss
