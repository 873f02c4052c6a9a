"""What a series has of a checkpoint: the single figures, each rounded once."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grokprobe.analysis.coordinates import explained_share, frequency_plane, strongest_plane
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.series.plane import read_plane
from tests.support.reference_maths import slow_r_squared, slow_spectrum

MATRICES = st.integers(3, 12).flatmap(
    lambda n: arrays(np.float64, (n, 5), elements=st.floats(-4, 4, width=32))
)


def slow_plane(matrix: Array, frequency: int) -> list[list[float]]:
    """Coordinates by the definition: Gram and Schmidt on the rows' cosine and sine sums."""
    n, width = matrix.shape
    angle = [2 * math.pi * frequency * a / n for a in range(n)]
    u = [sum(math.cos(angle[a]) * matrix[a, j] for a in range(n)) for j in range(width)]
    v = [sum(math.sin(angle[a]) * matrix[a, j] for a in range(n)) for j in range(width)]
    e1 = [x / math.hypot(*u) for x in u]
    along = math.fsum(x * e for x, e in zip(v, e1, strict=True))
    w = [x - along * e for x, e in zip(v, e1, strict=True)]
    e2 = [x / math.hypot(*w) for x in w]
    return [[math.fsum(row * e) for e in (np.array(e1), np.array(e2))] for row in matrix]


def circle(n: int, frequency: int, radius: float) -> Array:
    """Rows on a circle, in a plane of four dimensions."""
    turn = 2 * np.pi * frequency * np.arange(n) / n
    plane = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))[0]
    rows: Array = radius * np.stack([np.cos(turn), np.sin(turn)], axis=1) @ plane.T
    return rows


@given(n=st.integers(5, 30), share=st.floats(0, 1), radius=st.floats(1e-3, 1e3))
def test_a_circle_is_seen_as_one(n: int, share: float, radius: float) -> None:
    """Its radius, all of its variance, and a perfect fit, at any frequency that has a plane."""
    frequency = 1 + int(share * ((n - 1) // 2 - 1))
    found = read_plane(circle(n, frequency, radius), frequency)
    assert found.radius == np.float32(found.radius)
    figures = (found.radius / radius, found.r_squared, found.explained_share)
    np.testing.assert_allclose(np.array(figures, np.float64), 1, rtol=1e-6)
    assert strongest_plane(circle(n, frequency, radius)) == frequency


@given(matrix=MATRICES, data=st.data())
def test_a_plane_is_the_definition(matrix: Array, data: st.DataObject) -> None:
    """Points, radius, fit and share of any matrix, rounded once from the double answer."""
    n = len(matrix)
    frequency = data.draw(st.integers(1, (n - 1) // 2))
    found, points = read_plane(matrix, frequency), frequency_plane(matrix, frequency)
    np.testing.assert_array_equal(found.points, points.astype(np.float32))
    assert found.points.dtype == np.float32
    share = explained_share(points, matrix)
    assert found.explained_share == (None if share is None else float(np.float32(share)))
    cosine, sine, _ = slow_spectrum(matrix)
    # Where there are no two directions, rounding decides where they point.
    if min(cosine[frequency - 1], sine[frequency - 1], *np.ptp(points, axis=0)) > 1e-3:
        expected = np.array(slow_plane(matrix, frequency))
        np.testing.assert_allclose(found.points, expected, atol=1e-4)
        fit = slow_r_squared(expected, frequency)
        np.testing.assert_allclose(float(found.r_squared or 0), fit, atol=1e-4)


@given(matrix=MATRICES)
def test_a_matrix_that_does_not_vary_has_no_figures(matrix: Array) -> None:
    """Nulls, never NaN."""
    found = read_plane(np.zeros_like(matrix), 1)
    assert (found.radius, found.r_squared, found.explained_share) == (0, None, None)
    assert not found.points.any()


def test_what_is_beyond_single_precision_is_infinite() -> None:
    """No warning, no error."""
    assert math.isinf(read_plane(circle(7, 2, 1e39), 2).radius)
