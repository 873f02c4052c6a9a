"""Scalars of a checkpoint: definitions term by term, and known answers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.measures import (
    accuracy,
    circularity,
    collapsed,
    cross_entropy,
    distance_irrelevance,
)
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.progress import answer_elements
from grokprobe.task import Task
from tests.analysis.test_logits import DIRECTIONS, noise
from tests.support.reference_maths import (
    slow_circularity,
    slow_cross_entropy,
    slow_distance_irrelevance,
)
from tests.support.whole import sums_of, whole


def irrelevance(L: Array, direction: str) -> float | None:
    """`distance_irrelevance` of a cube."""
    return distance_irrelevance(sums_of(L, direction).correct, direction)


rows = st.lists(st.floats(-50, 50), min_size=2, max_size=8)


@given(rows, st.data())
def test_cross_entropy_equals_the_definition(row: list[float], data: st.DataObject) -> None:
    """Each row's loss is -log softmax at the answer, wherever the largest logit stands."""
    answer = data.draw(st.integers(0, len(row) - 1))
    found = cross_entropy([row], np.array([answer]))[0]
    assert found == pytest.approx(slow_cross_entropy(row, answer), rel=1e-9, abs=1e-12)


def test_cross_entropy_sees_below_rounding() -> None:
    """A margin of 60 nats reads exp(-60), where log-softmax reads 0."""
    found = cross_entropy([[60.0, 0.0, 0.0]], np.array([0]))[0]
    assert found == pytest.approx(2 * math.exp(-60), rel=1e-12)


def test_float32_logits_are_read_exactly() -> None:
    """The loss of float32 logits is that of the same numbers in float64."""
    L = np.random.default_rng(0).normal(0, 30, size=(200, 59)).astype(np.float32)
    answers = np.argmax(L, axis=1) * np.arange(200) % 59
    np.testing.assert_array_equal(
        cross_entropy(L, answers), cross_entropy(L.astype(np.float64), answers)
    )


def test_accuracy_ties_go_to_the_lowest_class() -> None:
    """Equal logits predict the lowest class."""
    assert accuracy([[1.0, 1.0], [1.0, 1.0]], np.array([0, 1])) == 0.5


def test_each_operand_s_own_table_has_its_circularity() -> None:
    """Two planted circles are 1; noise is what its definition says; without a table: null."""
    n, noisy = 11, np.random.default_rng(0).normal(size=(11, 6)).astype(np.float32)
    angles = 2 * np.pi * np.outer(np.arange(n), (2, 5)) / n
    circles = np.hstack([3 * np.cos(angles), 3 * np.sin(angles)]) * (1.0, 0.5, 1.0, 0.5)
    planted = circles.astype(np.float32)
    task, logits = Task(operation="add", modulus=n), np.zeros((n * n, n), dtype=np.float32)
    outputs = whole(logits=logits)
    probe = Probe(task, None, outputs, embedding=noisy, embedding_b=planted)
    assert probe.circularity_b == pytest.approx(1)
    assert probe.circularity == pytest.approx(slow_circularity(noisy.astype(float)))
    assert Probe(task, None, outputs, embedding=noisy).circularity_b is None


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
        assert irrelevance(L, direction) == pytest.approx(expected, abs=1e-12)
    assert irrelevance(noise(6), direction) is None
    assert irrelevance(np.ones((7, 7, 7)), direction) is None


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
    assert collapsed([[20.0, 0.0, 0.0], [10.0, 0.0, 0.0]]).tolist() == [True, False]
    assert collapsed(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("n", [3, 5, 7, 59])
def test_distance_irrelevance_equals_its_definition(n: int, direction: str) -> None:
    """One list of correct logits for each a - b, and the deviation of each."""
    L = noise(n, n)
    expected = slow_distance_irrelevance(L, direction)
    assert irrelevance(L, direction) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(5, 5), (6, 8), (7, 12), (9, 9), (15, 6), (23, 10), (118, 8)])
def test_circularity_equals_its_definition(shape: tuple[int, int]) -> None:
    """Components of the Gram matrix, each against every frequency by its sum, Nyquist left out."""
    rows = np.random.default_rng(1).normal(size=shape)
    assert circularity(rows) == pytest.approx(slow_circularity(rows))


@pytest.mark.parametrize(("share", "reading"), [(0, 1.0), (0.5, 0.5), (1, 0.0)])
def test_a_component_at_nyquist_is_no_circle(share: float, reading: float) -> None:
    """An alternating component reads 0: of a mixed one only the other wave counts."""
    a = np.arange(12)
    waves = [np.cos(2 * np.pi * k * a / 12) for k in (1, 2, 3, 5)]
    nyquist = np.sqrt(share / 2) * (-1.0) ** a
    last = nyquist + np.sqrt(1 - share) * waves[3]
    rows = np.stack([9 * waves[0], 7 * waves[1], 5 * waves[2], 3 * last], axis=1)
    assert circularity(rows) == pytest.approx((3 + reading) / 4)


@pytest.mark.parametrize("order", [3, 5])
def test_small_groups_have_components_or_none(order: int) -> None:
    """Three residues have two components: None. Five have just four."""
    reading = circularity(np.random.default_rng(0).normal(size=(order, 16)))
    assert reading is None if order == 3 else 0 < (reading or 0) <= 1
