"""The logits over a group: coefficients against the whole cube, and what leaves them alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.keys import keys_by_logits
from grokprobe.analysis.progress import answer_elements
from grokprobe.task import Task
from tests.support.reference_maths import slow_by_answer, slow_logit_coefficients
from tests.support.whole import by_answer, coefficients_of, cube, sums_of

DIRECTIONS = ["sum", "difference"]


def wave_cube(n: int, keys: list[int], direction: str = "sum", scale: float = 3.0) -> Array:
    """Logits sum over k of scale * cos(2 pi k (a +- b - c) / n): the clock's own."""
    t = answer_elements(n, direction)
    s = t[:, :, None] - np.arange(n)
    waves: Array = scale * np.sum([np.cos(2 * np.pi * k * s / n) for k in keys], axis=0)
    return waves


def noise(n: int, seed: int = 0) -> Array:
    """A cube of Gaussian noise."""
    return np.random.default_rng(seed).normal(size=(n, n, n))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("n", [2, 3, 5, 7, 6, 8, 9, 12, 15])
def test_coefficients_equal_the_whole_cube(n: int, direction: str) -> None:
    """The grouped form equals one scalar product with the cube a frequency, Nyquist included."""
    L = noise(n, n) + wave_cube(n, [1], direction)
    found, (alphas, betas, norm) = (
        coefficients_of(L, direction),
        slow_logit_coefficients(L, direction),
    )
    np.testing.assert_allclose(found.spectrum.cosine_norm, alphas, atol=1e-10)
    np.testing.assert_allclose(found.spectrum.sine_norm, betas, atol=1e-10)
    assert found.norm == pytest.approx(norm)
    assert found.spectrum.constant_power == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shape", [(2, 2, 3), (7, 7, 7), (12, 12, 5)])
def test_grouping_equals_one_pair_at_a_time(shape: tuple[int, int, int], direction: str) -> None:
    """Sums by answer are those of the definition, and of float32 they are taken in float64."""
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(
        by_answer(values, direction),
        slow_by_answer(values.astype(np.float64), direction),
        atol=1e-14,
    )


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("n", [5, 7, 9, 15, 59, 97, 113, 118])
def test_a_pure_wave_is_its_own_key(n: int, direction: str) -> None:
    """Logits at one frequency, the top one too: similarity 1 there, the key set is it alone."""
    for k in (1, (n - 1) // 2):
        found = coefficients_of(wave_cube(n, [k], direction), direction)
        assert found.cosine_similarity is not None
        assert found.cosine_similarity[k - 1] == pytest.approx(1)
        keys = keys_by_logits(found)
        assert keys.frequencies == [k]
        assert (keys.rule, keys.threshold) == ("logits", 0.1)
        assert keys.margin[0] == pytest.approx(1)


def test_multiplication_reads_in_discrete_log_order() -> None:
    """Logits of a solved multiplication: one wave in group order is one key, 0 left out."""
    basis = basis_of(Task(operation="mul", modulus=13))
    full = np.zeros((13, 13, 13))
    full[np.ix_(basis.residues, basis.residues, basis.residues)] = wave_cube(12, [5])
    L = cube(full.reshape(169, 13), basis)
    assert L.shape == (12, 12, 12)
    assert keys_by_logits(coefficients_of(L, "sum")).frequencies == [5]


@given(st.sampled_from([3, 5, 6, 7]), st.sampled_from(DIRECTIONS), st.integers(0, 2**32 - 1))
def test_centring_is_over_the_classes(n: int, direction: str, seed: int) -> None:
    """What every class of a pair shares changes no coefficient and no norm: c is centred."""
    L = noise(n, seed)
    shared = 10 * np.random.default_rng(seed + 1).normal(size=(n, n, 1))
    plain, shifted = (coefficients_of(values, direction) for values in (L, L + shared))
    np.testing.assert_allclose(shifted.spectrum.power, plain.spectrum.power, atol=1e-9)
    assert shifted.norm == pytest.approx(plain.norm)


@given(st.sampled_from([3, 5, 6, 7]), st.integers(0, 2**32 - 1))
def test_similarities_are_shares_of_the_energy(n: int, seed: int) -> None:
    """The squares of all cosine similarities sum to at most 1."""
    fve = coefficients_of(noise(n, seed), "sum").fve
    assert fve is not None
    assert 0 <= fve.sum() <= 1 + 1e-12


@pytest.mark.parametrize("constant", [0.0, 7.7, -500.1])
def test_constant_logits_have_no_similarities(constant: float) -> None:
    """Logits that do not depend on c have nothing to explain: None beside rounding, no keys."""
    found = coefficients_of(np.full((7, 7, 7), constant), "sum")
    assert (found.cosine_similarity, found.fve, found.spectrum.share) == (None, None, None)
    assert keys_by_logits(found).frequencies == []


def test_the_matrix_of_the_logits_is_one_column() -> None:
    """The logits' spectrum is that of G / n, whose constant is 0: gini_frequencies can be read."""
    matrix = sums_of(wave_cube(59, [5, 12]), "sum").matrix
    assert matrix.shape == (59, 1)
    assert matrix.sum() == pytest.approx(0, abs=1e-9)
