"""Frequencies of neurons: eight products one at a time, known answers, ties, the dead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.fourier import Array
from tests.support.reference_maths import slow_explained
from tests.support.whole import neurons_of, whole_explained


def grid(n: int, frequency: int) -> tuple[Array, Array]:
    """2 pi k a / n and 2 pi k b / n, (n, 1) and (1, n)."""
    angle = 2 * np.pi * frequency * np.arange(n) / n
    return angle[:, None], angle[None, :]


@pytest.mark.parametrize("n", [2, 3, 5, 7, 6, 8, 9, 12, 15, 59, 97, 113, 118])
def test_explained_equals_the_eight_products(n: int) -> None:
    """FVE of every frequency equals the energy of its 8 terms, one neuron at a time."""
    activations = np.random.default_rng(n).normal(size=(n, n, 3))
    sums = neurons_of(activations)
    found, energy = sums.explained, sums.energy
    assert energy == pytest.approx(activations.var(axis=(0, 1)) * n**2)
    for neuron in range(3):
        np.testing.assert_allclose(found[:, neuron], slow_explained(activations[:, :, neuron]))


def test_neurons_of_one_frequency_cluster() -> None:
    """cos(w a) + cos(w b), its product, and a dead neuron: frequency, fve 1, and dead."""
    a = 2 * np.pi * np.arange(59) / 59
    one = np.cos(7 * a)[:, None] + np.cos(7 * a)[None, :]
    two = np.sin(29 * a)[:, None] * np.cos(29 * a)[None, :] + 5
    found = neurons_of(np.stack([one, two, np.full((59, 59), 0.3)], axis=2)).neurons
    assert found.frequency.tolist() == [7, 29, 0]
    assert found.fve.tolist() == [pytest.approx(1), pytest.approx(1), 0]
    assert found.dead.tolist() == [False, False, True]
    assert (found.clusters, found.live, found.clustered_share) == ({7: 1, 29: 1}, 2, 1.0)


def test_neurons_that_are_all_dead() -> None:
    """A layer of constants has no cluster and no mean, and no NaN."""
    found = neurons_of(np.zeros((5, 5, 2))).neurons
    assert (found.clusters, found.clustered_share, found.mean_fve) == ({}, None, None)


@pytest.mark.parametrize("n", [3, 5, 7, 59, 97, 113])
def test_each_of_the_eight_terms_is_one_frequency(n: int) -> None:
    """Any of the 8 products at k, lowest or (p-1)/2, is explained whole by k and by no other."""
    for k in {1, (n - 1) // 2}:
        a, b = grid(n, k)
        one = np.ones((1, n))
        alone = [np.cos(a) * one, np.sin(a) * one, one.T * np.cos(b), one.T * np.sin(b)]
        both = [f(a) * g(b) for f in (np.cos, np.sin) for g in (np.cos, np.sin)]
        found = neurons_of(np.stack(alone + both, axis=2)).explained
        np.testing.assert_allclose(found[k - 1], 1)
        assert found.sum() == pytest.approx(8)


@given(st.sampled_from([2, 3, 5, 6, 7, 12]), st.integers(0, 999), st.floats(-100, 100))
def test_an_offset_explains_nothing(n: int, seed: int, offset: float) -> None:
    """Neurons are centred: a constant changes no share, and shares sum to at most 1."""
    activations = np.random.default_rng(seed).normal(size=(n, n, 3))
    found = neurons_of(activations).explained
    np.testing.assert_allclose(neurons_of(activations + offset).explained, found, atol=1e-9)
    assert np.all(found.sum(axis=0) <= 1 + 1e-12)


def test_float32_activations_are_summed_in_float64() -> None:
    """What a model returns is read as exactly as its float64 copy."""
    activations = np.random.default_rng(0).normal(3, 1, size=(59, 59, 8)).astype(np.float32)
    single, double = neurons_of(activations), neurons_of(activations.astype(np.float64))
    np.testing.assert_allclose(single.explained, double.explained, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(single.energy, double.energy, rtol=1e-12)


def test_the_lowest_of_equal_frequencies_is_the_neurons() -> None:
    """Equal waves at 4 and 9 tie but for rounding: the neuron's frequency is 4, fve one half."""
    waves = [np.cos(grid(23, k)[0] + phase) for phase in np.arange(20) for k in (4, 9)]
    pairs = [np.broadcast_to(x + y, (23, 23)) for x, y in zip(waves[::2], waves[1::2], strict=True)]
    found = neurons_of(np.stack(pairs, axis=2)).neurons
    assert set(found.frequency.tolist()) == {4}
    assert found.fve == pytest.approx(0.5)
    assert not found.clustered.any()


def test_constant_neurons_are_dead_beside_rounding() -> None:
    """A layer of constants that binary fractions cannot hold is dead, not noise of its own mean."""
    found = neurons_of(np.full((59, 59, 2), 0.3)).neurons
    assert found.dead.all()
    assert (found.frequency.tolist(), found.fve.tolist()) == ([0, 0], [0, 0])


def test_a_millionth_of_the_largest_neuron_is_dead() -> None:
    """Dead: centred energy at most 1e-12 of the largest; a little above it a neuron lives."""
    wave = np.broadcast_to(np.cos(grid(7, 2)[0]), (7, 7))
    found = neurons_of(np.stack([wave, 0.9e-6 * wave, 1.1e-6 * wave], axis=2)).neurons
    assert found.dead.tolist() == [False, True, False]
    assert found.live == 2
    assert found.mean_fve == pytest.approx(1)


@pytest.mark.parametrize("n", [3, 7, 12, 59, 113])
def test_neurons_read_by_rows_equal_those_of_the_whole(n: int) -> None:
    """Running sums, and energies put together from those of each a, equal one pass over all.

    Sums of n^2 numbers of size s differ by at most n^2 eps of n^2 s in either order; powers are
    squares of them over energies of the size n^2 s^2.
    """
    activations = np.random.default_rng(n).normal(1, 1, size=(n, n, 4)).astype(np.float32)
    sums, (share, energy) = neurons_of(activations), whole_explained(activations)
    rounding = 8 * n**2 * np.finfo(float).eps
    np.testing.assert_allclose(sums.energy, energy, rtol=rounding)
    np.testing.assert_allclose(sums.explained, share, rtol=rounding, atol=rounding)
