"""Where two embeddings have their circles: the planes of frequencies, and the phases in them.

Of rows M (n, width) in the order of the group, u = c_k M and v = s_k M span the plane of frequency
k in width space (coordinates.py).

    overlap    ||Q_a^T Q_b||_F^2 / min(rank_a, rank_b), Q an orthonormal basis of several planes'
               span: the mean squared cosine of the principal angles, 0..1. It compares directions
               of width, so it says something of two checkpoints of one run; two seeds overlap by
               `chance` = max(rank_a, rank_b) / width, the mean over all turnings of one side.
    alignment  of the matrices F_k = the part of M at frequency k: the largest <F_a Q, F_b> over the
               orthogonal Q, over ||F_a|| ||F_b||. Width space may be turned at will, so runs of
               different seeds compare; what is left is how the residues' phases agree. With
               G = [[u.u, u.v], [u.v, v.v]] it is sqrt((tr G_a G_b + 2 sqrt(det G_a det G_b)) /
               (tr G_a tr G_b)): 1 for two circles, |cos(phase_a - phase_b)| for two lines. Noise
               of 128 columns has .996, so its mean over DRAWS orders of the residues is beside it.
    anisotropy sqrt((u.u - v.v)^2 + 4 (u.v)^2) / (u.u + v.v): 0 for a circle, 1 for a line
    phase      -1/2 arg(u.u - v.v + 2 i u.v), in (-pi/2, pi/2]: along its longest axis the embedding
               is cos(2 pi k a / n + phase), as the waves of neurons are. None for a circle, which
               has no longest axis.

At Nyquist v is 0, so any two embeddings are lines that align: there alignment, anisotropy and phase
are None. The overlap is not: u is a direction of width like any other.

Source: docs/maths.md, "Comparing two checkpoints".
"""

from collections.abc import Sequence
from math import atan2, hypot, sqrt
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis, first_largest, spectrum

PLANES = 5  # our choice; fewer where there are fewer frequencies
DRAWS = 100  # orders of the residues of either side, from default_rng(0)


class PlaneOverlap(msgspec.Struct, frozen=True):
    """How much of one span of planes lies in the other; the frequencies are those of the planes."""

    overlap: float
    chance: float
    frequencies_a: list[int]
    frequencies_b: list[int]


class Ellipse(msgspec.Struct, frozen=True):
    """The residues at one frequency: u.u, u.v and v.v, and what follows from them."""

    uu: float
    uv: float
    vv: float

    @property
    def power(self) -> float:
        """The power of the embedding at the frequency."""
        return self.uu + self.vv

    @property
    def anisotropy(self) -> float | None:
        """0 for a circle, 1 for a line; None where there is no power."""
        if self.power < NEGLIGIBLE**2:
            return None
        return hypot(self.uu - self.vv, 2 * self.uv) / self.power

    @property
    def phase(self) -> float | None:
        """That of the longest axis, in radians; None where none is longest."""
        if (self.anisotropy or 0.0) < NEGLIGIBLE:
            return None
        # From 0.0, for of -0.0 the angle would be -pi, which is out of range.
        return atan2(0.0 - 2 * self.uv, self.uu - self.vv) / 2


def _directions(rows: Array, frequencies: Sequence[int]) -> Array:
    """u and v of each frequency, (2 * frequencies, width)."""
    at = np.asarray(frequencies, dtype=np.int64) - 1
    return np.concatenate([part[at] @ rows for part in basis(len(rows))])


def _orthonormal(vectors: Array) -> Array:
    """An orthonormal basis (rank, width) of what the rows span, rounding left out."""
    _, values, directions = np.linalg.svd(vectors, full_matrices=False)
    kept: Array = directions[values > max(NEGLIGIBLE, NEGLIGIBLE * values.max(initial=0.0))]
    return kept


def strongest_planes(matrix: ArrayLike, count: int = PLANES) -> list[int]:
    """The frequencies of most power in `matrix` (n, width), ascending; Nyquist has no plane."""
    power = spectrum(matrix).power[: (len(np.asarray(matrix)) - 1) // 2]
    left = np.arange(len(power))
    # One after another, so that of those equal but for rounding the lowest is meant each time.
    for _ in range(min(count, len(power))):
        left = np.delete(left, first_largest(power[left]))
    return sorted({*range(1, len(power) + 1)} - {*(left + 1).tolist()})


def plane_overlap(
    a: ArrayLike, b: ArrayLike, frequencies: tuple[Sequence[int], Sequence[int]] | None = None
) -> PlaneOverlap | None:
    """The overlap of the planes of two embeddings (n, width) of one width, rows in group order.

    By default the strongest PLANES of each. None where the widths differ, where one has no such
    plane or is not finite.
    """
    A, B = (np.asarray(rows, dtype=np.float64) for rows in (a, b))
    if A.shape != B.shape or not (np.isfinite(A).all() and np.isfinite(B).all()):
        return None
    of_a, of_b = frequencies or (strongest_planes(A), strongest_planes(B))
    Q_a, Q_b = _orthonormal(_directions(A, of_a)), _orthonormal(_directions(B, of_b))
    ranks = len(Q_a), len(Q_b)
    if not min(ranks):
        return None
    overlap = min(1.0, float(np.sum((Q_a @ Q_b.T) ** 2)) / min(ranks))
    return PlaneOverlap(overlap, max(ranks) / A.shape[1], list(of_a), list(of_b))


def ellipse(matrix: ArrayLike, frequency: int) -> Ellipse:
    """What `matrix` (n, width) has at one frequency, rows in the order of the group."""
    u, v = _directions(np.asarray(matrix, dtype=np.float64), [frequency])
    return Ellipse(float(u @ u), float(u @ v), float(v @ v))


def alignment(a: Ellipse, b: Ellipse) -> float | None:
    """How the phases of the residues agree at one frequency, 0..1; None where one has no power."""
    powers = a.power * b.power
    if not NEGLIGIBLE**2 <= min(a.power, b.power) <= max(a.power, b.power) < np.inf:
        return None
    areas = sqrt(max(0.0, a.uu * a.vv - a.uv**2)) * sqrt(max(0.0, b.uu * b.vv - b.uv**2))
    inner = a.uu * b.uu + 2 * a.uv * b.uv + a.vv * b.vv
    return min(1.0, sqrt(max(0.0, inner + 2 * areas) / powers))


def alignment_chance(a: ArrayLike, b: ArrayLike, frequency: int) -> float | None:
    """The mean alignment of two embeddings where the residues of one are in a random order.

    Of either in turn, in the same DRAWS orders, so that it is the same for (b, a). `a` and `b` are
    (n, width), of any widths; None where `alignment` is.
    """
    A, B = (np.asarray(rows, dtype=np.float64) for rows in (a, b))
    of_a, of_b = ellipse(A, frequency), ellipse(B, frequency)
    one, other = _reordered(A, frequency), _reordered(B, frequency)
    found = [*(alignment(x, of_b) for x in one), *(alignment(of_a, x) for x in other)]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if alignment(of_a, of_b) is not None and known else None


def _reordered(rows: Array, frequency: int) -> list[Ellipse]:
    """The ellipse of `rows` (n, width) in each of the orders."""
    centred = rows - rows.mean(axis=0)
    products = centred @ centred.T  # whatever the width, this is all that is needed
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(len(rows)), (DRAWS, 1)), axis=1)
    c, s = (part[frequency - 1][orders] for part in basis(len(rows)))
    of_c = c @ products
    columns = (of_c * c).sum(axis=1), (of_c * s).sum(axis=1), (s @ products * s).sum(axis=1)
    return [Ellipse(*row) for row in np.transpose(columns).tolist()]


class KeyComparison(msgspec.Struct, frozen=True):
    """A key frequency of either checkpoint: whether b still has it, and the embeddings there.

    At Nyquist alignment, anisotropy and phase are null: any two embeddings would have 1, 1 and 0.
    """

    frequency: int
    change: Literal["kept", "gained", "lost"]
    share_a: float | None
    share_b: float | None
    overlap: float | None
    overlap_chance: float | None
    alignment: float | None
    alignment_chance: float | None
    anisotropy_a: float | None
    anisotropy_b: float | None
    phase_a: float | None
    phase_b: float | None


def compare_keys(
    a: ArrayLike | None, b: ArrayLike | None, keys_a: Sequence[int], keys_b: Sequence[int]
) -> list[KeyComparison]:
    """Every key of either set, ascending; what needs embeddings (n, width) is None without."""
    rows = [None if one is None else np.asarray(one, dtype=np.float64) for one in (a, b)]
    # Of numbers that are none nothing follows.
    rows = [None if one is None or not np.isfinite(one).all() else one for one in rows]
    shares = [None if one is None else spectrum(one).share for one in rows]
    return [_key(k, k in keys_a, k in keys_b, rows, shares) for k in sorted({*keys_a, *keys_b})]


def _key(
    k: int, in_a: bool, in_b: bool, rows: list[Array | None], shares: list[Array | None]
) -> KeyComparison:
    a, b = rows
    at_a, at_b = (None if one is None or 2 * k == len(one) else one for one in rows)
    of_a, of_b = (None if one is None else ellipse(one, k) for one in (at_a, at_b))
    overlap = None if a is None or b is None else plane_overlap(a, b, ([k], [k]))
    share_a, share_b = (None if share is None else float(share[k - 1]) for share in shares)
    return KeyComparison(
        frequency=k,
        change="kept" if in_a and in_b else "gained" if in_b else "lost",
        share_a=share_a,
        share_b=share_b,
        overlap=overlap.overlap if overlap else None,
        overlap_chance=overlap.chance if overlap else None,
        alignment=alignment(of_a, of_b) if of_a and of_b else None,
        alignment_chance=None if at_a is None or at_b is None else alignment_chance(at_a, at_b, k),
        anisotropy_a=of_a.anisotropy if of_a else None,
        anisotropy_b=of_b.anisotropy if of_b else None,
        phase_a=of_a.phase if of_a else None,
        phase_b=of_b.phase if of_b else None,
    )
