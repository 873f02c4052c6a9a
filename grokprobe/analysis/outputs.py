"""Outputs over all pairs, read some rows at a time and as often as is asked, never held whole.

Rows are pairs in canonical order, a*p + b. At p 509 the logits of all pairs are half a gigabyte,
and twice that in float64: what is made of them is made a few a at a time, in running sums.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Outputs = NDArray[np.float32]

# Of a block: large enough for matrix products, small enough for the cache.
ROWS = 2_048


class PairOutputs(Protocol):
    """The outputs of a checkpoint that have a row for each pair."""

    @property
    def names(self) -> Collection[str]:
        """Those on offer."""
        ...

    def blocks(self, names: Sequence[str]) -> Iterator[Sequence[Outputs]]:
        """Consecutive rows of the named outputs, from the first pair to the last."""
        ...


@dataclass(frozen=True)
class WholeOutputs:
    """Outputs that lie in memory, (p*p, width) each."""

    arrays: Mapping[str, Outputs]

    @property
    def names(self) -> Collection[str]:
        """Those on offer."""
        return self.arrays.keys()

    def blocks(self, names: Sequence[str]) -> Iterator[Sequence[Outputs]]:
        """Views of ROWS rows."""
        wanted = [self.arrays[name] for name in names]
        for start in range(0, len(wanted[0]), ROWS):
            yield [array[start : start + ROWS] for array in wanted]


def slabs(
    outputs: PairOutputs, names: Sequence[str], p: int
) -> Iterator[tuple[int, list[Outputs]]]:
    """The named outputs by whole a: the first of them, and arrays (some a, p, width).

    Views of the blocks, but for an a that one block begins and the next ones complete.
    """
    first, rest = 0, [np.empty((0, 0), np.float32)] * len(names)
    for block in outputs.blocks(names):
        rows = list(block)
        if begun := len(rest[0]):
            rest = [np.concatenate((r, of[: p - begun])) for r, of in zip(rest, rows, strict=True)]
            if len(rest[0]) < p:
                continue
            yield first, [one.reshape(1, p, -1) for one in rest]
            first, rows = first + 1, [of[p - begun :] for of in rows]
        count = len(rows[0]) // p
        if count:
            yield first, [of[: count * p].reshape(count, p, -1) for of in rows]
        first, rest = first + count, [of[count * p :] for of in rows]
