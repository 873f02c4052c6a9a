"""Updates between checkpoints: every figure against the singular values themselves."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.comparing.weights import compare_weights
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.series.updates import Update, read_update, update_power
from grokprobe.task import Operation, Task
from tests.support.reference_maths import slow_spectrum

SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7))
ENTRIES = st.floats(-4, 4, width=32)
MATRICES = SHAPES.flatmap(lambda shape: arrays(np.float32, (2, *shape), elements=ENTRIES))


def of(before: NDArray[Any], after: NDArray[Any], top: int = 3) -> Update:
    """The update of one weight."""
    return read_update({"W": before}, {"W": after}, top)


def turning(size: int, seed: int) -> Array:
    """A random orthogonal matrix."""
    return np.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0])


@given(pair=MATRICES, top=st.integers(1, 8))
def test_figures_are_those_of_the_singular_values(pair: NDArray[np.float32], top: int) -> None:
    """All figures of an update, by a singular value decomposition."""
    found = of(pair[0], pair[1], top)
    s = np.linalg.svd(pair[1].astype(np.float64) - pair[0].astype(np.float64), compute_uv=False)
    power = float(np.sum(s**2))
    assert found.norms["W"] == found.norm == pytest.approx(np.sqrt(power), abs=1e-12)
    matrix = found.matrices["W"]
    assert matrix.top_singular_value == pytest.approx(s[0], rel=1e-9, abs=1e-12)
    if np.sqrt(power) < 1e-9:
        assert (matrix.top_share, matrix.participation_ratio) == (None, None)
        return
    assert matrix.top_share == pytest.approx(np.sum(s[:top] ** 2) / power, rel=1e-9)
    assert matrix.participation_ratio == pytest.approx(power**2 / np.sum(s**4), rel=1e-9)


@given(pair=MATRICES, seed=st.integers(0, 99), scale=st.floats(1e-3, 1e3))
def test_what_turnings_and_scales_do(pair: NDArray[np.float32], seed: int, scale: float) -> None:
    """Turned on both sides all figures stay; scaled, norms scale and shares stay."""
    if np.linalg.norm(pair[1] - pair[0]) < 1e-3:
        return
    doubles = pair.astype(np.float64)
    left, right = turning(pair.shape[1], seed), turning(pair.shape[2], seed + 1)
    one, other = of(*doubles), of(*(scale * left @ doubles @ right))
    assert other.norm == pytest.approx(scale * (one.norm or 0), rel=1e-9)
    a, b = one.matrices["W"], other.matrices["W"]
    assert b.top_singular_value == pytest.approx(scale * (a.top_singular_value or 0), rel=1e-9)
    assert (b.top_share, b.participation_ratio) == pytest.approx(
        (a.top_share, a.participation_ratio), rel=1e-9
    )


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_equal_directions_are_counted(rank: int) -> None:
    """`rank` equal singular values have that participation ratio, and 1/rank for the first."""
    D = 0.5 * turning(8, 0)[:, :rank] @ turning(6, 1)[:rank]
    found = of(np.zeros((8, 6)), D, top=1).matrices["W"]
    assert found.participation_ratio == pytest.approx(rank)
    assert (found.top_singular_value, found.top_share) == pytest.approx((0.5, 1 / rank))


def test_what_does_not_move_has_no_shares() -> None:
    """Norm 0, no share, no participation ratio; below 1e-9 likewise; as little as there may be."""
    still = of(np.ones((3, 4), np.float32), np.ones((3, 4), np.float32))
    assert (still.norm, still.matrices["W"].top_singular_value) == (0, 0)
    assert (still.matrices["W"].top_share, still.matrices["W"].participation_ratio) == (None, None)
    hardly = of(np.zeros((3, 4)), np.full((3, 4), 1e-200)).matrices["W"]
    assert hardly.top_singular_value == pytest.approx(12**0.5 * 1e-200)
    assert hardly.top_share is None
    assert read_update({}, {}, 3) == Update(None, {}, {}, [])


@pytest.mark.filterwarnings("error")
def test_numbers_of_any_size() -> None:
    """The largest of float32 are no trouble; what is beyond float64 is left out, never NaN."""
    largest = float(np.finfo(np.float32).max)
    huge = of(np.full((2, 2), -largest, np.float32), np.full((2, 2), largest, np.float32))
    assert huge.norm == pytest.approx(4 * largest)
    assert huge.matrices["W"].participation_ratio == pytest.approx(1)
    beyond = read_update(
        {"W": np.zeros((2, 2)), "v": np.zeros(2)}, {"W": np.full((2, 2), 1e308), "v": np.ones(2)}, 3
    )
    assert (beyond.norm, beyond.norms, beyond.matrices) == (2**0.5, {"v": 2**0.5}, {})


FIGURES = st.sampled_from([0.0, 1.0, -3.5, np.inf, -np.inf, np.nan, 3e38, 1e200, 1e308])


@pytest.mark.filterwarnings("error")
@given(
    numbers=arrays(np.float64, (2, 3, 2, 2), elements=FIGURES),
    types=st.tuples(*[st.sampled_from(["f4", "f8", "i4"])] * 6),
)
def test_norms_are_the_distances_of_a_comparison(
    numbers: NDArray[np.float64], types: tuple[str, ...]
) -> None:
    """Whatever is a mask, beyond what a number may be, or no real number, on one side or both."""
    with np.errstate(all="ignore"):
        typed = [w.astype(t) for w, t in zip(numbers.reshape(6, 2, 2), types, strict=True)]
    before, after = (dict(zip("abc", side, strict=True)) for side in (typed[:3], typed[3:]))
    rows, whole = compare_weights(before, after)
    found = read_update(before, after, 3)
    assert found.norms == {row.name: row.distance for row in rows if row.distance is not None}
    assert set(found.matrices) == set(found.norms)
    if whole.distance is None:
        assert found.norm is None
    else:
        assert found.norm == pytest.approx(whole.distance, rel=1e-12)


def test_only_what_both_have_is_compared() -> None:
    """Names of one side, other shapes and integers: named, or left out."""
    before = {"W": np.ones((2, 3)), "gone": np.ones(2), "grown": np.ones(2), "index": np.arange(3)}
    after = {
        "W": np.ones((2, 3)),
        "new": np.ones(2),
        "grown": np.ones(3),
        "index": np.arange(3) + 1,
    }
    found = read_update(before, after, 3)
    assert found.changed == ["gone", "grown", "new"]
    assert (list(found.norms), list(found.matrices), found.norm) == (["W"], ["W"], 0)


@pytest.mark.parametrize("operation", ["add", "mul", "x2+y2"])
def test_the_power_of_an_update_is_its_spectrum(operation: Operation) -> None:
    """By the double sum, in the order of the operation's group; the constant is left out."""
    basis = basis_of(Task(operation=operation, modulus=7))
    before, after = np.random.default_rng(0).normal(size=(2, 7, 4)).astype(np.float32)
    found = update_power(basis, before, after)
    assert found is not None
    cosine, sine, _ = slow_spectrum(basis.rows(after.astype(np.float64) - before))
    np.testing.assert_allclose(found, np.square(cosine) + np.square(sine), rtol=1e-9)
    moved = update_power(basis, before, before + np.float32(1))
    assert moved is not None
    np.testing.assert_allclose(moved, 0, atol=1e-12)
    assert update_power(basis, before, after[:, :2]) is None
