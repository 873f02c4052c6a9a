"""Restricted and excluded loss: the whole cube, known answers, and what must be None."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.fourier import Array, frequencies
from grokprobe.analysis.measures import cross_entropy
from grokprobe.analysis.progress import Excluded, Projection, Restricted, answer_elements
from grokprobe.analysis.progress import restricted as restricted_of
from grokprobe.errors import InvalidInput
from grokprobe.task import Task, answers
from tests.analysis.test_logits import DIRECTIONS, noise, wave_cube
from tests.support.reference_maths import slow_cross_entropy, slow_projection
from tests.support.whole import by_answer, excluded_of, sums_of, whole_excluded


def whole_loss(L: Array, direction: str) -> float:
    """The mean loss of a cube over all pairs."""
    n = len(L)
    t = answer_elements(n, direction).ravel()
    return float(cross_entropy(L.reshape(-1, n), t).mean())


def restricted(
    L: Array, keys: list[int], direction: str, train: NDArray[np.bool_] | None
) -> Restricted:
    """The restricted losses of a cube."""
    return restricted_of(sums_of(L, direction), keys, train)


def losses_without(L: Array, keys: list[int], direction: str, train: NDArray[np.bool_]) -> Excluded:
    """Excluded losses that are there."""
    found = excluded_of(L, keys, direction, train)
    assert found is not None
    return found


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
    assert losses_without(L, keys, direction, train).loss == pytest.approx(np.mean(without))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("n", [3, 5, 6, 7, 8, 9, 15, 59, 97, 113, 118])
def test_a_model_of_one_frequency(n: int, direction: str) -> None:
    """Logits cos(2 pi k (a+-b-c)/p), keys {k}: restricted loss is the loss, excluded is ln p.

    A key that shares a factor with p cannot tell the answers apart that lie p/gcd from each other:
    the lowest of them is predicted, so the accuracy is 1/gcd. Nyquist is such a key.
    """
    for k in {1, (n - 1) // 2, max(1, n // 3), n // 2}:
        L = wave_cube(n, [k], direction, scale=20.0)
        found = restricted(L, [k], direction, None)
        assert found.loss == pytest.approx(whole_loss(L, direction), rel=1e-9)
        assert found.accuracy == pytest.approx(1 / math.gcd(k, n), rel=1e-12)
        without = losses_without(L, [k], direction, np.ones((n, n), dtype=bool))
        assert without.loss == pytest.approx(math.log(n), rel=1e-12)
        assert without.per_key == {k: pytest.approx(math.log(n), rel=1e-12)}


@given(st.sampled_from([2, 3, 5, 6, 7, 12, 13]), st.sampled_from(DIRECTIONS), st.integers(0, 999))
def test_every_frequency_as_a_key_restricts_nothing(n: int, direction: str, seed: int) -> None:
    """Where the logits depend on the answer and c only, all frequencies give the loss itself."""
    table = np.random.default_rng(seed).normal(size=(n, n))
    L = table[answer_elements(n, direction)]
    found = restricted(L, frequencies(n).tolist(), direction, None)
    assert found.loss == pytest.approx(whole_loss(L, direction), rel=1e-9)


@given(st.sampled_from([3, 5, 6, 7]), st.sampled_from(DIRECTIONS), st.integers(0, 999))
def test_restricted_and_excluded_share_the_logits_out(n: int, direction: str, seed: int) -> None:
    """Restricting what was excluded leaves the mean: the projection takes all of itself out."""
    L, keys = noise(n, seed), [1]
    table = Projection(by_answer(L, direction), keys).table()
    rest = L - table[answer_elements(n, direction)]
    left = Projection(by_answer(rest, direction), keys).table()
    np.testing.assert_allclose(left, 0, atol=1e-12)
    np.testing.assert_allclose(table.sum(axis=0), 0, atol=1e-12)  # the mean of P is 0


def test_each_key_alone_is_excluded_alone() -> None:
    """`per_key` holds the excluded loss of each key as the only one, by frequency."""
    L, train = noise(11) + wave_cube(11, [2, 5]), np.ones((11, 11), dtype=bool)
    found = losses_without(L, [5, 2], "sum", train)
    assert list(found.per_key) == [5, 2]
    for k in (2, 5):
        alone = losses_without(L, [k], "sum", train)
        assert found.per_key[k] == pytest.approx(alone.loss)


def test_the_nyquist_frequency_is_a_key_like_others() -> None:
    """In an even group its cosine tells odd from even: half the classes tie, the lowest wins."""
    L = wave_cube(12, [6])
    found = restricted(L, [6], "sum", None)
    assert found.loss == pytest.approx(whole_loss(L, "sum"), rel=1e-9)
    assert found.accuracy == pytest.approx(2 / 12)


def test_no_keys_restrict_to_the_mean() -> None:
    """With an empty key set R is the mean over the grid, and excluded loss is the loss."""
    L, train = noise(7), np.ones((7, 7), dtype=bool)
    assert losses_without(L, [], "sum", train).loss == pytest.approx(whole_loss(L, "sum"))
    mean = cross_entropy(np.tile(L.mean(axis=(0, 1)), (7, 1)), np.arange(7)).mean()
    assert restricted(L, [], "sum", None).loss == pytest.approx(mean)


@pytest.mark.parametrize("keys", [[0], [4], [-1], [1, 1]])
def test_keys_must_be_distinct_frequencies(keys: list[int]) -> None:
    """0 and -1 do not wrap round to the last frequency, and no key is projected on twice."""
    with pytest.raises(InvalidInput, match=r"^keys: must be"):
        restricted(noise(7), keys, "sum", None)
    with pytest.raises(InvalidInput, match=r"^keys: must be"):
        excluded_of(noise(7), keys, "sum", np.ones((7, 7), dtype=bool))


def test_a_part_of_the_split_without_pairs_has_no_loss() -> None:
    """A group may leave out every train pair, all of them with 0: None, never NaN."""
    none, every = np.zeros((5, 5), dtype=bool), np.ones((5, 5), dtype=bool)
    assert excluded_of(noise(5), [1], "sum", none) is None
    assert restricted(noise(5), [1], "sum", none).loss_train is None
    assert restricted(noise(5), [1], "sum", every).loss_test is None
    unknown = restricted(noise(5), [1], "sum", None)
    assert (unknown.loss_train, unknown.loss_test) == (None, None)


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
@pytest.mark.parametrize("n", [5, 8, 31])
def test_excluded_by_rows_equals_the_whole(n: int, direction: str) -> None:
    """One a after another, each key's rows made as they are needed, gives what all at once does.

    The losses of the pairs are the same numbers: only the order of their sum differs.
    """
    keys, L = frequencies(n).tolist(), noise(n, 3) + wave_cube(n, [2], direction)
    train = np.random.default_rng(4).random((n, n)) < 0.4
    found, expected = (
        losses_without(L, keys, direction, train),
        whole_excluded(L, keys, direction, train),
    )
    rounding = n**2 * np.finfo(float).eps
    assert {0: found.loss, **found.per_key} == pytest.approx(expected, rel=rounding)
