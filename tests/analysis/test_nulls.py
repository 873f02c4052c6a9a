"""The permutation nulls: equal to their slow twins, uniform on noise, at their floor on circles."""

from collections.abc import Callable

import numpy as np
import pytest

from grokprobe.analysis.coordinates import circle
from grokprobe.analysis.fourier import Array, key_share, spectrum
from grokprobe.analysis.nulls import Null, circle_null, spectrum_null
from grokprobe.errors import InvalidInput
from tests.analysis.test_coordinates import lifted
from tests.analysis.test_fourier import circle_matrix


@pytest.mark.parametrize("shape", [(13, 4), (13, 40), (12, 5)])
def test_nulls_equal_one_permutation_at_a_time(shape: tuple[int, int]) -> None:
    """The batched draws are those of a plain loop over rng.permutation, wide matrices included."""
    matrix = np.random.default_rng(5).normal(size=shape)
    rng = np.random.default_rng(7)
    permuted = [matrix[rng.permutation(shape[0])] for _ in range(40)]
    ginis = np.array([spectrum(m).gini_frequencies for m in permuted], dtype=float)
    found = spectrum_null(matrix, 40, seed=7)
    assert found is not None
    assert (found.mean, found.max) == pytest.approx((ginis.mean(), ginis.max()))
    sines = (shape[0] - 1) // 2
    fits = [circle(m, int(np.argmax(spectrum(m).power[:sines])) + 1).r_squared for m in permuted]
    report = circle_null(matrix, 1, 40, seed=7)
    assert report is not None
    assert (report.mean, report.max) == pytest.approx((np.mean(fits), np.max(fits)))  # type: ignore[arg-type]


def kolmogorov_smirnov(p_values: list[float]) -> float:
    """Largest distance between the empirical distribution and the uniform one."""
    x = np.sort(p_values)
    n = x.size
    steps = np.arange(1, n + 1) / n
    return float(max((steps - x).max(), (x - steps + 1 / n).max()))


def p_value(null: Null | None) -> float:
    """The p-value of a null that is there."""
    assert null is not None
    return null.p_value


TESTS: dict[str, Callable[[Array, int], Null | None]] = {
    "gini_frequencies": lambda M, seed: spectrum_null(M, DRAWS, seed),
    "circle": lambda M, seed: circle_null(M, spectrum(M).strongest, DRAWS, seed),
    "fixed keys": lambda M, seed: spectrum_null(M, DRAWS, seed, "key_share", keys=[1, 5, 11]),
    "own keys": lambda M, seed: spectrum_null(M, DRAWS, seed, "top_share", keys=strongest(M, 3)),
}
DRAWS = 99


def strongest(matrix: Array, count: int) -> list[int]:
    """The frequencies with the largest power, ascending."""
    return sorted((np.argsort(spectrum(matrix).power)[-count:] + 1).tolist())


@pytest.mark.parametrize("test", TESTS)
def test_p_values_are_uniform_on_noise(test: str) -> None:
    """200 Gaussian embeddings: the Kolmogorov-Smirnov distance stays under its 1 % bound.

    A p-value of 99 draws is one of .01, .02, ..., 1; less a random part of .01 it is uniform on
    0..1 exactly, which is what the bound is for.
    """
    rng = np.random.default_rng(0)
    found = []
    for seed in range(200):
        p = p_value(TESTS[test](np.random.default_rng(seed).normal(size=(23, 12)), seed))
        found.append(p - rng.random() / (1 + DRAWS))
    assert kolmogorov_smirnov(found) < 1.63 / np.sqrt(200)


def test_keys_of_the_same_matrix_are_double_dipping() -> None:
    """On noise its own five largest reach the floor as fixed keys; among top shares they do not."""
    matrix = np.random.default_rng(0).normal(size=(113, 128))
    own = strongest(matrix, 5)
    fixed = spectrum_null(matrix, statistic="key_share", keys=own)
    chosen = spectrum_null(matrix, statistic="top_share", keys=own)
    assert p_value(fixed) == pytest.approx(1 / 201)
    assert p_value(chosen) > 0.05
    assert fixed is not None
    assert chosen is not None
    assert fixed.observed == pytest.approx(chosen.observed)
    assert fixed.observed == pytest.approx(key_share(spectrum(matrix).power, own))


@pytest.mark.parametrize("statistic", ["key_share", "top_share"])
@pytest.mark.parametrize("keys", [[], [1, 2, 3, 4, 5, 6]])
def test_no_keys_or_every_frequency_have_no_null(statistic: str, keys: list[int]) -> None:
    """A share that is 0 or 1 by construction is not tested."""
    matrix = np.random.default_rng(0).normal(size=(13, 4))
    assert spectrum_null(matrix, statistic=statistic, keys=keys) is None


def test_keys_of_a_null_must_be_frequencies() -> None:
    """A key outside the basis is refused by name."""
    with pytest.raises(InvalidInput, match=r"keys: must be frequencies 1\.\.3, got 4"):
        spectrum_null(np.eye(7), statistic="key_share", keys=[4])


def test_shares_of_keys_equal_one_permutation_at_a_time() -> None:
    """The batched key and top shares are those of a plain loop."""
    matrix, keys = np.random.default_rng(5).normal(size=(12, 5)), [2, 6]
    rng = np.random.default_rng(7)
    each = [spectrum(matrix[rng.permutation(12)]) for _ in range(40)]
    fixed = np.array([key_share(s.power, keys) for s in each], dtype=float)
    tops = np.array([s.top_share(2) for s in each], dtype=float)
    for statistic, slow in (("key_share", fixed), ("top_share", tops)):
        found = spectrum_null(matrix, 40, 7, statistic, keys=keys)
        assert found is not None
        assert (found.mean, found.max) == pytest.approx((slow.mean(), slow.max()))


def test_permutations_that_only_turn_the_residues_count_as_equal() -> None:
    """Of 5 residues 20 permutations in 120 map a circle onto a circle: p is near 1/6, not 1/1000.

    Rounding makes half of those draws a little smaller than what was observed.
    """
    matrix = circle_matrix(5, 1)
    for found in (
        spectrum_null(matrix, 999),
        spectrum_null(matrix, 999, statistic="max_share"),
        circle_null(matrix, 1, 999),
    ):
        assert p_value(found) == pytest.approx(1 / 6, abs=0.04)
    assert p_value(spectrum_null(np.eye(7))) == 1


@pytest.mark.parametrize("column", [[1, 2, 4, 8, 16, 32, 64], [1, 1, 1, -1, -1, -1]])
def test_a_plane_of_one_dimension_has_a_null(column: list[int]) -> None:
    """One dimension, whose draws may be all Nyquist: figures, never NaN, and r_squared <= 1/2."""
    found = circle_null(np.array(column)[:, None], 1)
    assert found is not None
    assert found.max <= 0.5 + 1e-12
    assert 0 < found.p_value <= 1


@pytest.mark.parametrize(("order", "reading"), [(113, 0.57), (7, 0.98)])
def test_noise_looks_like_a_circle_and_lies_within_its_null(order: int, reading: float) -> None:
    """r_squared of noise of width 128 at its strongest frequency, and the null around it."""
    matrix = np.random.default_rng(3).normal(size=(order, 128))
    found = circle_null(matrix, spectrum(matrix).strongest)
    assert found is not None
    assert found.observed == pytest.approx(reading, abs=0.05)
    assert found.mean - 3 * found.std < found.observed < found.mean + 3 * found.std


def test_a_circle_is_far_above_its_null() -> None:
    """A clear circle reaches the floor of the p-value, 1 / (1 + n), in both nulls."""
    matrix = lifted(circle_matrix(59, 5)) + 0.1 * np.random.default_rng(0).normal(size=(59, 16))
    for found in (spectrum_null(matrix), circle_null(matrix, 5)):
        assert found is not None
        assert found.p_value == pytest.approx(1 / 201)
        assert found.observed > found.max
        assert (found.permutations, found.seed, found.p999) == (200, 0, None)


def test_the_999th_thousandth_needs_a_thousand_draws() -> None:
    """p999 appears from 1,000 draws up and lies between the mean and the maximum."""
    found = spectrum_null(np.random.default_rng(0).normal(size=(11, 3)), 1_000)
    assert found is not None
    assert found.p999 is not None
    assert found.mean < found.p999 <= found.max


def test_equal_rows_have_no_null() -> None:
    """Where nothing varies there is nothing to test: None, not NaN."""
    assert spectrum_null(np.ones((7, 2))) is None
    assert circle_null(np.ones((7, 2)), 1) is None


def test_too_few_residues() -> None:
    """Below five residues a permutation null says nothing and is refused."""
    with pytest.raises(InvalidInput, match="at least 5"):
        spectrum_null(np.eye(3))
