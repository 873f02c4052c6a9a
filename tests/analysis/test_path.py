"""The path of the weights against numpy's singular values, and against what is known of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.series.path import (
    Edge,
    random_walk_shares,
    read_edges,
    read_path,
    update_products,
)
from tests.analysis.test_updates import turning

PATHS = st.tuples(st.integers(2, 9), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-4, 4, width=32))
)


def there(found: Array | None) -> Array:
    """What is not None."""
    assert found is not None
    return found


def products(weights: NDArray[Any]) -> Array:
    """Of all updates of a path (checkpoints, width)."""
    return update_products(weights, weights)


def slow_path(weights: Array, count: int) -> tuple[Array, Array]:
    """Coordinates and shares by the singular values of the stacked weights themselves."""
    X = weights.astype(np.float64) - weights.astype(np.float64).mean(axis=0)
    u, s, _ = np.linalg.svd(X, full_matrices=False)
    coordinates, shares = np.zeros((len(X), count)), np.zeros(count)
    for k in range(min(count, len(s))):
        column = u[:, k] * s[k]
        farthest = column[np.flatnonzero(np.isclose(np.abs(column), np.abs(column).max()))[0]]
        last = column[-1]
        sign = last if abs(last) > 1e-9 * np.abs(column).max() else farthest
        coordinates[:, k] = column if sign >= 0 else -column
        shares[k] = s[k] ** 2 / np.sum(s**2)
    return coordinates, shares


@given(weights=PATHS)
def test_a_path_is_that_of_the_stacked_weights(weights: Array) -> None:
    """Shares and coordinates, sign and all, wherever the singular values tell them apart."""
    found = read_path(products(weights), 3)
    centred = weights.astype(np.float64) - weights.astype(np.float64).mean(axis=0)
    if np.linalg.norm(centred) < 1e-9:
        assert found.shares is None
        assert not found.coordinates.any()
        return
    coordinates, shares = slow_path(weights, 3)
    assert found.shares is not None
    np.testing.assert_allclose(there(found.shares), shares, atol=1e-9)
    gaps = np.abs(np.diff([*np.sqrt(shares), 0.0]))
    deciding = np.abs(coordinates[-1]) / (np.abs(coordinates).max(axis=0) + 1e-300)
    for k in range(3):
        clear = min(gaps[max(0, k - 1)], gaps[k]) > 1e-3 and deciding[k] > 1e-6
        if clear and shares[k] > 1e-6:
            scale = float(np.linalg.norm(centred))
            np.testing.assert_allclose(
                found.coordinates[:, k], coordinates[:, k], atol=1e-5 * scale
            )


@given(weights=PATHS, seed=st.integers(0, 99), shift=st.floats(-10, 10))
def test_what_turnings_shifts_and_scales_do(weights: Array, seed: int, shift: float) -> None:
    """Turned and shifted in weight space distances and shares stay; scaled, shares stay."""
    doubles = weights.astype(np.float64)
    assume(np.linalg.norm(doubles - doubles.mean(axis=0)) > 1e-3)
    one = read_path(products(doubles), 3)
    other = read_path(products(2 * (doubles @ turning(weights.shape[1], seed) + shift)), 3)
    assert one.shares is not None
    assert other.shares is not None
    np.testing.assert_allclose(one.shares, other.shares, atol=1e-7)
    squares = np.sum(one.coordinates**2, axis=0)
    np.testing.assert_allclose(
        np.sum(other.coordinates**2, axis=0), 4 * squares, rtol=1e-6, atol=1e-6
    )
    # Orthogonal to each other and to the mean.
    np.testing.assert_allclose(one.coordinates.sum(axis=0), 0, atol=1e-5)
    gram = one.coordinates.T @ one.coordinates
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-6 * squares[0])


def test_a_straight_line() -> None:
    """One component explains all of it, and ends on the positive side; the others are 0."""
    line = np.outer([0.0, 1, 2, 5], [-3.0, 0, 4])
    found = read_path(products(line), 3)
    np.testing.assert_allclose(found.coordinates[:, 0], [-10, -5, 0, 15], atol=1e-9)
    np.testing.assert_allclose(there(found.shares), [1, 0, 0], atol=1e-12)
    assert not found.coordinates[:, 1:].any()


def test_signs_where_the_end_is_in_the_middle() -> None:
    """The first of those farthest away is positive, whichever way the vectors came out."""
    for sign in (1, -1):
        there_and_back = sign * np.array([[3.0], [-3], [3], [-3], [0]])
        found = read_path(products(there_and_back), 1).coordinates[:, 0]
        np.testing.assert_allclose(found, [3, -3, 3, -3, 0], atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_paths_without_length(count: int) -> None:
    """One checkpoint, or the same again and again: at 0, and no shares."""
    for n in (1, 2, 4):
        found = read_path(products(np.ones((n, 5), np.float32)), count)
        assert found.shares is None
        np.testing.assert_array_equal(found.coordinates, np.zeros((n, count)))


@pytest.mark.filterwarnings("error")
def test_numbers_of_any_size() -> None:
    """The largest of float32 are no trouble; what is beyond float64 has no place."""
    largest = float(np.finfo(np.float32).max)
    far = read_path(products(np.array([[0, 0], [largest, 0], [largest, largest]], np.float32)), 2)
    assert far.shares is not None
    assert np.isfinite(far.coordinates).all()
    beyond = products(np.array([[0.0], [1e200], [0.0]]))
    assert read_path(beyond, 1).shares is None
    assert np.isnan(read_path(beyond, 1).coordinates).all()
    assert read_edges(beyond, 2) == [Edge(None, None)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e308])
def test_what_is_not_finite_has_no_path(value: float) -> None:
    """Nor warns of it, the same at each checkpoint or not."""
    for signs in ([1, 1, 1], [1, -1, 1]):
        found = products(np.outer(signs, [value, 1.0]))
        if not np.isfinite(found).all():
            assert read_path(found, 1).shares is None
            assert np.isnan(read_path(found, 1).coordinates).all()


def test_blocks_of_vectors_join() -> None:
    """Products of two stretches are those of the whole, float32 and wide too."""
    weights = np.random.default_rng(0).normal(size=(9, 9_000)).astype(np.float32)
    whole = products(weights)
    updates = np.diff(weights.astype(np.float64), axis=0)
    np.testing.assert_allclose(whole, updates @ updates.T, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(update_products(weights[4:], weights[:5]), whole[4:, :4], atol=1e-9)


@pytest.mark.parametrize("n", [3, 20, 101])
def test_a_random_walk_has_the_shares_of_a_chain(n: int) -> None:
    """Of even steps 1 / (4 sin^2(pi k / 2n)), by sum (n^2 - 1) / 6; near 6 / (pi k)^2."""
    found = there(random_walk_shares(range(0, 10 * n, 10), 2))
    k = np.array([1, 2])
    expected = 6 / (n * n - 1) / (4 * np.sin(np.pi * k / (2 * n)) ** 2)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    if n > 100:
        np.testing.assert_allclose(found, 6 / (np.pi * k) ** 2, rtol=1e-3)


def test_a_real_walk_comes_near_it() -> None:
    """10,000 dimensions, uneven steps: shares to a twentieth; of even steps a cosine."""
    generator, steps = np.random.default_rng(0), [0, 1, 2, 4, 8, 16, 32, *range(50, 1000, 50)]
    moves = generator.normal(size=(len(steps) - 1, 10_000)) * np.sqrt(np.diff(steps))[:, None]
    found = read_path(moves @ moves.T, 3).shares
    expected = random_walk_shares(steps, 3)
    assert found is not None
    assert expected is not None
    np.testing.assert_allclose(found, expected, rtol=0.05)
    even = generator.normal(size=(99, 10_000))
    first = read_path(even @ even.T, 1).coordinates[:, 0]
    cosine = np.cos(np.pi * (np.arange(100) + 0.5) / 100)
    assert abs(np.corrcoef(first, cosine)[0, 1]) > 0.99


def test_too_short_for_a_walk() -> None:
    """One checkpoint has no path; two have one component."""
    assert random_walk_shares([5], 2) is None
    np.testing.assert_allclose(there(random_walk_shares([5, 9], 2)), [1, 0], atol=1e-12)


@given(
    updates=arrays(np.float32, (7, 9), elements=st.floats(-4, 4, width=32)),
    window=st.integers(2, 5),
)
def test_edges_are_the_largest_ratios(updates: Array, window: int) -> None:
    """Of each window of updates, by their own singular values."""
    doubles = updates.astype(np.float64)
    found = read_edges(doubles @ doubles.T, window)
    assert len(found) == 7 - window + 1
    for i, one in enumerate(found):
        s = np.linalg.svd(doubles[i : i + window], compute_uv=False)
        if s[0] == 0 or s[-1] < 1e-4 * s[0] or s[0] < 1e-6:
            continue
        ratios = s[:-1] / s[1:]
        assert one.position is not None
        assert one.ratio is not None
        assert one.ratio == pytest.approx(ratios.max(), rel=1e-4)
        assert ratios[one.position - 1] == pytest.approx(ratios.max(), rel=1e-4)


def test_edges_that_are_known() -> None:
    """Two directions above noise; one direction and nothing else; nothing at all; too few."""
    strong = np.diag([10.0, 9, 1, 0.9, 0.8])
    [edge] = read_edges(strong @ strong, 5)
    assert edge.position == 2
    assert edge.ratio == pytest.approx(9)
    same = np.ones((4, 4))
    assert read_edges(same, 4) == [Edge(1, None)]
    assert read_edges(np.zeros((4, 4)), 4) == [Edge(None, None)]
    assert read_edges(same, 5) == []
