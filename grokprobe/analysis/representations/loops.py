"""The largest loop of a cloud of points: one-dimensional persistent homology, beside its null.

Two points are joined at a distance d where they are no further apart, three fill a triangle where
all are joined (Vietoris-Rips). A loop is born at the d that closes it and dies at the d that fills
it; the largest is that of the largest persistence, death - birth. Distances are Euclidean in all
dimensions, in units of the largest between two points. Of n points evenly on a unit circle

    birth = 2 sin(pi/n)         death = 2 sin(pi ceil(n/3) / n)         (n >= 4, before that unit)

The null permutes the entries within each column by itself: whole rows permuted leave the cloud as
it is. n draws come from one `default_rng(seed)`, one `rng.permuted(M, axis=0)` each; the p-value is
(1 + #{null persistence >= observed}) / (1 + n), equal but for rounding counting as equal. Source:
docs/maths.md, "Loops".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.nulls import SMALLEST_ORDER
from grokprobe.errors import InvalidInput

DRAWS = 99
SEED = 0
LARGEST = 128  # points: of 250 evenly on a circle ripser takes half a minute, and cannot be stopped
ROUNDING = 1e-6  # of the largest distance: ripser's are float32
MODULUS = 2  # of the coefficients


@dataclass(frozen=True)
class Loop:
    """Birth and death of the largest loop, in units of the largest distance; None without one."""

    birth: float | None
    death: float | None

    @property
    def persistence(self) -> float:
        """death - birth; 0 without a loop."""
        return 0.0 if self.birth is None or self.death is None else self.death - self.birth


def distances(matrix: ArrayLike) -> Array:
    """Euclidean distances of the rows of (n, width), (n, n)."""
    M = np.asarray(matrix, dtype=np.float64)
    M = M - M.mean(axis=0)
    squares = np.sum(M**2, axis=1)
    between = squares[:, None] + squares - 2 * (M @ M.T)
    np.fill_diagonal(between, 0)
    apart: Array = np.sqrt(np.maximum(between, 0))
    return apart


def largest_loop(matrix: ArrayLike) -> Loop | None:
    """The largest loop of the rows of (n, width); None of equal rows, and of more than LARGEST.

    Raises InvalidInput where ripser is not installed.
    """
    unit = _unit(matrix)
    return None if unit is None else _loop(distances(matrix) / unit)


def loop_p_value(matrix: ArrayLike, draws: int = DRAWS, seed: int = SEED) -> float | None:
    """The p-value of the largest loop's persistence.

    None as `largest_loop`, and of fewer than 5 rows.
    """
    M, unit = np.asarray(matrix, dtype=np.float64), _unit(matrix)
    if unit is None or len(M) < SMALLEST_ORDER:
        return None
    rng = np.random.default_rng(seed)
    observed = _loop(distances(M) / unit).persistence
    null = [_loop(distances(rng.permuted(M, axis=0)) / unit).persistence for _ in range(draws)]
    return (1 + sum(value >= observed - ROUNDING for value in null)) / (1 + draws)


def _unit(matrix: ArrayLike) -> float | None:
    """The largest distance; None where it is the rounding of equal rows, and of too many."""
    M = np.asarray(matrix, dtype=np.float64)
    if len(M) > LARGEST:
        return None
    largest = float(distances(M).max(initial=0))
    return largest if largest > ROUNDING * float(np.abs(M).max(initial=0)) else None


def _loop(between: Array) -> Loop:
    """The largest loop of points by their distances (n, n)."""
    born, died = _diagram(between[np.triu_indices(len(between), 1)].astype(np.float32)).T
    if not born.size:
        return Loop(None, None)
    most = int(np.argmax(died - born))
    return Loop(float(born[most]), float(died[most]))


def _diagram(between: NDArray[np.float32]) -> Array:
    """Birth and death of every loop, (loops, 2).

    ripser's compiled part alone: the rest of the package brings scikit-learn and matplotlib.
    """
    try:
        from pyRipser import doRipsFiltrationDM
    except ImportError as error:
        advice = "bring it by: pip install 'grokprobe[topology]'"
        raise InvalidInput(
            "names", f"a loop needs ripser, which is not installed; {advice}"
        ) from error
    if not between.size:
        return np.empty((0, 2))
    found = doRipsFiltrationDM(between, 1, np.inf, MODULUS, False)
    return np.asarray(found["births_and_deaths_by_dim"][1], dtype=np.float64).reshape(-1, 2)
