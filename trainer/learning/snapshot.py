"""Copies of a network in training, for those who publish while it goes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.models.export import Logits, Weights

Moments = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Snapshot:
    """One network after `step` updates, on the CPU, and what torch answers with it."""

    step: int
    weights: Weights
    sample_logits: Logits  # of Grid.sample()
    moments: Moments = field(default_factory=dict)  # of optimiser and transforms, by `kind.name`
    copied: torch.cuda.Event | None = None

    def wait(self) -> None:
        """Wait until the copy is here: a GPU copies behind what it was told before."""
        if self.copied is not None:
            self.copied.synchronize()


def take(
    step: int, weights: Mapping[str, Tensor], sample_logits: Tensor, moments: Mapping[str, Tensor]
) -> Snapshot:
    """Copy tensors to the CPU; from a GPU into pinned memory, without waiting for it."""
    logits = _copied(sample_logits)
    own = {name: _copied(tensor) for name, tensor in weights.items()}
    kept = {name: _copied(tensor) for name, tensor in moments.items()}
    event = None
    if sample_logits.is_cuda:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
    return Snapshot(step, own, logits, kept, event)


def _copied(tensor: Tensor) -> NDArray[np.float32]:
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    array: NDArray[np.float32] = copy.copy_(tensor.detach(), non_blocking=True).numpy()
    return array
