"""The norms of a network's parameters, from the arrays alone: no torch is needed."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


def weight_norms(weights: Mapping[str, NDArray[Any]]) -> dict[str, float | None]:
    """The sum of squares of every parameter, and its root."""
    norm = sum(float(np.square(w, dtype=np.float64).sum()) for w in weights.values())
    return {"weight_norm": norm, "weight_l2": sqrt(norm)}
