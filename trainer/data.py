"""The pairs of a run: the whole grid for measuring, the train part as tensors for learning."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grokprobe.task import UNDEFINED, Mask, Residues, Task, answers, pairs, split
from trainer.config import TaskSection


@dataclass(frozen=True)
class Grid:
    """All p*p pairs in canonical order; undefined pairs belong to neither part."""

    task: Task
    pairs: Residues  # (p*p, 2)
    answers: Residues  # (p*p,)
    train: Mask  # (p*p,)
    test: Mask  # (p*p,)

    def train_part(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The training pairs (n, 2) and their answers (n,), int64, on a device."""
        chosen = np.flatnonzero(self.train)
        return (
            torch.from_numpy(self.pairs[chosen]).to(device),
            torch.from_numpy(self.answers[chosen]).to(device),
        )

    def sample(self, size: int = 64) -> Residues:
        """The pairs that every exported model is compared on: `size` rows, evenly spread."""
        rows = np.linspace(0, len(self.pairs) - 1, min(size, len(self.pairs))).astype(np.int64)
        return self.pairs[rows]


def make_grid(task: Task, train_mask: Mask) -> Grid:
    """The grid of a task with a given split; what is defined and not trained on is tested on."""
    table = answers(task)
    return Grid(task, pairs(task.modulus), table, train_mask, (table != UNDEFINED) & ~train_mask)


def draw(section: TaskSection) -> Grid:
    """The grid of a task with the split that its configuration draws."""
    return make_grid(section.task, split(section.task, section.train_fraction, section.split_seed))
