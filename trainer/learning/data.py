"""The pairs of a run: the whole grid for measuring, the train part as tensors for learning."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokprobe.task import UNDEFINED, Mask, Residues, Task, answers, pairs, split, split_sha256
from trainer.config.schema import TaskSection


def _size(mask: Mask | None) -> int | None:
    return None if mask is None else int(mask.sum())


@dataclass(frozen=True)
class Grid:
    """All p*p pairs in canonical order; undefined pairs belong to neither part."""

    task: Task
    pairs: Residues  # (p*p, 2)
    answers: Residues  # (p*p,)
    train: Mask | None  # (p*p,); None where the split is unknown
    test: Mask | None

    @property
    def split(self) -> dict[str, Any]:
        """The facts of the split, as the run's manifest names them."""
        return {
            "split_sha256": None if self.train is None else split_sha256(self.train),
            "train_pairs": _size(self.train),
            "test_pairs": _size(self.test),
        }

    @property
    def defined(self) -> Mask:
        """The pairs that have an answer, (p*p,)."""
        known: Mask = self.answers != UNDEFINED
        return known

    def train_part(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The training pairs (n, 2) and their answers (n,), int64, on a device."""
        assert self.train is not None  # nobody trains without a split
        chosen = np.flatnonzero(self.train)
        return (
            torch.from_numpy(self.pairs[chosen]).to(device),
            torch.from_numpy(self.answers[chosen]).to(device),
        )

    def sample(self, size: int = 64) -> Residues:
        """The pairs that every exported model is compared on: `size` rows, evenly spread."""
        rows = np.linspace(0, len(self.pairs) - 1, min(size, len(self.pairs))).astype(np.int64)
        return self.pairs[rows]


def make_grid(task: Task, train_mask: Mask | None) -> Grid:
    """The grid of a task with a given split; what is defined and not trained on is tested on."""
    table = answers(task)
    test = None if train_mask is None else (table != UNDEFINED) & ~train_mask
    return Grid(task, pairs(task.modulus), table, train_mask, test)


def draw(section: TaskSection) -> Grid:
    """The grid of a task with the split that its configuration draws."""
    return make_grid(section.task, split(section.task, section.train_fraction, section.split_seed))
