"""An intervention judged: loss and accuracy before and after, and what random sets do.

The p-value is over the controls, by the loss: how many of them cost at least as much as the chosen
set. Where a set is kept, and not taken out, the question is whether it suffices: how many cost at
most as much. Ties count against the set: losses that differ by less than TIED of them are equal,
for logits are float32.

    drawn at random    p = (1 + #{as good}) / (1 + controls)
    each set once      p = #{as good} / controls         (the chosen set is one of them)

Source: docs/maths.md, "Interventions".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import Array, first_largest
from grokprobe.analysis.interventions.sets import (
    AVOIDING,
    Drawn,
    Members,
    avoiding_sets,
    matched_sets,
    random_sets,
)
from grokprobe.analysis.measures import cross_entropy

TIED = 1e-6
QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)

Part = Literal["all", "train", "test"]


class Judged(msgspec.Struct, frozen=True):
    """Mean loss in nats, and accuracy 0..1."""

    loss: float
    accuracy: float


class Spread(msgspec.Struct, frozen=True):
    """How a figure is spread over sets; quantiles are linear between neighbours."""

    mean: float
    min: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    max: float


class Family(msgspec.Struct, frozen=True):
    """Sets of one kind: loss and accuracy of each, in the order of the draws, and their spread."""

    losses: list[float]
    accuracies: list[float]
    loss: Spread
    accuracy: Spread


class PartOutcome(msgspec.Struct, frozen=True):
    """Of the pairs of one part. Without controls, or sets that avoid the chosen one: null."""

    part: Part
    pairs: int
    before: Judged
    after: Judged
    p_value: float | None
    controls: Family | None
    avoiding: Family | None


@dataclass(frozen=True)
class Outcome:
    """An intervention with its controls, by part of the pairs."""

    drawn: Drawn
    avoiding: int
    parts: list[PartOutcome]


Figures = Mapping[Part, Judged]
Evaluate = Callable[[Members], Figures]


@dataclass(frozen=True)
class Judge:
    """The pairs by which a network is judged: the class of each one's answer (n,), the train mask.

    `train` is None where the split is unknown. A part without pairs is left out.
    """

    answers: NDArray[np.int64]
    train: NDArray[np.bool_] | None

    @property
    def parts(self) -> dict[Part, NDArray[np.bool_]]:
        """The pairs of each part."""
        found: dict[Part, NDArray[np.bool_]] = {"all": np.ones(len(self.answers), np.bool_)}
        if self.train is not None:
            found |= {"train": self.train, "test": ~self.train}
        return {part: mask for part, mask in found.items() if mask.any()}

    def figures(self, blocks: Iterable[NDArray[np.floating[Any]]]) -> dict[Part, Judged]:
        """Loss and accuracy of logits that come in blocks of consecutive pairs, (some, classes).

        Of the largest logits that are equal but for rounding the lowest class is meant.
        """
        losses, hits, at = np.empty(len(self.answers)), np.empty(len(self.answers), np.bool_), 0
        for block in blocks:
            rows = slice(at, at := at + len(block))
            losses[rows] = cross_entropy(block, self.answers[rows])
            hits[rows] = first_largest(block.T) == self.answers[rows]
        return {
            part: Judged(float(losses[mask].mean()), float(hits[mask].mean()))
            for part, mask in self.parts.items()
        }


def complement(pool: Sequence[int], members: Sequence[int]) -> Members:
    """The members of the pool that are not among these."""
    return tuple(sorted(set(pool) - set(members)))


@dataclass(frozen=True)
class Design:
    """What is asked: the chosen set, the pool it is from, and its controls.

    `keeps`: the set is what stays. `norms` (pool,), where sets that avoid it are to match it.
    """

    pool: Sequence[int]
    chosen: Members
    keeps: bool = False
    controls: int = 100
    seed: int = 0
    norms: Array | None = None

    def removed(self, members: Members) -> Members:
        """What is taken out where these are the members that the set names."""
        return complement(self.pool, members) if self.keeps else members


def intervene(design: Design, judge: Judge, before: Figures, evaluate: Evaluate) -> Outcome:
    """The outcome of a design; `evaluate` gives the figures where a set is the one named.

    A set that comes twice is evaluated once.
    """
    drawn = random_sets(design.pool, len(design.chosen), design.controls, design.seed)
    avoiding = _avoiding(design, drawn) if design.controls else []
    if not design.controls:
        drawn = Drawn([], drawn.exist, is_every=False)
    known: dict[Members, Figures] = {}
    for members in (design.chosen, *drawn.sets, *avoiding):
        if members not in known:
            known[members] = evaluate(members)
    after = known[design.chosen]

    def of_part(part: Part) -> PartOutcome:
        controls = family([known[members][part] for members in drawn.sets])
        p = None
        if controls:
            p = p_value(after[part].loss, controls.losses, drawn.is_every, design.keeps)
        beside = family([known[members][part] for members in avoiding])
        pairs = int(judge.parts[part].sum())
        return PartOutcome(part, pairs, before[part], after[part], p, controls, beside)

    return Outcome(drawn, len(avoiding), [of_part(part) for part in before])


def _avoiding(design: Design, drawn: Drawn) -> list[Members]:
    if design.norms is not None:
        count = ceil(design.controls / AVOIDING)
        return matched_sets(design.norms, design.chosen, count, design.seed)
    return avoiding_sets(drawn, design.pool, design.chosen, design.controls, design.seed).sets


def p_value(observed: float, losses: ArrayLike, is_every: bool, keeps: bool) -> float:
    """The share of controls that do as well as the chosen set, ties among them; never 0.

    What cannot be compared, for a loss is NaN, counts as a tie.
    """
    found = np.asarray(losses, dtype=np.float64)
    rounding = TIED * abs(observed) if isfinite(observed) else 0
    worse = found > observed + rounding if keeps else found < observed - rounding
    count = int((~worse).sum())
    return count / found.size if is_every else (1 + count) / (1 + found.size)


def family(judged: Sequence[Judged]) -> Family | None:
    """What is said of sets; None without any."""
    if not judged:
        return None
    losses, accuracies = [one.loss for one in judged], [one.accuracy for one in judged]
    return Family(losses, accuracies, spread(losses), spread(accuracies))


def spread(values: Sequence[float]) -> Spread:
    """Mean, extremes and quantiles of at least one value."""
    found = np.asarray(values, dtype=np.float64)
    # The quantiles are the fields from `min` to `max`, as they stand.
    return Spread(float(found.mean()), *np.quantile(found, QUANTILES).tolist())
