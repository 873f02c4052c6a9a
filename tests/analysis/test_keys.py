"""The three key rules: sets, thresholds and margins; an empty set is an answer."""

import numpy as np
import pytest

from grokprobe.analysis.fourier import spectrum
from grokprobe.analysis.keys import keys_by_embedding, keys_by_logits, keys_by_neurons
from grokprobe.analysis.neurons import Neurons
from grokprobe.errors import InvalidInput
from tests.analysis.test_fourier import circle_matrix
from tests.analysis.test_logits import noise, wave_cube
from tests.support.whole import coefficients_of, neurons_of


def test_noise_has_no_keys() -> None:
    """An empty set is an answer: noise and constant logits have none, by any rule."""
    assert keys_by_logits(coefficients_of(noise(23), "sum")).frequencies == []
    assert keys_by_logits(coefficients_of(np.ones((7, 7, 7)), "sum")).frequencies == []
    rng = np.random.default_rng(0)
    assert keys_by_neurons(neurons_of(rng.normal(size=(11, 11, 20))).neurons, 11).frequencies == []
    assert keys_by_embedding(np.ones((7, 3))).frequencies == []


@pytest.mark.parametrize("frequency", [1, 29])
def test_a_circle_is_the_key_of_the_embedding(frequency: int) -> None:
    """One circle in noise stands out of flatness and of chance, the top frequency too."""
    rows = np.random.default_rng(0).normal(size=(59, 8))
    rows[:, :2] += 4 * circle_matrix(59, frequency)
    found = keys_by_embedding(rows)
    assert found.frequencies == [frequency]
    inside, outside = found.margin
    assert inside is not None
    assert outside is not None
    assert outside < found.threshold < inside


def test_every_frequency_may_be_a_key() -> None:
    """Logits and neurons at every frequency: all are keys, and no frequency is left out."""
    by_logits = keys_by_logits(coefficients_of(wave_cube(7, [1, 2, 3]), "sum"))
    assert by_logits.frequencies == [1, 2, 3]
    assert by_logits.margin[0] == pytest.approx(3**-0.5)
    assert by_logits.margin[1] is None
    assert keys_by_neurons(layer({1: 3, 2: 3, 3: 3}), 7).margin == (3, None)


def test_flat_embeddings_have_no_keys() -> None:
    """Twice the flat share is never reached where all shares are equal, odd order or even."""
    for order in (7, 12, 59):
        found = keys_by_embedding(np.eye(order))
        assert found.frequencies == []
        assert found.margin[1] == pytest.approx(2 / (order - 1))


def test_nyquist_needs_half_the_share() -> None:
    """In an even group the frequency with one row is a key from twice ITS flat share on."""
    rows = np.random.default_rng(0).normal(size=(96, 400))
    rows[:, 0] += 2.8 * (-1.0) ** np.arange(96)
    share = spectrum(rows).max_share
    assert share is not None
    assert 2 / 95 < share < 4 / 95
    assert keys_by_embedding(rows).frequencies == [48]


def layer(clusters: dict[int, int], unclustered: int = 0) -> Neurons:
    """Live neurons: so many of each frequency, all explained, and some that no cluster has."""
    of_cluster = np.repeat(list(clusters), list(clusters.values()))
    frequency = np.concatenate([of_cluster, np.ones(unclustered, dtype=np.int64)])
    fve = np.concatenate([np.ones(of_cluster.size), np.full(unclustered, 0.5)])
    return Neurons(frequency, fve, np.zeros(frequency.size, dtype=bool))


@pytest.mark.parametrize(
    ("clusters", "unclustered", "keys", "threshold"),
    [
        ({4: 3, 9: 2}, 0, [4], 3),  # at least 3
        ({4: 7, 9: 6}, 687, [4], 7),  # exactly 1 % of 700 is enough
        ({4: 6, 9: 5}, 501, [4], 5.12),  # 1 % of 512 is not reached by 5
        ({}, 10, [], 3),
    ],
)
def test_clusters_large_enough_are_keys(
    clusters: dict[int, int], unclustered: int, keys: list[int], threshold: float
) -> None:
    """At least max(3, 1 % of the live neurons), the threshold itself included."""
    found = keys_by_neurons(layer(clusters, unclustered), 23)
    assert (found.frequencies, found.rule) == (keys, "neurons")
    assert found.threshold == pytest.approx(threshold)


def test_the_threshold_of_the_logits_is_a_parameter() -> None:
    """A weak wave is out by the default and in by a lower threshold; the margin shows the gap."""
    L = wave_cube(23, [3]) + wave_cube(23, [7], scale=0.15)
    coefficients = coefficients_of(L, "sum")
    default, lower = keys_by_logits(coefficients), keys_by_logits(coefficients, 0.005)
    assert (default.frequencies, lower.frequencies) == ([3], [3, 7])
    assert default.margin[1] == pytest.approx(0.05, rel=0.01)


def test_fewer_than_five_residues_have_no_rules() -> None:
    """Below 5 every rule is refused, the number of residues named."""
    coefficients = coefficients_of(noise(3), "sum")
    neurons = neurons_of(np.random.default_rng(0).normal(size=(4, 4, 5))).neurons
    with pytest.raises(InvalidInput, match="at least 5 residues, this has 3"):
        keys_by_logits(coefficients)
    with pytest.raises(InvalidInput, match="at least 5 residues, this has 4"):
        keys_by_neurons(neurons, 4)
    with pytest.raises(InvalidInput, match="at least 5 residues, this has 4"):
        keys_by_embedding(np.eye(4))


def test_no_key_stands_out_where_a_draw_only_turns_the_circle() -> None:
    """Of 5 residues a circle is reached by chance, exactly: a tie is not above."""
    assert keys_by_embedding(circle_matrix(5, 1)).frequencies == []
