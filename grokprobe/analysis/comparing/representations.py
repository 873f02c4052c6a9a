"""Do two networks hold the same things apart? Linear CKA of what they make of the same inputs.

Of X (n, width_a) and Y (n, width_b), a row for each input, columns centred over the rows:

    CKA(X, Y) = ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F)

which is the cosine of the two Gram matrices X X^T and Y Y^T of the rows, 0..1: it does not change
when either side's width is turned or scaled, so runs of different seeds and widths compare. It is
far from 0 for noise that is as wide as it is long: so the mean over all permutations of the rows of
one side is beside it, exactly

    null_mean = tr(X^T X) tr(Y^T Y) / ((n - 1) ||X^T X||_F ||Y^T Y||_F)

Source: Kornblith et al. 2019, section 3; docs/maths.md, "Comparing two checkpoints".
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE

Rows = NDArray[np.floating[Any]]


class Similarity(msgspec.Struct, frozen=True):
    """Linear CKA, and its mean where the rows of one side are permuted."""

    cka: float
    null_mean: float


class JointMoments:
    """The products of the columns of X and Y, read some rows at a time.

    The rows are counted from the mean of the first that came, so that a column which hardly varies
    around a large mean is not lost in rounding. Rows in float32 are multiplied in float32, some of
    them at a time, and summed in float64: CKA is exact to 1e-6, in half of the time.
    """

    def __init__(self) -> None:
        self._rows = 0

    def take(self, X: Rows, Y: Rows) -> None:
        """Rows (some, width_a) of X and (some, width_b) of Y."""
        if not self._rows:
            self._origin = X.mean(axis=0), Y.mean(axis=0)
            self._sums = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
            self._xx, self._yy, self._xy = (
                np.zeros((len(a), len(b)))
                for a, b in (
                    (self._sums[0], self._sums[0]),
                    (self._sums[1], self._sums[1]),
                    self._sums,
                )
            )
        self._rows += len(X)
        X, Y = X - self._origin[0], Y - self._origin[1]
        self._sums[0][:] += X.sum(axis=0, dtype=np.float64)
        self._sums[1][:] += Y.sum(axis=0, dtype=np.float64)
        self._xx += X.T @ X
        self._yy += Y.T @ Y
        self._xy += X.T @ Y

    @property
    def similarity(self) -> Similarity | None:
        """Once all rows have been taken; None where a side does not vary, or is not finite."""
        n = self._rows
        if n < 2:
            return None
        sx, sy = self._sums
        xx, yy = self._xx - np.outer(sx, sx) / n, self._yy - np.outer(sy, sy) / n
        xy = self._xy - np.outer(sx, sy) / n
        norms = float(np.linalg.norm(xx) * np.linalg.norm(yy))
        if not NEGLIGIBLE**2 <= norms < np.inf:
            return None
        null_mean = float(np.trace(xx) * np.trace(yy)) / ((n - 1) * norms)
        return Similarity(min(1.0, float(np.sum(xy**2)) / norms), null_mean)


def similarity(x: ArrayLike, y: ArrayLike) -> Similarity | None:
    """Linear CKA of matrices (n, width_a) and (n, width_b) that are at hand."""
    moments = JointMoments()
    moments.take(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    return moments.similarity
