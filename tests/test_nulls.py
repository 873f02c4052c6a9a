"""The permutation nulls: equal to their slow twins, uniform on noise, at their floor on circles."""

import numpy as np
import pytest

from grokprobe.analysis.coordinates import circle
from grokprobe.analysis.fourier import spectrum
from grokprobe.analysis.nulls import circle_null, spectrum_null
from grokprobe.errors import InvalidInput
from tests.test_coordinates import lifted
from tests.test_fourier import circle_matrix


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


def test_p_values_are_uniform_on_noise() -> None:
    """200 Gaussian embeddings: the Kolmogorov-Smirnov distance stays under its 1 % bound."""
    spectra, circles = [], []
    for seed in range(200):
        matrix = np.random.default_rng(seed).normal(size=(23, 12))
        by_spectrum = spectrum_null(matrix, 99, seed)
        by_circle = circle_null(matrix, spectrum(matrix).strongest, 99, seed)
        assert by_spectrum is not None
        assert by_circle is not None
        spectra.append(by_spectrum.p_value)
        circles.append(by_circle.p_value)
    bound = 1.63 / np.sqrt(200)
    assert kolmogorov_smirnov(spectra) < bound
    assert kolmogorov_smirnov(circles) < bound


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
