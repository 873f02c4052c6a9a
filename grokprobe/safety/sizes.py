"""Sizes of arrays while the number of pairs is open: `of`, or `of` for each pair.

No other size is understood. So what a model takes is a constant and a part for each pair: it grows
with the pairs, and what holds for many of them holds for fewer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MAX_SIZE = 2**40  # of whatever is counted: beyond it nobody needs to know


class NotUnderstood(Exception):
    """A size or a node is not of the kinds that are known here; the message says why."""


@dataclass(frozen=True, slots=True)
class Size:
    """So many, or so many for each pair."""

    of: int
    per_pair: bool = False

    def __post_init__(self) -> None:
        if abs(self.of) > MAX_SIZE:
            raise NotUnderstood("a size is huge")

    @property
    def exact(self) -> Size:
        """Itself. Raises NotUnderstood where it stands for all that is as large or larger."""
        if abs(self.of) >= MAX_SIZE:
            raise NotUnderstood("a size is huge")
        return self

    def __mul__(self, other: Size) -> Size:
        if self.per_pair and other.per_pair:
            raise NotUnderstood("a size grows with the square of the number of pairs")
        of = self.exact.of * other.exact.of
        return Size(of, of != 0 and (self.per_pair or other.per_pair))

    def __add__(self, other: Size) -> Size:
        if self.of == 0 or other.of == 0:
            return other if self.of == 0 else self
        if self.per_pair != other.per_pair:
            raise NotUnderstood("a size of pairs is added to one that is none")
        of = self.exact.of + other.exact.of
        return Size(of, of != 0 and self.per_pair)

    def __sub__(self, other: Size) -> Size:
        return self + Size(-other.of, other.per_pair)

    def __floordiv__(self, other: Size) -> Size:
        if other.of == 0 or self.of % other.of or (other.per_pair and not self.per_pair):
            raise NotUnderstood("a size is divided by one that is no factor of it")
        return Size(self.exact.of // other.exact.of, self.per_pair and not other.per_pair)

    def __str__(self) -> str:
        if not self.per_pair:
            return str(self.of)
        return "pairs" if self.of == 1 else f"{self.of} pairs"

    def at(self, pairs: int) -> int:
        """The number for so many pairs."""
        return self.of * pairs if self.per_pair else self.of


ONE, PAIRS = Size(1), Size(1, True)
Shape = tuple[Size, ...]


def product(sizes: Iterable[Size]) -> Size:
    """Of all. Raises NotUnderstood."""
    return math.prod(sizes, start=ONE)


def total(sizes: Iterable[Size]) -> Size:
    """Of all. Raises NotUnderstood."""
    return sum(sizes, start=Size(0))


def broadcast(*shapes: Shape) -> Shape:
    """The shape of arrays that are broadcast together. Raises NotUnderstood."""
    rank = max(map(len, shapes))
    columns = zip(*((*[ONE] * (rank - len(shape)), *shape) for shape in shapes), strict=True)
    return tuple(map(_together, columns))


def _together(sizes: tuple[Size, ...]) -> Size:
    others = {size for size in sizes if size != ONE}
    if len(others) > 1:
        found = " and ".join(sorted(map(str, others)))
        raise NotUnderstood(f"sizes do not go together: {found}")
    return others.pop() if others else ONE
