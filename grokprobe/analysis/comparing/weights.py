"""How far apart two sets of parameters are, a parameter at a time and all together.

    distance = ||A - B||_F        cosine = <A, B> / (||A|| ||B||)

in float64. A parameter that only one side has, or that has another shape there, has neither, and is
left out of the sums of all; nor has one whose figures are not finite, such as a mask. Parameters
are identical if their types, shapes and bytes are: a zero that has another sign is not, nor is one
in another precision.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE

Weights = Mapping[str, NDArray[Any]]


class WeightComparison(msgspec.Struct, frozen=True):
    """One parameter; a shape is null where the side does not have it."""

    name: str
    shape_a: list[int] | None
    shape_b: list[int] | None
    identical: bool
    norm_a: float | None
    norm_b: float | None
    distance: float | None
    cosine: float | None


class AllWeights(msgspec.Struct, frozen=True):
    """All parameters that both sides have in one shape, as one vector."""

    distance: float | None
    cosine: float | None


class _Products(NamedTuple):
    """<A, A>, <B, B>, <A, B> and ||A - B||^2, of one parameter or summed over several."""

    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    apart: float = 0.0

    @property
    def distance(self) -> float:
        return sqrt(self.apart)

    @property
    def cosine(self) -> float | None:
        norms = sqrt(self.aa) * sqrt(self.bb)
        if not NEGLIGIBLE**2 <= norms < np.inf:
            return None
        # Of equal vectors exactly 1, which the product of two roots is not always.
        return 1.0 if self.apart == 0 else max(-1.0, min(1.0, self.ab / norms))


def _products(a: NDArray[Any], b: NDArray[Any]) -> _Products | None:
    """None where one of them is not finite."""
    A, B = (one.astype(np.float64).ravel() for one in (a, b))
    # Not by the three products: of near ones nothing but rounding would be left.
    with np.errstate(invalid="ignore", over="ignore"):
        apart = A - B
        pairs = ((A, A), (B, B), (A, B), (apart, apart))
        found = _Products(*(float(x @ y) for x, y in pairs))
    return found if np.isfinite(found).all() else None


def weight_distance(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """||A - B||_F of one shape; None where figures of one of them are not finite."""
    found = _products(a, b)
    return found.distance if found else None


def compare_weights(a: Weights, b: Weights) -> tuple[list[WeightComparison], AllWeights]:
    """Each parameter of either side that holds real numbers, a's first; and all together."""
    rows, products = [], []
    for name in [*a, *(name for name in b if name not in a)]:
        one, other = a.get(name), b.get(name)
        if any(w is not None and w.dtype.kind != "f" for w in (one, other)):
            continue
        found = None
        if one is not None and other is not None and one.shape == other.shape:
            found = _products(one, other)
        if found:
            products.append(found)
        rows.append(_row(name, one, other, found))
    total = _Products(*(sum(parts) for parts in zip(*products, strict=True)))
    if not products:
        return rows, AllWeights(None, None)
    return rows, AllWeights(total.distance, total.cosine)


def _row(
    name: str, a: NDArray[Any] | None, b: NDArray[Any] | None, found: _Products | None
) -> WeightComparison:
    return WeightComparison(
        name=name,
        shape_a=None if a is None else list(a.shape),
        shape_b=None if b is None else list(b.shape),
        identical=a is not None and b is not None and same_array(a, b),
        norm_a=sqrt(found.aa) if found else _norm(a),
        norm_b=sqrt(found.bb) if found else _norm(b),
        distance=found.distance if found else None,
        cosine=found.cosine if found else None,
    )


def _norm(weight: NDArray[Any] | None) -> float | None:
    return None if weight is None else weight_norm(weight)


def weight_norm(weight: NDArray[Any]) -> float | None:
    """||W||_F; None where it is not finite, such as that of a mask."""
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(weight.astype(np.float64)))
    return norm if np.isfinite(norm) else None


def same_array(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether type, shape and every byte are the same."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def same_weights(a: Weights, b: Weights) -> bool:
    """Whether both have the same parameters, each the same to the byte."""
    return a.keys() == b.keys() and all(same_array(a[name], b[name]) for name in a)
