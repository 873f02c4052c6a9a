"""The irreducible representations of S_5 against their definitions, known answers, invariants."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.groups import basis_of
from grokprobe.analysis.irreps import (
    Irrep,
    irrep_basis,
    irrep_densities,
    irrep_powers,
    irrep_spectrum,
    irreps,
)
from grokprobe.analysis.nulls import spectrum_null
from grokprobe.task import S5, Task, answers
from tests.test_nulls import kolmogorov_smirnov

TASK = Task(operation="s5", modulus=120)
TABLE = answers(TASK).reshape(120, 120)  # TABLE[g, h] = gh
NAMES = ["5", "4 1", "3 2", "3 1 1", "2 2 1", "2 1 1 1", "1 1 1 1 1"]
CLASSES = ["1 1 1 1 1", "2 1 1 1", "2 2 1", "3 1 1", "3 2", "4 1", "5"]  # by lengths of cycles
CHARACTERS = [  # of NAMES at CLASSES, as any textbook prints them
    [1, 1, 1, 1, 1, 1, 1],
    [4, 2, 0, 1, -1, 0, -1],
    [5, 1, 1, -1, 1, -1, 0],
    [6, 0, -2, 0, 0, 0, 1],
    [5, -1, 1, -1, -1, 1, 0],
    [4, -2, 0, 1, 1, 0, -1],
    [1, -1, 1, 1, -1, -1, 1],
]
each_irrep = pytest.mark.parametrize("irrep", irreps(), ids=NAMES)
matrices = st.tuples(st.integers(1, 6), st.integers(0, 2**32 - 1)).map(
    lambda t: np.random.default_rng(t[1]).normal(size=(120, t[0]))
)
elements = st.integers(0, 119)


def cycle_type(permutation: tuple[int, ...]) -> str:
    """The lengths of a permutation's cycles, the longest first."""
    smallest = []
    for start in range(5):
        cycle = [start]
        while (following := permutation[cycle[-1]]) != start:
            cycle.append(following)
        smallest.append(min(cycle))
    return " ".join(str(length) for _, length in Counter(smallest).most_common())


def projector(irrep: Irrep) -> Array:
    """P = d/120 sum_g chi(g^-1) L(g), term by term; L(g) moves the value at y to gy."""
    P = np.zeros((120, 120))
    for g in range(120):
        inverse = int(np.flatnonzero(TABLE[g] == 0)[0])
        for y in range(120):
            P[TABLE[g, y], y] += irrep.dimension / 120 * irrep.character[inverse]
    return P


def planted(irrep: Irrep, width: int = 9) -> Array:
    """A matrix (120, width) whose columns are random mixtures of the entries of rho(g)."""
    rng = np.random.default_rng(irrep.dimension)
    return irrep.matrices.reshape(120, -1) @ rng.normal(size=(irrep.dimension**2, width))


def test_one_irrep_for_each_partition() -> None:
    """Labels and dimensions are those of the character table's first column."""
    found = {irrep.label: irrep.dimension for irrep in irreps()}
    assert found == {name: row[0] for name, row in zip(NAMES, CHARACTERS, strict=True)}


@each_irrep
def test_irreps_are_homomorphisms(irrep: Irrep) -> None:
    """rho(g) rho(h) = rho(gh) for all 14,400 pairs of elements."""
    products = irrep.matrices[:, None] @ irrep.matrices[None]
    np.testing.assert_allclose(products, irrep.matrices[TABLE], atol=1e-12)


@pytest.mark.parametrize(("name", "row"), list(zip(NAMES, CHARACTERS, strict=True)))
def test_characters_are_the_textbook_s(name: str, row: list[int]) -> None:
    """The trace depends on the cycle type alone, and is the published character there."""
    of_class = dict(zip(CLASSES, row, strict=True))
    found = next(irrep for irrep in irreps() if irrep.label == name).character
    np.testing.assert_allclose(found, [of_class[cycle_type(g)] for g in S5], atol=1e-12)


def test_entries_are_an_orthonormal_basis() -> None:
    """Schur: the 120 rows sqrt(d/120) rho_ij are orthonormal, so they span every function."""
    np.testing.assert_allclose(irrep_basis() @ irrep_basis().T, np.eye(120), atol=1e-12)


def test_power_is_that_of_the_projector() -> None:
    """The sum of squared coefficients equals ||P_rho M||_F^2, the projector by its definition."""
    matrix = np.random.default_rng(3).normal(size=(120, 7))
    found = irrep_spectrum(matrix)
    powers = [float(np.sum((projector(irrep) @ matrix) ** 2)) for irrep in irreps()]
    assert [found.constant_power, *found.power] == pytest.approx(powers)
    assert found.labels == tuple(NAMES[1:])
    assert found.dimensions == (4, 5, 6, 5, 4, 1)


@given(matrices)
def test_parseval(matrix: Array) -> None:
    """Constant power and the powers sum to ||M||_F^2; shares sum to 1."""
    found = irrep_spectrum(matrix)
    assert found.total_power == pytest.approx(np.sum(matrix**2))
    assert found.share is not None
    assert found.share.sum() == pytest.approx(1)


@given(matrices, elements)
def test_translation_leaves_the_power_unchanged(matrix: Array, g: int) -> None:
    """Row x moved to gx, or to xg, stays within its irrep."""
    expected = irrep_spectrum(matrix).power
    for moved in (matrix[TABLE[g]], matrix[TABLE[:, g]]):
        np.testing.assert_allclose(irrep_spectrum(moved).power, expected, atol=1e-9)


@pytest.mark.parametrize("irrep", irreps()[1:], ids=NAMES[1:])
def test_a_planted_irrep_is_found_alone(irrep: Irrep) -> None:
    """Functions of one irrep have their power there and nowhere else."""
    found = irrep_spectrum(3 + planted(irrep))
    assert found.share is not None
    share = dict(zip(found.labels, found.share, strict=True))
    assert share.pop(irrep.label) == pytest.approx(1)
    assert list(share.values()) == pytest.approx([0] * 5, abs=1e-12)
    assert found.ipr == pytest.approx(1)
    assert found.gini_frequencies == pytest.approx(1 - 1 / 6)
    assert found.constant_power == pytest.approx(9 * 120 * 9)


def test_equal_rows_have_null_shares() -> None:
    """Where nothing varies the concentration figures and the null are None, never NaN."""
    found = irrep_spectrum(np.ones((120, 2)))
    assert (found.share, found.ipr) == (None, None)
    assert irrep_spectrum(np.zeros((120, 2))).gini_frequencies is None
    assert spectrum_null(np.ones((120, 2)), powers=irrep_densities) is None


@pytest.mark.parametrize("width", [4, 130])
def test_the_null_equals_one_permutation_at_a_time(width: int) -> None:
    """Its draws are the spectra of a plain loop over rng.permutation, for both statistics."""
    matrix = np.random.default_rng(5).normal(size=(120, width))
    rng = np.random.default_rng(7)
    drawn = [irrep_spectrum(matrix[rng.permutation(120)]) for _ in range(40)]
    ginis = [s.gini_frequencies for s in drawn]
    shares = [s.share.max() for s in drawn if s.share is not None]
    for statistic, values, powers in (
        ("gini_frequencies", ginis, irrep_densities),
        ("max_share", shares, irrep_powers),
    ):
        found = spectrum_null(matrix, 40, 7, statistic, powers)
        assert found is not None
        assert found.mean == pytest.approx(np.mean(np.array(values)))
        assert found.std == pytest.approx(np.std(np.array(values), ddof=1))


@pytest.mark.parametrize("statistic", ["gini_frequencies", "max_share"])
def test_p_values_are_uniform_on_noise(statistic: str) -> None:
    """200 Gaussian embeddings: the Kolmogorov-Smirnov distance stays under its 1 % bound."""
    rng, p_values = np.random.default_rng(0), []
    for seed in range(200):
        found = spectrum_null(rng.normal(size=(120, 4)), 99, seed, statistic, irrep_densities)
        assert found is not None
        p_values.append(found.p_value)
    assert kolmogorov_smirnov(p_values) < 1.63 / np.sqrt(200)


@pytest.mark.parametrize("irrep", irreps()[1:], ids=NAMES[1:])
def test_a_planted_irrep_is_far_above_its_null(irrep: Irrep) -> None:
    """Under noise of half its size it reaches the floor of the p-value, 1 / (1 + n)."""
    signal = planted(irrep)
    noise = signal.std() / 2 * np.random.default_rng(0).normal(size=signal.shape)
    for statistic in ("gini_frequencies", "max_share"):
        found = spectrum_null(signal + noise, 200, 0, statistic, irrep_densities)
        assert found is not None
        assert found.p_value == pytest.approx(1 / 201)


def test_s5_is_read_by_irrep() -> None:
    """Its basis is S_5 in natural order, which has no frequencies."""
    found = basis_of(TASK)
    assert (found.group, found.order, found.reindex) == ("S_5", 120, "natural")
    assert (found.generator, found.direction, found.cyclic) == (None, None, False)
    assert found.residues.tolist() == list(range(120))
    assert basis_of(Task(operation="mul", modulus=7)).cyclic
    assert basis_of(Task(operation="x3+xy", modulus=7)).cyclic
