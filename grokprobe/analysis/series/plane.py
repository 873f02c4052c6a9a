"""The residues of a checkpoint in the plane of a frequency, as a series over a run has them.

They are the figures of a single checkpoint (coordinates.py), each rounded once to float32. Source:
docs/maths.md, "Series over a run".
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.coordinates import explained_share, frequency_plane, r_squared, radius
from grokprobe.analysis.series.rounding import single, singles


class Plane(NamedTuple):
    """One checkpoint: `points` (n, 2), and figures of them, None where a reference is negligible.

    All are numbers of float32.
    """

    radius: float
    r_squared: float | None
    explained_share: float | None
    points: NDArray[np.float32]


def read_plane(matrix: ArrayLike, frequency: int) -> Plane:
    """The rows of `matrix` (n, width) in the plane of a frequency. Raises InvalidInput."""
    points = frequency_plane(matrix, frequency)
    return Plane(
        single(radius(points)),
        _single(r_squared(points, frequency)),
        _single(explained_share(points, matrix)),
        singles(points),
    )


def _single(figure: float | None) -> float | None:
    return None if figure is None else single(figure)
