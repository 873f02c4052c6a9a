"""How answers name the basis that they stand on."""

import msgspec

from grokprobe.analysis.basis import Basis


class BasisAnswer(msgspec.Struct):
    """The group whose Fourier basis is used, and the order in which residues stand in it."""

    group: str
    order: int
    reindex: str
    generator: int | None


def describe_basis(basis: Basis) -> BasisAnswer:
    """The basis, as every answer that stands on one names it."""
    return BasisAnswer(basis.group, basis.order, basis.reindex, basis.generator)
