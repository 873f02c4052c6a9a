"""Projections and the circle report: known answers, slow twins, and what noise looks like."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.coordinates import (
    circle,
    explained_share,
    frequency_plane,
    principal_components,
)
from grokprobe.analysis.fourier import Array, spectrum
from grokprobe.errors import InvalidInput
from tests.analysis.test_fourier import circle_matrix
from tests.support.reference_maths import slow_r_squared, slow_winding


def lifted(points: Array, width: int = 16, seed: int = 0) -> Array:
    """Points (n, 2) turned into `width` dimensions by an orthonormal map, with an offset."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(width, width))).Q[:2]
    lift: Array = points @ turn + rng.normal(size=width)
    return lift


@pytest.mark.parametrize("order", [3, 5, 6, 7, 8, 9, 15, 59, 97, 113, 118])
@pytest.mark.parametrize("which", ["low", "third", "top"])
def test_a_perfect_circle_is_reported_as_one(order: int, which: str) -> None:
    """r_squared 1, winding f, radius 1, everything explained, also at f = (p-1)/2.

    And where f shares a factor with the order, so that residues lie on one another.
    """
    frequency = {"low": 1, "third": max(1, order // 3), "top": (order - 1) // 2}[which]
    matrix = lifted(circle_matrix(order, frequency))
    found = circle(matrix, frequency)
    assert found.winding == frequency
    assert found.r_squared == pytest.approx(1)
    assert found.radius == pytest.approx(1)
    assert found.radius_cv == pytest.approx(0, abs=1e-9)
    assert found.angle_error_rms == pytest.approx(0, abs=1e-7)
    assert explained_share(frequency_plane(matrix, frequency), matrix) == pytest.approx(1)


def test_noisy_circles_equal_the_slow_twins() -> None:
    """r_squared and winding equal their term-by-term definitions on noisy circles."""
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=(59, 16))
        matrix = lifted(circle_matrix(59, 29)) + 0.3 * noise
        points = frequency_plane(matrix, 29)
        found = circle(matrix, 29)
        assert found.r_squared == pytest.approx(slow_r_squared(points, 29))
        assert found.winding == slow_winding(points - points.mean(axis=0), 29)


def test_the_plane_is_orthonormal() -> None:
    """A plane never explains more than all, and distances in it never grow."""
    matrix = np.random.default_rng(3).normal(size=(13, 2))  # u and v are far from perpendicular
    points = frequency_plane(matrix, 2)
    assert explained_share(points, matrix) == pytest.approx(1)  # two dimensions, all of it
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(matrix, axis=1))


def test_angles_against_a_line_would_be_fooled() -> None:
    """Pure noise does not reach r_squared .6 here, where a line through the angles reads .99."""
    matrix = np.random.default_rng(0).normal(size=(113, 128))
    frequency = spectrum(matrix).strongest
    found = circle(matrix, frequency).r_squared
    assert found is not None
    assert found < 0.65


def test_a_flat_matrix_has_no_circle() -> None:
    """Equal rows: every figure without a reference is None, none is NaN."""
    found = circle(np.ones((7, 3)), 1)
    assert (found.r_squared, found.winding, found.radius_cv, found.axis_cosine) == (None,) * 4
    assert explained_share(frequency_plane(np.ones((7, 3)), 1), np.ones((7, 3))) is None


def test_a_point_at_the_centre_has_no_angle() -> None:
    """A point at the centre leaves winding, phase and angle error None, r_squared defined."""
    half = np.random.default_rng(0).normal(size=(3, 2))
    found = circle(np.vstack([np.zeros((1, 2)), half, -half[::-1]]), 2)
    assert (found.winding, found.phase, found.angle_error_rms) == (None, None, None)
    assert found.r_squared is not None


def test_offsets_that_cancel_have_no_phase() -> None:
    """Points on a line whose signs alternate wind, but have no mean angle and no error about it."""
    a = np.arange(12)
    column = (-1.0) ** a * (1 + 0.3 * np.cos(2 * np.pi * a / 12))
    found = circle(column[:, None], 5)
    assert (found.phase, found.angle_error_rms) == (None, None)
    assert found.winding is not None
    assert found.r_squared is not None


@given(st.sampled_from([3, 5, 6, 7, 12, 13]), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_report_has_no_nan(order: int, width: int, seed: int) -> None:
    """Whatever the matrix, each figure is a number or None, and the shares lie in 0..1."""
    matrix = np.random.default_rng(seed).integers(-1, 2, size=(order, width)).astype(float)
    found = circle(matrix, 1)
    held = explained_share(frequency_plane(matrix, 1), matrix)
    assert all(math.isfinite(x) for x in (*asdict(found).values(), held) if x is not None)
    assert 0 <= (found.r_squared or 0) <= 1 + 1e-9
    assert 0 <= (held or 0) <= 1 + 1e-9


def test_pca_signs_are_fixed() -> None:
    """The largest loading of each component is positive, whatever the sign of the data."""
    matrix = np.random.default_rng(1).normal(size=(11, 6))
    scores = principal_components(matrix, 3)
    np.testing.assert_allclose(scores, -principal_components(-matrix, 3))
    assert np.all(np.diff(scores.var(axis=0)) <= 0)


@pytest.mark.parametrize("frequency", [0, -1, 4, 48])
def test_frequency_outside_the_basis(frequency: int) -> None:
    """A frequency that the basis does not have is refused, the range named."""
    with pytest.raises(InvalidInput, match=r"frequency: must be 1\.\.3"):
        circle(np.eye(7), frequency)


@pytest.mark.parametrize("dimensions", [0, 8])
def test_too_many_components(dimensions: int) -> None:
    """More components than the matrix has are refused by name."""
    with pytest.raises(InvalidInput, match="dimensions"):
        principal_components(np.eye(7), dimensions)
