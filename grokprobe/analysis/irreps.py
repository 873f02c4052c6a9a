"""The irreducible representations of S_5, and the spectrum of functions on it.

Young's orthogonal form, for one irrep per partition of 5: the standard tableaux T are its basis,
and the swap s_i = (i i+1), with r = content of i+1 less content of i (content: column - row), does

    rho(s_i) T = 1/r T + sqrt(1 - 1/r^2) s_i T

The rows sqrt(d/120) rho_ij(g) of all irreps are an orthonormal basis of the functions on the group
(Schur). The power of an irrep is ||P_rho M||_F^2, P_rho = d/120 sum_g chi(g^-1) L(g) with the
regular representation L, which is the sum of the squared coefficients in its d^2 rows.
Sources: James and Kerber 1981, section 3.4; docs/maths.md, "Other operations and their basis".
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from grokprobe.analysis.fourier import Array, Powers, constant_power, gini
from grokprobe.task import S5

Word = tuple[int, ...]  # a partition, a tableau, or a permutation

# From trivial to sign: the order of every list of irreps.
SHAPES = ((5,), (4, 1), (3, 2), (3, 1, 1), (2, 2, 1), (2, 1, 1, 1), (1, 1, 1, 1, 1))
SWAPS = range(4)


@dataclass(frozen=True)
class Irrep:
    """An irreducible representation: an orthogonal matrix for each element, in the order of S5."""

    label: str  # its partition: "3 1 1"
    matrices: Array  # (120, d, d), read-only

    @property
    def dimension(self) -> int:
        """The d of its (d, d) matrices."""
        return int(self.matrices.shape[1])

    @property
    def character(self) -> Array:
        """The trace of each matrix, (120,)."""
        traces: Array = np.trace(self.matrices, axis1=1, axis2=2)
        return traces


def _tableaux(shape: Word) -> list[Word]:
    """The standard tableaux, each as the row of 1, 2, ...; the largest number is in a corner."""
    if not any(shape):
        return [()]
    corners = [row for row, length in enumerate(shape) if length > (*shape, 0)[row + 1]]
    return [
        (*smaller, row)
        for row in corners
        for smaller in _tableaux((*shape[:row], shape[row] - 1, *shape[row + 1 :]))
    ]


def _swapped(word: Word, i: int) -> Word:
    return (*word[:i], word[i + 1], word[i], *word[i + 2 :])


def _generators(shape: Word) -> Array:
    """rho of the four swaps, (4, d, d)."""
    index = {tableau: j for j, tableau in enumerate(_tableaux(shape))}
    rho = np.zeros((len(SWAPS), len(index), len(index)))
    for tableau, j in index.items():
        content = [tableau[:n].count(row) - row for n, row in enumerate(tableau)]
        for i in SWAPS:
            inverse = 1 / (content[i + 1] - content[i])
            # Neighbours in a row or column have no partner, and a root of 0: overwritten below.
            rho[i, index.get(_swapped(tableau, i), j), j] = np.sqrt(1 - inverse**2)
            rho[i, j, j] = inverse
    return rho


def _matrices(shape: Word) -> Array:
    """rho(g) of every element, (120, d, d), each from an earlier one: g = (g s_i) s_i."""
    generators = _generators(shape)
    rho = {S5[0]: np.eye(generators.shape[1])}
    for g in S5[1:]:
        i = next(i for i in SWAPS if g[i] > g[i + 1])  # undoing a descent comes before g
        rho[g] = rho[_swapped(g, i)] @ generators[i]
    matrices = np.stack(list(rho.values()))
    matrices.flags.writeable = False
    return matrices


@lru_cache(maxsize=1)
def irreps() -> tuple[Irrep, ...]:
    """The seven irreps, in the order of SHAPES."""
    return tuple(Irrep(" ".join(map(str, shape)), _matrices(shape)) for shape in SHAPES)


@lru_cache(maxsize=1)
def irrep_basis() -> Array:
    """The orthonormal rows sqrt(d/120) rho_ij(g), (120, 120), in blocks of d^2; read-only."""
    blocks = [
        np.sqrt(irrep.dimension / len(S5)) * irrep.matrices.reshape(len(S5), -1).T
        for irrep in irreps()
    ]
    rows = np.concatenate(blocks)
    rows.flags.writeable = False
    return rows


def irrep_powers(matrices: Array) -> Array:
    """The power of each irrep but the trivial in each of the matrices (t, 120, width): (t, 6)."""
    energy = ((irrep_basis()[1:] @ matrices) ** 2).sum(axis=2)
    sizes = [irrep.dimension**2 for irrep in irreps()[1:]]
    powers: Array = np.add.reduceat(energy, np.cumsum([0, *sizes[:-1]]), axis=1)
    return powers


def irrep_densities(matrices: Array) -> Array:
    """power / d^2, (t, 6): per dimension of the irrep's component, so that noise is flat."""
    densities: Array = irrep_powers(matrices) / [irrep.dimension**2 for irrep in irreps()[1:]]
    return densities


@dataclass(frozen=True)
class IrrepSpectrum(Powers):
    """The power of each irrep but the trivial, whose power is constant_power; arrays are (6,).

    Noise has the share d^2/119 in each: the components differ in size, as frequencies do not.
    """

    labels: tuple[str, ...]
    dimensions: tuple[int, ...]

    @property
    def gini_frequencies(self) -> float | None:
        """Gini coefficient of sqrt(power) / d: 0 if every dimension holds the same."""
        return gini(np.sqrt(self.power) / self.dimensions)


def irrep_spectrum(matrix: ArrayLike) -> IrrepSpectrum:
    """The spectrum of `matrix` (120, width), one row per element in the order of S5."""
    M = np.asarray(matrix, dtype=np.float64)
    varying = irreps()[1:]
    return IrrepSpectrum(
        constant_power=constant_power(M),
        power=irrep_powers(M[None])[0],
        labels=tuple(irrep.label for irrep in varying),
        dimensions=tuple(irrep.dimension for irrep in varying),
    )
