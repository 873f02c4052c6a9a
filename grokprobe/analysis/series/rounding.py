"""Figures of float64, each rounded once to float32: what all series have."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def singles(figures: ArrayLike) -> NDArray[np.float32]:
    """Figures rounded once; what is beyond float32 is infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(figures, dtype=np.float64).astype(np.float32)


def single(figure: float) -> float:
    """A figure rounded once."""
    return float(singles(figure))
