"""What changed between two neighbouring checkpoints: the spectrum of each matrix's update.

Of D = W_t - W_(t-1), in float64, with the singular values s_1 >= s_2 >= ...:

    norm = ||D||_F                      top_singular_value = s_1
    top_share(k) = sum_(i<=k) s_i^2 / ||D||_F^2
    participation_ratio = (sum s_i^2)^2 / sum s_i^4

They come from the eigenvalues of the smaller of D D^T and D^T D, so s_i below 1e-8 of s_1 is
rounding, which none of them shows. Source: docs/maths.md, "Updates between checkpoints".
"""

from collections.abc import Mapping
from math import hypot
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.basis import Basis
from grokprobe.analysis.comparing.weights import weight_distance
from grokprobe.analysis.fourier import NEGLIGIBLE, Array
from grokprobe.analysis.ranks import participation_ratio
from grokprobe.analysis.spectra import spectrum_of

Weights = Mapping[str, NDArray[Any]]


class MatrixUpdate(msgspec.Struct, frozen=True):
    """The update of one matrix; what has no reference is None."""

    top_singular_value: float | None
    top_share: float | None
    participation_ratio: float | None


class Update(msgspec.Struct, frozen=True):
    """The updates of all parameters: `norms` of each, `matrices` of those with two axes.

    `changed` names what only one side has, or in another shape: it is in none of the others. Nor is
    what has no distance, since its figures are not finite: a mask, and `norm` is of all but it.
    """

    norm: float | None
    norms: dict[str, float]
    matrices: dict[str, MatrixUpdate]
    changed: list[str]


def read_update(before: Weights, after: Weights, top: int) -> Update:
    """The update of every parameter that holds real numbers; shares are of the `top` largest."""
    norms, matrices, changed = {}, {}, []
    a, b = ({n: w for n, w in one.items() if w.dtype.kind == "f"} for one in (before, after))
    for name in sorted(a.keys() | b.keys()):
        old, new = a.get(name), b.get(name)
        if old is None or new is None or old.shape != new.shape:
            changed.append(name)
            continue
        norm = weight_distance(old, new)
        if norm is None:
            continue
        norms[name] = norm
        if new.ndim == 2 and new.size:
            D = new.astype(np.float64) - old.astype(np.float64)
            matrices[name] = read_matrix_update(D, norm, top)
    return Update(hypot(*norms.values()) if norms else None, norms, matrices, changed)


def read_matrix_update(D: Array, norm: float, top: int) -> MatrixUpdate:
    """Figures of an update (rows, columns) with this Frobenius norm."""
    if norm == 0:
        return MatrixUpdate(0.0, None, None)
    scaled = D / norm  # whose squares neither overflow nor vanish
    tall = scaled if D.shape[0] >= D.shape[1] else scaled.T
    G = tall.T @ tall
    s = np.sqrt(np.linalg.eigvalsh(G)[::-1].clip(min=0))
    first = float(norm * s[0])
    if norm < NEGLIGIBLE:
        return MatrixUpdate(first, None, None)
    share = min(1.0, float(np.sum(s[:top] ** 2) / np.trace(G)))
    return MatrixUpdate(first, share, participation_ratio(s))


def update_power(basis: Basis, before: NDArray[Any], after: NDArray[Any]) -> Array | None:
    """The power of the update of a matrix with a row a residue, by frequency, or irrep of S_5.

    The constant is left out, as everywhere. None for matrices of two shapes.
    """
    if before.shape != after.shape:
        return None
    rows = basis.rows(after.astype(np.float64) - before.astype(np.float64))
    return spectrum_of(basis, rows).power
