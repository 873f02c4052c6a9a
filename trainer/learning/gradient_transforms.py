"""What is done to gradients before the optimiser sees them. Each works on one tensor at a time.

OrthoGrad (Prieto et al. 2025, "Grokking at the edge of numerical stability", section 5.2): only
the part of the gradient g across the weights w, at the gradient's own length,

    o = g - w (w . g) / (w . w),    g' = o |g| / |o|

Grokfast, EMA (Lee et al. 2024, algorithm 2): the slow part of the gradient once more,

    m = alpha m + (1 - alpha) g,    g' = g + lamb m,    m = g at the first update
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.config.schema import OptimiserSection

TINY = 1e-30  # as in the published code: no division by the zero of a fresh bias


class Transforms:
    """The transforms that a section asks for, OrthoGrad first, and what they remember."""

    def __init__(self, section: OptimiserSection) -> None:
        self._section = section
        self.slow: dict[int, Tensor] = {}  # Grokfast's m of a parameter, by its id

    def __call__(self, parameters: Sequence[Tensor]) -> None:
        """Change the gradients of the parameters in place."""
        if self._section.orthograd:
            for weights in parameters:
                _across(weights)
        if self._section.grokfast_lamb:
            self._amplify(parameters)

    def _amplify(self, parameters: Sequence[Tensor]) -> None:
        section = self._section
        gradients = [weights.grad for weights in parameters if weights.grad is not None]
        if not self.slow:
            copies = (gradient.clone() for gradient in gradients)
            self.slow = dict(zip(map(id, parameters), copies, strict=True))
        else:
            torch._foreach_lerp_(self._slow_of(parameters), gradients, 1 - section.grokfast_alpha)
        torch._foreach_add_(gradients, self._slow_of(parameters), alpha=section.grokfast_lamb)

    def _slow_of(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        return [self.slow[id(weights)] for weights in parameters]


def _across(weights: Tensor) -> None:
    w, g = weights.detach(), weights.grad
    assert g is not None  # every parameter is in the loss
    across = g - w * ((w * g).sum() / ((w * w).sum() + TINY))
    g.copy_(across * (g.norm() / (across.norm() + TINY)))
