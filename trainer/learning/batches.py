"""What each update is computed from: all train pairs, or a batch of them.

Batches are drawn without replacement: an epoch is one permutation of the train pairs, cut into
batches of equal size, its remainder left out. It follows from the seed and the epoch alone, so a
resumed run goes on with the batches that it would have had, and no generator's state is kept.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grokprobe.errors import InvalidInput
from trainer.config.schema import Config
from trainer.learning.data import Grid


def rows_of(seed: int, step: int, size: int, pairs: int) -> NDArray[np.int64]:
    """The train pairs, by their number, of the update after `step`: (size,)."""
    epoch, batch = divmod(step, pairs // size)
    order = np.random.default_rng((seed, epoch)).permutation(pairs)
    return order[batch * size : (batch + 1) * size]


class Batches:
    """`pairs` (n, 2) and `answers` (n,) of the step that is loaded, alike for all members.

    Where they are not alike: (members, n, 2), (members, n) and, where some have fewer pairs than
    others, `share` (members, n), the weight of each row in a loss, 0 for those that fill up.
    """

    def __init__(
        self, configs: Sequence[Config], grids: Sequence[Grid], device: torch.device
    ) -> None:
        """Put the train pairs on `device`. Raises InvalidInput where batches differ in size."""
        if all(config.task == configs[0].task for config in configs) and (
            not configs[0].training.batch or len({c.training.seed for c in configs}) == 1
        ):
            configs, grids = configs[:1], grids[:1]
        self._tables = [grid.train_part(device) for grid in grids]
        self._seeds = [config.training.seed for config in configs]
        counts = [len(answers) for _, answers in self._tables]
        sizes = [config.batch_size(n) for config, n in zip(configs, counts, strict=True)]
        self._drawn = sizes != counts
        if self._drawn and len(set(sizes)) > 1:
            raise InvalidInput("training.batch", f"would be {sizes} pairs in one ensemble")
        self._size = max(sizes)
        everything = [np.arange(self._size) % n for n in counts]
        self.share = None if len(set(counts)) == 1 or self._drawn else _share(counts, device)
        self.pairs, self.answers = self._taken(everything)

    def load(self, step: int) -> None:
        """Load what the update after `step` is computed from to where it is read."""
        if self._drawn:
            drawn = zip(self._seeds, self._tables, strict=True)
            rows = [rows_of(seed, step, self._size, len(table[1])) for seed, table in drawn]
            pairs, answers = self._taken(rows)
            self.pairs.copy_(pairs)  # a captured step reads this memory
            self.answers.copy_(answers)

    def _taken(self, rows: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        parts = []
        for (pairs, answers), chosen in zip(self._tables, rows, strict=True):
            index = torch.from_numpy(chosen).to(pairs.device)
            parts.append((pairs[index], answers[index]))
        if len(parts) == 1:
            return parts[0]
        return torch.stack([pairs for pairs, _ in parts]), torch.stack([own for _, own in parts])


def _share(counts: Sequence[int], device: torch.device) -> Tensor:
    """1 / n for the first n rows of each member, 0 for the rest: (members, largest n)."""
    numbers = torch.arange(max(counts), device=device)
    own = torch.tensor(counts, dtype=torch.float64, device=device)[:, None]
    return (numbers < own) / own
