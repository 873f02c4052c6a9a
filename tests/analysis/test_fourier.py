"""The Fourier conventions against a double sum, known answers, and invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.basis import basis_of, smallest_primitive_root
from grokprobe.analysis.fourier import (
    Array,
    basis,
    first_largest,
    frequencies,
    gini,
    key_share,
    spectrum,
)
from grokprobe.errors import InvalidInput
from grokprobe.task import Task
from tests.support.reference_maths import slow_gini, slow_spectrum

PRIMES = [3, 5, 7, 59, 97, 113]


def gaussian(orders: list[int]) -> st.SearchStrategy[Array]:
    """Gaussian matrices of one of the orders and of width 1 to 6."""
    drawn = st.tuples(st.sampled_from(orders), st.integers(1, 6), st.integers(0, 2**32 - 1))
    return drawn.map(lambda t: np.random.default_rng(t[2]).normal(size=t[:2]))


matrices = gaussian([3, 5, 7, 11, 13])
matrices_of_any_order = gaussian([2, 3, 4, 5, 6, 7, 12, 13])


def circle_matrix(order: int, frequency: int) -> Array:
    """A perfect circle at one frequency, (order, 2)."""
    angle = 2 * np.pi * frequency * np.arange(order) / order
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("order", [*PRIMES, 4, 6, 8, 9, 15, 96, 118])
def test_basis_is_orthonormal(order: int) -> None:
    """The constant, cosine and sine rows that exist are an orthonormal basis of R^order."""
    cosine, sine = basis(order)
    rows = np.vstack([np.full(order, order**-0.5), cosine, sine[: (order - 1) // 2]])
    assert rows.shape == (order, order)
    np.testing.assert_allclose(rows @ rows.T, np.eye(order), atol=1e-12)


def test_the_top_frequency_is_searched() -> None:
    """frequencies() ends at (p-1)/2, which the field's own loops leave out, or at Nyquist."""
    assert frequencies(113).tolist() == list(range(1, 57))
    assert frequencies(96).tolist() == list(range(1, 49))


@pytest.mark.parametrize("order", [*PRIMES, 6, 8, 9, 15, 96, 118])
def test_spectrum_equals_the_double_sum(order: int) -> None:
    """The fast form equals the definition summed term by term."""
    matrix = np.random.default_rng(order).normal(size=(order, 3))
    fast, slow = spectrum(matrix), slow_spectrum(matrix)
    np.testing.assert_allclose(fast.cosine_norm, slow[0], atol=1e-12)
    np.testing.assert_allclose(fast.sine_norm, slow[1], atol=1e-12)
    assert fast.constant_power == pytest.approx(slow[2], abs=1e-12)


@pytest.mark.parametrize("order", PRIMES)
def test_power_equals_numpys_transform(order: int) -> None:
    """power_k = 2 |rfft(M, norm="ortho")_k|^2 summed over width, for odd order."""
    matrix = np.random.default_rng(order).normal(size=(order, 5))
    transform = np.fft.rfft(matrix, axis=0, norm="ortho")[1:]
    np.testing.assert_allclose(spectrum(matrix).power, 2 * (np.abs(transform) ** 2).sum(axis=1))


@pytest.mark.parametrize("order", PRIMES)
@pytest.mark.parametrize("top", [False, True])
def test_a_single_circle_has_one_frequency(order: int, top: bool) -> None:
    """A circle at f, or at (p-1)/2, has all its power there: share, ipr 1, gini at its maximum."""
    frequency = int(frequencies(order)[-1 if top else 0])
    found = spectrum(circle_matrix(order, frequency))
    assert found.strongest == frequency
    assert found.share is not None
    assert found.share[frequency - 1] == pytest.approx(1)
    assert found.ipr == pytest.approx(1)
    assert found.gini == pytest.approx(1 - 2 / (order - 1))  # one cosine and one sine norm
    assert found.gini_frequencies == pytest.approx(1 - 2 / (order - 1))


def test_nyquist_has_a_cosine_only() -> None:
    """An alternating column of even order is the Nyquist frequency: no sine, no division by it."""
    found = spectrum(((-1.0) ** np.arange(96))[:, None])
    assert found.strongest == 48
    assert found.cosine_norm[-1] == pytest.approx(np.sqrt(96))
    assert found.sine_norm[-1] == 0
    assert found.norms.size == 95


def test_a_matrix_of_equal_rows_has_null_shares() -> None:
    """Where nothing varies the concentration figures are None, never NaN."""
    found = spectrum(np.ones((7, 4)))
    assert (found.share, found.ipr, spectrum(np.zeros((7, 4))).gini) == (None, None, None)
    assert (found.participation, found.max_share, found.top_share(2)) == (None, None, None)


def test_equal_rows_are_recognised_beside_rounding() -> None:
    """Equal rows of any size have no gini where they have no share: one reference for both."""
    found = spectrum(np.full((113, 128), 1e3))
    assert (found.share, found.gini, found.gini_frequencies) == (None, None, None)


@pytest.mark.parametrize("order", PRIMES)
def test_a_flat_spectrum(order: int) -> None:
    """One residue a dimension: every frequency alike, the strongest of equals the lowest."""
    found = spectrum(np.eye(order))
    count = (order - 1) // 2
    assert found.ipr == pytest.approx(1 / count)
    assert found.participation == pytest.approx(count)
    assert found.gini_frequencies == pytest.approx(0, abs=1e-12)
    assert found.strongest == 1


def test_concentration_figures() -> None:
    """Two circles of power 3 to 1: shares .75 and .25, and what is read off them."""
    found = spectrum(np.hstack([np.sqrt(3) * circle_matrix(59, 29), circle_matrix(59, 4)]))
    assert found.max_share == pytest.approx(0.75)
    assert [found.top_share(m) for m in (0, 1, 2, 99)] == pytest.approx([0, 0.75, 1, 1])
    assert found.participation == pytest.approx(1 / (0.75**2 + 0.25**2))
    assert key_share(found.power, [4]) == pytest.approx(0.25)
    assert key_share(found.power, frequencies(59).tolist()) == pytest.approx(1)


def test_key_share_without_a_reference() -> None:
    """No keys, or nothing that varies: None, not 0."""
    assert key_share([1.0, 2.0], []) is None
    assert key_share([0.0, 0.0], [1]) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([10**30], "got 1000"),
        ([0], r"1\.\.3, got 0"),
        ([2, 4], r"1\.\.3, got 4"),
        ([2, 1, 2], "distinct, got 2, 1, 2"),
    ],
)
def test_keys_must_be_distinct_frequencies(keys: list[int], message: str) -> None:
    """0 is no frequency (and never the last one), nor is one beyond the top; none counts twice."""
    with pytest.raises(InvalidInput, match=f"keys: must be .*{message}"):
        key_share([1.0, 1.0, 1.0], keys)


def test_the_first_of_the_largest() -> None:
    """Ties are settled beside rounding, and below zero too."""
    values = np.array([[1.0, -2.0], [3.0, -1.0], [3.0 + 1e-15, -1.0 + 1e-16]])
    assert first_largest(values).tolist() == [1, 1]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_gini_equals_the_mean_difference(values: list[float]) -> None:
    """The sorted form equals half the relative mean absolute difference, pair by pair."""
    found, expected = gini(values), slow_gini(values)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


@given(matrices_of_any_order)
def test_parseval(matrix: Array) -> None:
    """Constant power and the powers sum to ||M||_F^2; shares sum to 1."""
    found = spectrum(matrix)
    assert found.total_power == pytest.approx(np.sum(matrix**2))
    assert found.share is not None
    assert found.share.sum() == pytest.approx(1)


@given(matrices_of_any_order, st.integers(0, 12))
def test_shifting_the_residues_leaves_the_power_unchanged(matrix: Array, shift: int) -> None:
    """Row a moved to a + shift turns every phase and no power."""
    np.testing.assert_allclose(
        spectrum(np.roll(matrix, shift, axis=0)).power, spectrum(matrix).power, atol=1e-9
    )


@given(matrices, st.integers(1, 12))
def test_multiplying_the_residues_permutes_the_frequencies(matrix: Array, factor: int) -> None:
    """Row a moved to u*a moves the power of frequency k*u to k (as +-k mod p)."""
    p = matrix.shape[0]
    u = factor % p or 1
    moved = spectrum(matrix[np.arange(p) * u % p])
    k = frequencies(p) * pow(u, -1, p) % p
    np.testing.assert_allclose(
        moved.power, spectrum(matrix).power[np.minimum(k, p - k) - 1], atol=1e-9
    )


@pytest.mark.parametrize(("modulus", "root"), [(3, 2), (7, 3), (59, 2), (97, 5), (113, 3)])
def test_discrete_log_basis(modulus: int, root: int) -> None:
    """Multiplication is read in powers of the smallest primitive root: each residue but 0 once."""
    found = basis_of(Task(operation="mul", modulus=modulus))
    assert smallest_primitive_root(modulus) == found.generator == root
    assert sorted(found.residues) == list(range(1, modulus))
    assert (found.group, found.order) == (f"Z_{modulus}*", modulus - 1)


def test_multiplicative_structure_shows_in_its_own_order_only() -> None:
    """A character of Z_p* is one frequency in discrete-log order and spread in natural order."""
    of_group = basis_of(Task(operation="mul", modulus=97))
    matrix = np.zeros((97, 2))
    matrix[of_group.residues] = circle_matrix(96, 7)
    in_order, natural = spectrum(of_group.rows(matrix)), spectrum(matrix)
    assert in_order.strongest == 7
    assert in_order.ipr == pytest.approx(1)
    assert natural.ipr is not None
    assert natural.ipr < 0.05


def test_polynomials_have_no_known_basis() -> None:
    """An operation without a group is read in natural order, and labelled so."""
    found = basis_of(Task(operation="x3+xy", modulus=7))
    assert (found.group, found.reindex, found.order) == ("no known basis", "natural", 7)
