"""The spectrum of a matrix, and its null, in whichever basis an operation has."""

from grokprobe.analysis.basis import Basis
from grokprobe.analysis.fourier import Array, Spectrum, spectrum
from grokprobe.analysis.irreps import IrrepSpectrum, irrep_densities, irrep_spectrum
from grokprobe.analysis.nulls import Null, spectrum_null


def spectrum_of(basis: Basis, rows: Array) -> Spectrum | IrrepSpectrum:
    """The spectrum of `rows` (order, width), in group order: by frequency, or by irrep of S_5."""
    return spectrum(rows) if basis.cyclic else irrep_spectrum(rows)


def null_of(basis: Basis, rows: Array, permutations: int = 200, seed: int = 0) -> Null | None:
    """`gini_frequencies` of `spectrum_of` against its permutation null; None for equal rows."""
    if basis.cyclic:
        return spectrum_null(rows, permutations, seed)
    return spectrum_null(rows, permutations, seed, powers=irrep_densities)
