"""The spectrum of a matrix, and its null, in whichever basis an operation has."""

from typing import Literal

from grokprobe.analysis.basis import Basis
from grokprobe.analysis.fourier import Array, Spectrum, spectrum
from grokprobe.analysis.irreps import IrrepSpectrum, irrep_densities, irrep_powers, irrep_spectrum
from grokprobe.analysis.nulls import Null, spectrum_null

Statistic = Literal["gini_frequencies", "max_share"]


def spectrum_of(basis: Basis, rows: Array) -> Spectrum | IrrepSpectrum:
    """The spectrum of `rows` (order, width), in group order: by frequency, or by irrep of S_5."""
    return spectrum(rows) if basis.cyclic else irrep_spectrum(rows)


def null_of(
    basis: Basis,
    rows: Array,
    permutations: int = 200,
    seed: int = 0,
    statistic: Statistic = "gini_frequencies",
) -> Null | None:
    """A statistic of `spectrum_of` against its permutation null; None for equal rows.

    Of S_5 `max_share` is the largest share of an irrep, as the spectrum has it.
    """
    if basis.cyclic:
        return spectrum_null(rows, permutations, seed, statistic)
    powers = irrep_powers if statistic == "max_share" else irrep_densities
    return spectrum_null(rows, permutations, seed, statistic, powers=powers)
