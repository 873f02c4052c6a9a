"""The discrete Fourier transform over a cyclic group of order n, and its spectrum.

Convention, stated once; every other file refers to it. Row vectors over a = 0..n-1:

    e_0(a) = 1/sqrt(n)
    c_k(a) = sqrt(2/n) cos(2 pi k a / n)        k = 1..floor(n/2)
    s_k(a) = sqrt(2/n) sin(2 pi k a / n)        k = 1..ceil(n/2)-1

They are orthonormal. For even n the Nyquist frequency k = n/2 has the cosine row
c_k(a) = (-1)^a / sqrt(n) and no sine row. Source: docs/maths.md, "Fourier basis over Z_p"; the key
frequencies of Nanda et al. 2023, section 4, are read off this spectrum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.cached import cached_property
from grokprobe.errors import InvalidInput

Array = NDArray[np.float64]

# Below this a norm is rounding error: what would be divided by it is undefined, so None.
NEGLIGIBLE = 1e-9


def frequencies(order: int) -> NDArray[np.int64]:
    """Every frequency of the group, 1..floor(order/2): the only place that enumerates them."""
    return np.arange(1, order // 2 + 1)


@lru_cache(maxsize=16)
def basis(order: int) -> tuple[Array, Array]:
    """Cosine and sine rows, each (frequencies, order), read-only; the Nyquist sine row is zero."""
    angle = 2 * np.pi * np.outer(frequencies(order), np.arange(order)) / order
    cosine, sine = np.sqrt(2 / order) * np.cos(angle), np.sqrt(2 / order) * np.sin(angle)
    if order % 2 == 0:
        cosine[-1] /= np.sqrt(2)
        sine[-1] = 0  # not rounding error of sin(pi a): the row does not exist
    cosine.flags.writeable = sine.flags.writeable = False
    return cosine, sine


def gini(values: ArrayLike) -> float | None:
    """Gini coefficient of non-negative values: 0 all equal, 1 - 1/n all in one; None if all zero.

    sum_i (2i - n - 1) x_i / (n sum x) over the ascending x, i from 1.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    n = x.size
    if np.linalg.norm(x) < NEGLIGIBLE:  # of norms: exactly where `shares` of their squares is None
        return None
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / (n * x.sum()))


def shares(power: ArrayLike) -> Array | None:
    """power_k / sum of power, (frequencies,); None where nothing varies."""
    values = np.asarray(power, dtype=np.float64)
    varying = values.sum()
    return None if varying < NEGLIGIBLE**2 else np.asarray(values / varying)


def first_largest(values: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The index of the largest along the first axis; the lowest of those equal but for rounding."""
    largest = values.max(axis=0)
    tied = values >= largest - NEGLIGIBLE * np.abs(largest)
    first: NDArray[np.int64] = tied.argmax(axis=0)
    return first


def key_rows(keys: Sequence[int], count: int) -> NDArray[np.int64]:
    """Where each key stands among the `count` frequencies of a group: the key 1 at 0.

    Raises InvalidInput for one that is no frequency of the group or stands twice.
    """
    for key in keys:
        if not 1 <= key <= count:
            raise InvalidInput("keys", f"must be frequencies 1..{count}, got {key}")
    if len(set(keys)) < len(keys):
        raise InvalidInput("keys", f"must be distinct, got {', '.join(map(str, keys))}")
    return np.asarray(keys, dtype=np.int64) - 1


def key_share(power: ArrayLike, keys: Sequence[int]) -> float | None:
    """The share of the power (frequencies,) at the keys; None without keys or where nothing varies.

    Raises InvalidInput as `key_rows` does.
    """
    share = shares(power)
    rows = key_rows(keys, np.size(power))
    return None if share is None or rows.size == 0 else float(share[rows].sum())


@dataclass(frozen=True)
class Powers:
    """How ||M||_F^2 is spread over the parts of a group's basis: frequencies, or irreps.

    `power`, (parts,), leaves out the constant; with constant_power it sums to ||M||_F^2 (Parseval).
    """

    constant_power: float
    power: Array

    @property
    def total_power(self) -> float:
        """||M||_F^2: the constant and every part."""
        return self.constant_power + float(self.power.sum())

    @cached_property
    def share(self) -> Array | None:
        """power_k / sum of power, the constant excluded; None for a matrix of equal rows."""
        return shares(self.power)

    @property
    def gini_frequencies(self) -> float | None:
        """Gini coefficient of sqrt(power_k): blind to the phase within a frequency."""
        return gini(np.sqrt(self.power))

    @property
    def ipr(self) -> float | None:
        """Inverse participation ratio, sum of share_k^2: 1 for one part, 1/n_k if flat."""
        return None if self.share is None else float(np.sum(self.share**2))

    @property
    def participation(self) -> float | None:
        """1 / ipr: how many parts there would be if all were equal."""
        return None if self.ipr is None else 1 / self.ipr

    @property
    def max_share(self) -> float | None:
        """The largest share."""
        return None if self.share is None else float(self.share.max())

    def top_share(self, count: int) -> float | None:
        """The sum of the `count` largest shares."""
        return None if self.share is None else float(np.sort(self.share)[::-1][:count].sum())

    def top_share_with_constant(self, count: int) -> float | None:
        """The same with the constant among the parts and in their sum; None for a zero matrix."""
        share = shares([self.constant_power, *self.power])
        return None if share is None else float(np.sort(share)[::-1][:count].sum())


@dataclass(frozen=True)
class Spectrum(Powers):
    """The spectrum of a matrix with one row per group element; arrays are (frequencies,).

    power_k = cosine_norm_k^2 + sine_norm_k^2.
    """

    order: int
    cosine_norm: Array
    sine_norm: Array

    @property
    def strongest(self) -> int:
        """The frequency with the largest power; ties go to the lowest."""
        return int(frequencies(self.order)[first_largest(self.power)])

    @property
    def norms(self) -> Array:
        """The order - 1 cosine and sine norms that exist (no Nyquist sine), (order - 1,)."""
        return np.concatenate([self.cosine_norm, self.sine_norm[: (self.order - 1) // 2]])

    @property
    def gini(self) -> float | None:
        """Gini coefficient of `norms`: the concentration that Nanda et al. 2023 report."""
        return gini(self.norms)


def constant_power(M: Array) -> float:
    """||e_0 M||^2 of a matrix with one row per element of a group, whichever."""
    return float(np.sum(M.sum(axis=0) ** 2) / len(M))


def spectrum(matrix: ArrayLike) -> Spectrum:
    """The spectrum of `matrix` (order, width), rows in the order of the group's elements."""
    M = np.asarray(matrix, dtype=np.float64)
    cosine, sine = (np.linalg.norm(rows @ M, axis=1) for rows in basis(M.shape[0]))
    return Spectrum(
        order=M.shape[0],
        constant_power=constant_power(M),
        power=cosine**2 + sine**2,
        cosine_norm=cosine,
        sine_norm=sine,
    )
