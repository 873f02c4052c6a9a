"""Is the structure more than chance? The same matrix with its residue rows permuted at random.

The null keeps every norm and destroys order. n draws come from one `default_rng(seed)`, one
`rng.permutation(order)` each, in that order. The one-sided p-value is
(1 + #{null >= observed}) / (1 + n), equal but for rounding counting as equal: in a small group
many permutations only turn the residues (20 of 120 for 5 residues). Source: docs/maths.md, "Is the
structure more than chance?".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.coordinates import circle, unit
from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis, key_rows, shares
from grokprobe.errors import InvalidInput

SMALLEST_ORDER = 5
P999_FROM = 1_000  # draws below which a 99.9th percentile is only the maximum again
BATCH = 16  # draws at a time, fewer of a large matrix:
BATCH_VALUES = 2**18  # doubles stay in the cache


@dataclass(frozen=True)
class Null:
    """A statistic against its permutation null; `std` has ddof 1."""

    statistic: str
    permutations: int
    observed: float
    mean: float
    std: float
    max: float
    p999: float | None
    z: float | None
    p_value: float
    seed: int


def summarise(statistic: str, observed: float, draws: Array, seed: int) -> Null:
    """The null's figures from its draws (n,), n >= 2."""
    std = float(draws.std(ddof=1))
    return Null(
        statistic=statistic,
        permutations=draws.size,
        observed=observed,
        mean=float(draws.mean()),
        std=std,
        max=float(draws.max()),
        p999=float(np.quantile(draws, 0.999)) if draws.size >= P999_FROM else None,
        z=None if std < NEGLIGIBLE else (observed - float(draws.mean())) / std,
        p_value=float((1 + np.sum(draws >= observed - NEGLIGIBLE)) / (1 + draws.size)),
        seed=seed,
    )


def _check(order: int, permutations: int) -> None:
    if order < SMALLEST_ORDER:
        raise InvalidInput("null", f"needs at least {SMALLEST_ORDER} residues, this has {order}")
    if permutations < 2:
        raise InvalidInput("null", f"needs at least 2 permutations, got {permutations}")


def _compact(M: Array) -> Array:
    """A matrix (n, min(n, width)) with the same Gram matrix: all that the nulls depend on."""
    n, width = M.shape
    return M if width <= n else np.linalg.qr(M.T).R.T


def _draws(M: Array, permutations: int, seed: int) -> Iterator[Array]:
    """Batches of permuted matrices, (t, order, width) each."""
    rng = np.random.default_rng(seed)
    most = max(1, min(BATCH, BATCH_VALUES // M.size))
    for start in range(0, permutations, most):
        count = min(most, permutations - start)
        rows = np.stack([rng.permutation(M.shape[0]) for _ in range(count)])
        yield M[rows]


def _frequency_powers(matrices: Array) -> Array:
    """power_k of each of the matrices (t, order, width): (t, frequencies)."""
    cosine, sine = basis(matrices.shape[1])
    powers: Array = ((cosine @ matrices) ** 2).sum(axis=2) + ((sine @ matrices) ** 2).sum(axis=2)
    return powers


def _gini_rows(values: Array) -> Array:
    """`fourier.gini` of each row of (t, n)."""
    x, n = np.sort(values, axis=1), values.shape[1]
    ginis: Array = x @ (2.0 * np.arange(1, n + 1) - n - 1) / (n * x.sum(axis=1))
    return ginis


def _share_rows(amplitudes: Array) -> Array:
    power = amplitudes**2
    shares: Array = power / power.sum(axis=1, keepdims=True)
    return shares


def _top_share_rows(amplitudes: Array, count: int) -> Array:
    """The sum of the `count` >= 1 largest shares of each row."""
    tops: Array = np.sort(_share_rows(amplitudes), axis=1)[:, -count:].sum(axis=1)
    return tops


# Of sqrt(power_k), (t, frequencies), and where the keys stand among the frequencies: (t,).
STATISTICS: dict[str, Callable[[Array, NDArray[np.int64]], Array]] = {
    "gini_frequencies": lambda amplitudes, _: _gini_rows(amplitudes),
    "max_share": lambda amplitudes, _: _top_share_rows(amplitudes, 1),
    "top_share": lambda amplitudes, keys: _top_share_rows(amplitudes, keys.size),
    "key_share": lambda amplitudes, keys: _share_rows(amplitudes)[:, keys].sum(axis=1),
}
OF_KEYS = ("key_share", "top_share")


def spectrum_null(
    matrix: ArrayLike,
    permutations: int = 200,
    seed: int = 0,
    statistic: str = "gini_frequencies",
    powers: Callable[[Array], Array] = _frequency_powers,
    keys: Sequence[int] = (),
) -> Null | None:
    """The spectrum of `matrix` (order, width) against its null; None if all rows are equal.

    The statistic is a function of sqrt(power_k). Not `gini`: it also sees the symmetry a -> -a.
    `powers` says whose power: of the frequencies, or of the irreps (irreps.irrep_powers).
    `key_share` asks whether a fixed set is chance, so its keys must come from another matrix.
    Where they come from this one that is double dipping; `top_share` is the answer then: the share
    of the |keys| largest, each draw choosing its own. Both are None if the keys are every frequency
    or none. Raises InvalidInput below 5 residues or 2 permutations, or for keys that are not
    frequencies.
    """
    M = np.asarray(matrix, dtype=np.float64)
    _check(M.shape[0], permutations)
    own = powers(M[None])
    rows = key_rows(keys, own.size)
    if shares(own) is None or (statistic in OF_KEYS and not 0 < rows.size < own.size):
        return None
    measure = STATISTICS[statistic]
    draws = [measure(np.sqrt(powers(m)), rows) for m in _draws(_compact(M), permutations, seed)]
    observed = float(measure(np.sqrt(own), rows)[0])
    return summarise(statistic, observed, np.concatenate(draws), seed)


def _circle_draws(permuted: Array) -> Array:
    """r_squared of each draw (t,) in the plane of its own strongest frequency; 0 without one."""
    c, s = (rows @ permuted for rows in basis(permuted.shape[1]))
    sines = (permuted.shape[1] - 1) // 2  # a plane needs a sine row: no Nyquist
    power = (c**2).sum(axis=2)[:, :sines] + (s**2).sum(axis=2)[:, :sines]
    draw, k = np.arange(len(power)), power.argmax(axis=1)
    u, v = c[draw, k], s[draw, k]
    e1 = unit(u)
    e2 = unit(v - np.sum(v * e1, axis=1, keepdims=True) * e1)
    centred = permuted - permuted.mean(axis=1, keepdims=True)
    projected = [np.einsum("taw,tw->ta", centred, e) for e in (e1, e2)]
    energy = np.sum(np.square(projected), axis=(0, 2))
    # sum_a z_a exp(-i w a) = sqrt(n/2) [(u.e1 + v.e2) + i (u.e2 - v.e1)], and u.e2 = 0.
    along = np.sum(u * e1, axis=1) + np.sum(v * e2, axis=1)
    slip = np.sum(v * e1, axis=1)
    flat = energy < NEGLIGIBLE**2
    explained: Array = np.where(flat, 0.0, along**2 + slip**2) / np.where(flat, 1.0, 2 * energy)
    return explained


def circle_null(
    matrix: ArrayLike, frequency: int, permutations: int = 200, seed: int = 0
) -> Null | None:
    """`circle(matrix, frequency).r_squared` against its null; None where there is no circle.

    Each draw is read at its own strongest frequency, as the default of the report is. Raises
    InvalidInput below 5 residues or 2 permutations, or for a frequency outside the basis.
    """
    M = np.asarray(matrix, dtype=np.float64)
    _check(M.shape[0], permutations)
    observed = circle(M, frequency).r_squared
    if observed is None:
        return None
    draws = [_circle_draws(m) for m in _draws(_compact(M), permutations, seed)]
    return summarise("r_squared", observed, np.concatenate(draws), seed)
