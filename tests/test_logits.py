"""Logits, neurons, key sets, restricted and excluded loss: slow twins and known answers."""

import math

import numpy as np
import pytest

from grokprobe.analysis.fourier import Array, frequencies
from grokprobe.analysis.groups import basis_of
from grokprobe.analysis.keys import keys_by_embedding, keys_by_logits, keys_by_neurons
from grokprobe.analysis.logits import cube, logit_coefficients
from grokprobe.analysis.measures import (
    circularity,
    cross_entropy,
    distance_irrelevance,
    softmax_collapse,
)
from grokprobe.analysis.neurons import explained, read_neurons
from grokprobe.analysis.progress import answer_elements, excluded, restricted
from grokprobe.task import Task, answers
from tests.reference_maths import (
    slow_cross_entropy,
    slow_explained,
    slow_logit_coefficients,
    slow_projection,
)

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
@pytest.mark.parametrize("n", [5, 7, 6, 12])
def test_coefficients_equal_the_whole_cube(n: int, direction: str) -> None:
    """The grouped form equals one scalar product with the cube a frequency, Nyquist included."""
    L = noise(n, n) + wave_cube(n, [1, 2], direction)
    found, (alphas, betas, norm) = (
        logit_coefficients(L, direction),
        slow_logit_coefficients(L, direction),
    )
    np.testing.assert_allclose(found.spectrum.cosine_norm, alphas, atol=1e-10)
    np.testing.assert_allclose(found.spectrum.sine_norm, betas, atol=1e-10)
    assert found.norm == pytest.approx(norm)
    assert found.spectrum.constant_power == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("n", [7, 59, 97, 113])
def test_a_pure_wave_is_its_own_key(n: int, direction: str) -> None:
    """Logits at one frequency, the top one too: similarity 1 there, the key set is it alone."""
    for k in (1, (n - 1) // 2):
        found = logit_coefficients(wave_cube(n, [k], direction), direction)
        assert found.cosine_similarity is not None
        assert found.cosine_similarity[k - 1] == pytest.approx(1)
        keys = keys_by_logits(found)
        assert keys.frequencies == [k]
        assert (keys.rule, keys.threshold) == ("logits", 0.1)
        assert keys.margin[0] == pytest.approx(1)


def test_noise_has_no_keys() -> None:
    """An empty set is an answer: noise and constant logits have none, by any rule."""
    assert keys_by_logits(logit_coefficients(noise(23), "sum")).frequencies == []
    assert keys_by_logits(logit_coefficients(np.ones((7, 7, 7)), "sum")).frequencies == []
    rng = np.random.default_rng(0)
    assert keys_by_neurons(read_neurons(rng.normal(size=(11, 11, 20))), 11).frequencies == []
    assert keys_by_embedding(np.ones((7, 3))).frequencies == []


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_restricted_and_excluded_equal_the_slow_projection(direction: str) -> None:
    """The tables over a +- b give the losses of the projection of the whole cube."""
    n, keys = 11, [2, 5]
    L = noise(n, 1) + wave_cube(n, [2], direction)
    train = np.random.default_rng(2).random((n, n)) < 0.4
    projected, t = slow_projection(L, keys, direction), answer_elements(n, direction)
    kept = projected + L.mean(axis=(0, 1))
    losses = cross_entropy(kept.reshape(-1, n), t.ravel()).reshape(n, n)
    found = restricted(L, keys, direction, train)
    assert found.loss == pytest.approx(losses.mean())
    assert found.loss_train == pytest.approx(losses[train].mean())
    assert found.loss_test == pytest.approx(losses[~train].mean())
    assert found.accuracy == pytest.approx(np.mean(kept.argmax(axis=2) == t))
    without = [
        slow_cross_entropy(list(r), int(c))
        for r, c in zip((L - projected)[train], t[train], strict=True)
    ]
    assert excluded(L, keys, direction, train).loss == pytest.approx(np.mean(without))


def test_a_model_of_one_frequency() -> None:
    """Logits cos(2 pi 5 (a+b-c)/p), keys {5}: restricted loss is the loss, excluded is ln p."""
    n = 59
    L = wave_cube(n, [5], scale=20.0)
    whole = cross_entropy(L.reshape(-1, n), answer_elements(n, "sum").ravel()).mean()
    assert restricted(L, [5], "sum", None).loss == pytest.approx(whole, rel=1e-9)
    found = excluded(L, [5], "sum", np.ones((n, n), dtype=bool))
    assert found.loss == pytest.approx(math.log(n), rel=1e-12)
    assert found.per_key == {5: pytest.approx(math.log(n), rel=1e-12)}


def test_every_frequency_as_a_key_restricts_nothing() -> None:
    """Where the logits depend on a + b only, all frequencies together give the loss itself."""
    n = 13
    table = np.random.default_rng(4).normal(size=(n, n))
    t = answer_elements(n, "sum")
    whole = cross_entropy(table[t].reshape(-1, n), t.ravel()).mean()
    found = restricted(table[t], frequencies(n).tolist(), "sum", None)
    assert found.loss == pytest.approx(whole, rel=1e-9)


def test_no_keys_restrict_to_the_mean() -> None:
    """With an empty key set R is the mean over the grid, and excluded loss is the loss."""
    L, train = noise(7), np.ones((7, 7), dtype=bool)
    whole = cross_entropy(L.reshape(-1, 7), answer_elements(7, "sum").ravel()).mean()
    assert excluded(L, [], "sum", train).loss == pytest.approx(whole)
    mean = cross_entropy(np.tile(L.mean(axis=(0, 1)), (7, 1)), np.arange(7)).mean()
    assert restricted(L, [], "sum", None).loss == pytest.approx(mean)


@pytest.mark.parametrize("n", [5, 7, 6, 12])
def test_explained_equals_the_eight_products(n: int) -> None:
    """FVE of every frequency equals the energy of its 8 terms, one neuron at a time."""
    activations = np.random.default_rng(n).normal(size=(n, n, 3))
    found, _ = explained(activations)
    for neuron in range(3):
        np.testing.assert_allclose(found[:, neuron], slow_explained(activations[:, :, neuron]))


def test_neurons_of_one_frequency_cluster() -> None:
    """cos(w a) + cos(w b), its product, and a dead neuron: frequency, fve 1, and dead."""
    a = 2 * np.pi * np.arange(59) / 59
    one = np.cos(7 * a)[:, None] + np.cos(7 * a)[None, :]
    two = np.sin(29 * a)[:, None] * np.cos(29 * a)[None, :] + 5
    found = read_neurons(np.stack([one, two, np.full((59, 59), 0.3)], axis=2))
    assert found.frequency.tolist() == [7, 29, 0]
    assert found.fve.tolist() == [pytest.approx(1), pytest.approx(1), 0]
    assert found.dead.tolist() == [False, False, True]
    assert (found.clusters, found.live, found.clustered_share) == ({7: 1, 29: 1}, 2, 1.0)


def test_neurons_that_are_all_dead() -> None:
    """A layer of constants has no cluster and no mean, and no NaN."""
    found = read_neurons(np.zeros((5, 5, 2)))
    assert (found.clusters, found.clustered_share, found.mean_fve) == ({}, None, None)


def test_multiplication_reads_in_discrete_log_order() -> None:
    """Logits of a solved multiplication: one wave in group order is one key, 0 left out."""
    basis = basis_of(Task(operation="mul", modulus=13))
    full = np.zeros((13, 13, 13))
    full[np.ix_(basis.residues, basis.residues, basis.residues)] = wave_cube(12, [5])
    L = cube(full.reshape(169, 13), basis)
    assert L.shape == (12, 12, 12)
    assert keys_by_logits(logit_coefficients(L, "sum")).frequencies == [5]


def test_answers_of_a_group_are_its_elements() -> None:
    """In group order the answer of (i, j) is i + j for add and mul, i - j for sub and div."""
    for operation, direction in (
        ("add", "sum"),
        ("mul", "sum"),
        ("sub", "difference"),
        ("div", "difference"),
    ):
        task = Task(operation=operation, modulus=13)  # type: ignore[arg-type]
        residues = basis_of(task).residues
        table = answers(task).reshape(13, 13)[np.ix_(residues, residues)]
        assert np.array_equal(residues[answer_elements(len(residues), direction)], table)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_distance_irrelevance_known_answers(direction: str) -> None:
    """1 where the correct logit depends on the answer alone, 0 on the distance alone."""
    n = 7
    t = answer_elements(n, direction)
    u = answer_elements(n, "difference" if direction == "sum" else "sum")
    values = np.random.default_rng(0).normal(size=n)
    for of, expected in ((t, 1.0), (u, 0.0)):
        L = np.zeros((n, n, n))
        L[np.arange(n)[:, None], np.arange(n), t] = values[of]
        assert distance_irrelevance(L, direction) == pytest.approx(expected, abs=1e-12)
    assert distance_irrelevance(noise(6), direction) is None
    assert distance_irrelevance(np.ones((7, 7, 7)), direction) is None


def test_circularity_known_answers() -> None:
    """Two circles of different radius read 1, noise less; fewer than 4 components None."""
    angle = 2 * np.pi * np.arange(59)[:, None] * np.array([3, 8]) / 59
    circles = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * [2, 1, 2, 1]
    assert circularity(circles) == pytest.approx(1)
    reading = circularity(np.random.default_rng(0).normal(size=(59, 30)))
    assert reading is not None
    assert reading < 0.5
    assert circularity(circles[:, :3]) is None
    assert circularity(np.zeros((59, 8))) is None


def test_softmax_collapse_counts_rows_whose_others_vanish() -> None:
    """Others 20 nats below the largest vanish in float32, others 10 below do not."""
    assert softmax_collapse([[20.0, 0.0, 0.0], [10.0, 0.0, 0.0]]) == 0.5
