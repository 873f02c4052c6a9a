"""Random sets of equal size: the controls of an intervention.

A pool is what could have been taken out: every frequency of the group, every neuron, every head.
Of the sets of a size in it,

    controls   default_rng(seed), one `rng.choice(pool, size, replace=False, shuffle=False)` a draw,
               in order; where no more exist than are asked for, each of them once
    avoiding   sets without any member of the chosen one: those among the controls, and fresh ones
               by default_rng([seed, 1]) until there are a tenth as many as controls asked for
    matched    of neurons: default_rng([seed, 2]); the chosen neurons, one `rng.permutation` a draw,
               are each replaced by one of the NEAREST in norm that are free, by `rng.integers`

Source: docs/maths.md, "Interventions".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb

import numpy as np

from grokprobe.analysis.fourier import Array

Members = tuple[int, ...]  # ascending
AVOIDING = 10  # one set that avoids the chosen one for so many controls, at least
NEAREST = 8


@dataclass(frozen=True)
class Drawn:
    """Sets of one size; `exist` of them there are. `is_every`: these are all, each once."""

    sets: list[Members]
    exist: int
    is_every: bool


def random_sets(pool: Sequence[int], size: int, count: int, seed: int | Sequence[int] = 0) -> Drawn:
    """`count` sets of so many members of the pool, or all where no more exist."""
    exist = comb(len(pool), size)
    if exist <= count:
        return Drawn(list(combinations(sorted(pool), size)), exist, is_every=True)
    return Drawn(list(_choices(pool, size, count, np.random.default_rng(seed))), exist, False)


def _choices(
    pool: Sequence[int], size: int, count: int, rng: np.random.Generator
) -> Iterator[Members]:
    for _ in range(count):
        chosen = rng.choice(pool, size, replace=False, shuffle=False)
        yield tuple(sorted(chosen.tolist()))


def avoiding_sets(
    drawn: Drawn, pool: Sequence[int], chosen: Sequence[int], count: int, seed: int = 0
) -> Drawn:
    """Sets as large as the chosen one that have none of its members; none where too few are left.

    A control that happens to avoid it is as good a draw as one that is made to.
    """
    rest, size = sorted(set(pool) - set(chosen)), len(chosen)
    exist = comb(len(rest), size)
    if exist <= count:
        return random_sets(rest, size, count)
    found = [members for members in drawn.sets if not set(members) & set(chosen)]
    missing = max(0, ceil(count / AVOIDING) - len(found))
    fresh = _choices(rest, size, missing, np.random.default_rng([seed, 1]))
    return Drawn([*found, *fresh], exist, is_every=False)


def matched_sets(norms: Array, chosen: Sequence[int], count: int, seed: int = 0) -> list[Members]:
    """Sets that avoid the chosen one, member by member of about its norm; none if too few are left.

    `norms` (pool,) are those of 0..pool-1.
    """
    rest = np.setdiff1d(np.arange(len(norms)), chosen)
    if len(rest) < len(chosen) or not len(chosen):
        return []
    rng = np.random.default_rng([seed, 2])
    return [_matched(norms, rest, rng.permutation(chosen), rng) for _ in range(count)]


def _matched(norms: Array, rest: Array, chosen: Array, rng: np.random.Generator) -> Members:
    free, members = rest, []
    for one in chosen:
        nearest = np.argsort(np.abs(norms[free] - norms[one]), kind="stable")[:NEAREST]
        at = nearest[rng.integers(len(nearest))]
        members.append(int(free[at]))
        free = np.delete(free, at)
    return tuple(sorted(members))
