"""Projections of an embedding, and how well a projection is a circle.

For frequency k (rows c_k, s_k of `fourier`): u = c_k M and v = s_k M are two directions in width
space; e1 = u/||u||, e2 = the part of v perpendicular to e1, normalised. The coordinates of the
residue a are x_a = M_a . e1, y_a = M_a . e2. (u and v themselves are oblique: with them, the
"variance in the plane" can exceed 1.) Source: docs/maths.md, "Coordinates on the circle".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.analysis.fourier import NEGLIGIBLE, Array, basis, first_largest, spectrum
from grokprobe.errors import InvalidInput


@dataclass(frozen=True)
class Circle:
    """How well points lie on a circle traversed k times; None where a reference is negligible."""

    radius: float
    radius_cv: float | None
    winding: int | None
    phase: float | None  # radians
    angle_error_rms: float | None  # radians
    r_squared: float | None
    axis_cosine: float | None


def check_frequency(frequency: int, order: int) -> None:
    """Raise InvalidInput unless `frequency` has a cosine and a sine row: 1..ceil(order/2)-1."""
    highest = (order - 1) // 2
    if highest == 0:
        raise InvalidInput("frequency", f"a group of order {order} has no plane of a frequency")
    if not 1 <= frequency <= highest:
        reason = ": the Nyquist frequency has no sine row" if 2 * frequency == order else ""
        raise InvalidInput("frequency", f"must be 1..{highest}, got {frequency}{reason}")


def strongest_plane(matrix: ArrayLike) -> int | None:
    """The frequency of `matrix` (n, width) with the largest share that has a plane; None: none has.

    A plane has a cosine and a sine row. Ties go to the lowest.
    """
    planes = spectrum(matrix).power[: (np.shape(matrix)[0] - 1) // 2]
    return 1 + int(first_largest(planes)) if planes.size else None


def unit(vectors: Array) -> Array:
    """Vectors along the last axis, normalised; zeros where the length is negligible."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units: Array = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm >= NEGLIGIBLE)
    return units


def _directions(M: Array, frequency: int) -> tuple[Array, Array]:
    check_frequency(frequency, M.shape[0])
    cosine, sine = basis(M.shape[0])
    return cosine[frequency - 1] @ M, sine[frequency - 1] @ M


def frequency_plane(matrix: ArrayLike, frequency: int) -> Array:
    """Coordinates (n, 2) of the rows of `matrix` (n, width) in the plane of `frequency`."""
    M = np.asarray(matrix, dtype=np.float64)
    u, v = _directions(M, frequency)
    e1 = unit(u)
    e2 = unit(v - (v @ e1) * e1)
    points: Array = M @ np.stack([e1, e2], axis=1)
    return points


def principal_components(matrix: ArrayLike, dimensions: int) -> Array:
    """Centred PCA scores (n, dimensions) of `matrix` (n, width).

    The sign of each component makes its largest-magnitude loading positive. Raises InvalidInput
    if there are not that many components.
    """
    M = np.asarray(matrix, dtype=np.float64)
    if not 1 <= dimensions <= min(M.shape):
        raise InvalidInput("dimensions", f"must be 1..{min(M.shape)}, got {dimensions}")
    centred = M - M.mean(axis=0)
    loadings = np.linalg.svd(centred, full_matrices=False)[2][:dimensions]
    largest = np.abs(loadings).argmax(axis=1)
    signs = np.where(loadings[np.arange(dimensions), largest] < 0, -1.0, 1.0)
    scores: Array = centred @ (loadings * signs[:, None]).T
    return scores


def explained_share(coordinates: Array, matrix: ArrayLike) -> float | None:
    """The share of the variance of `matrix` (n, width) that orthonormal coordinates hold."""
    M = np.asarray(matrix, dtype=np.float64)
    total = float(np.sum((M - M.mean(axis=0)) ** 2))
    held = float(np.sum((coordinates - coordinates.mean(axis=0)) ** 2))
    return None if total < NEGLIGIBLE**2 else held / total


def _wrap(angle: Array) -> Array:
    wrapped: Array = (angle + np.pi) % (2 * np.pi) - np.pi
    return wrapped


def _angles(
    z: NDArray[np.complex128], frequency: int
) -> tuple[int | None, float | None, float | None]:
    """Winding, phase and the rms of the angle error; all None if a point sits at the centre.

    The last two are None where the offsets cancel and so have no mean direction.
    """
    if np.abs(z).min() < NEGLIGIBLE:
        return None, None, None
    n, theta = z.size, np.angle(z)
    turn = 2 * np.pi * frequency / n
    # Steps are compared with the expected turn before wrapping: raw steps wrap wrongly near n/2.
    steps = _wrap(np.roll(theta, -1) - theta - turn)
    winding = frequency + round(float(steps.sum()) / (2 * np.pi))
    offset = theta - turn * np.arange(n)
    direction = np.exp(1j * offset).mean()
    if abs(direction) < NEGLIGIBLE:
        return winding, None, None
    phase = float(np.angle(direction))
    return winding, phase, float(np.sqrt(np.mean(_wrap(offset - phase) ** 2)))


def _centred(coordinates: Array) -> NDArray[np.complex128]:
    """Points (n, 2) as numbers x + iy around their centre."""
    x, y = (coordinates - coordinates.mean(axis=0)).T
    z: NDArray[np.complex128] = x + 1j * y
    return z


def radius(coordinates: Array) -> float:
    """The mean distance of points (n, 2) from their centre."""
    return float(np.abs(_centred(coordinates)).mean())


def r_squared(coordinates: Array, frequency: int) -> float | None:
    """The share of the plane's variance that the best perfect circle at `frequency` explains.

    |sum_a z_a exp(-2 pi i k a / n)|^2 / (n sum |z_a|^2) of the centred points z = x + iy. (R^2 of
    unwrapped angles against a line reads .9999 on pure noise: never that.)
    """
    z = _centred(coordinates)
    n, energy = z.size, float(np.sum(np.abs(z) ** 2))
    if energy < NEGLIGIBLE**2:
        return None
    turn = np.exp(-2j * np.pi * frequency * np.arange(n) / n)
    return float(np.abs(z @ turn) ** 2 / (n * energy))


def circle(matrix: ArrayLike, frequency: int) -> Circle:
    """The circle report of `matrix` (n, width) in the plane of `frequency`.

    It means nothing without its null (`nulls.circle_null`): the plane is fitted to the very rows
    that it projects, so noise looks like a circle in its own plane.
    """
    M = np.asarray(matrix, dtype=np.float64)
    points = frequency_plane(M, frequency)
    z, mean = _centred(points), radius(points)
    winding, phase, error = _angles(z, frequency)
    u, v = _directions(M, frequency)
    norms = float(np.linalg.norm(u) * np.linalg.norm(v))
    return Circle(
        radius=mean,
        radius_cv=None if mean < NEGLIGIBLE else float(np.abs(z).std() / mean),
        winding=winding,
        phase=phase,
        angle_error_rms=error,
        r_squared=r_squared(points, frequency),
        axis_cosine=None if norms < NEGLIGIBLE**2 else float(u @ v) / norms,
    )
