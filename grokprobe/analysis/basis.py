"""Which group an operation has, and so in which basis functions of its residues are read.

    add, sub              Z_p in natural order (any p; an even one has a Nyquist frequency)
    mul, div              Z_p* (order p - 1, even): residue g^i is element i, g the smallest
                          primitive root; the residue 0 is left out
    s5                    S_5 in natural order: irreducible representations (irreps.py), no
                          frequencies
    every other           no group: Z_p in natural order, labelled `no known basis`

Source: docs/maths.md, "Other operations and their basis".
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.cached import cached_property
from grokprobe.errors import InvalidInput
from grokprobe.task import Task, check_prime, check_task

DIRECTIONS = {"add": "sum", "mul": "sum", "sub": "difference", "div": "difference"}


@dataclass(frozen=True)
class Basis:
    """A group, and the residue that stands at each of its elements: `residues`, (order,)."""

    group: str
    order: int
    reindex: str  # `natural` or `discrete_log`
    generator: int | None
    residues: NDArray[np.int64]
    direction: str | None  # the answer's element is i + j: `sum`; i - j: `difference`; or neither

    @property
    def cyclic(self) -> bool:
        """Whether rows are read by frequency (fourier.py); in S_5 by irrep (irreps.py)."""
        return self.group != "S_5"

    @cached_property
    def elements(self) -> NDArray[np.int64]:
        """The element of each residue, (p,); -1 where the group leaves it out."""
        elements = np.full(self.residues.max() + 1, -1)
        elements[self.residues] = np.arange(self.order)
        return elements

    def rows(self, matrix: ArrayLike) -> NDArray[np.float64]:
        """The rows of `matrix` (p, width), one per residue, in group order: (order, width)."""
        taken: NDArray[np.float64] = np.asarray(matrix, dtype=np.float64)[self.residues]
        return taken


def _factors(n: int) -> set[int]:
    return {q for q in range(2, n + 1) if n % q == 0 and all(q % d for d in range(2, q))}


def smallest_primitive_root(modulus: int) -> int:
    """The smallest g whose powers are every non-zero residue of an odd prime."""
    check_prime(modulus)
    exponents = [(modulus - 1) // q for q in _factors(modulus - 1)]
    return next(g for g in range(2, modulus) if all(pow(g, e, modulus) != 1 for e in exponents))


def check_cyclic(basis: Basis, path: str, advice: str = "") -> None:
    """Raise InvalidInput where the group has no frequencies."""
    if not basis.cyclic:
        raise InvalidInput(path, f"{basis.group} has no frequencies{advice}")


@lru_cache(maxsize=64)
def basis_of(task: Task) -> Basis:
    """The basis of a task. Raises InvalidInput if the modulus does not suit the operation."""
    check_task(task)
    p = task.modulus
    if task.operation == "s5":
        return Basis("S_5", p, "natural", None, np.arange(p), None)
    if task.operation in ("mul", "div"):
        g = smallest_primitive_root(p)
        powers = np.array([pow(g, i, p) for i in range(p - 1)])
        return Basis(f"Z_{p}*", p - 1, "discrete_log", g, powers, DIRECTIONS[task.operation])
    return natural_basis(task)


def natural_basis(task: Task) -> Basis:
    """The frequencies of the residues in natural order: for `add` and `sub` alone a group's.

    Of any other operation they show what the order of its own basis is worth.
    """
    p = task.modulus
    if task.operation in ("add", "sub"):
        return Basis(f"Z_{p}", p, "natural", None, np.arange(p), DIRECTIONS[task.operation])
    return Basis("no known basis", p, "natural", None, np.arange(p), None)
