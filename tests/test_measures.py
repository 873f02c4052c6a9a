"""Scalars of a checkpoint, and the steps from which something held."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.emergence import Held, held
from grokprobe.analysis.measures import accuracy, cross_entropy
from tests.reference_maths import slow_cross_entropy

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


def test_accuracy_ties_go_to_the_lowest_class() -> None:
    """Equal logits predict the lowest class."""
    assert accuracy([[1.0, 1.0], [1.0, 1.0]], np.array([0, 1])) == 0.5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.99, 0.5, 0.99, 1.0], Held(30, 20, 2, True)),
        ([1.0, 1.0], Held(0, None, 2, True)),
        ([0.1, 0.5, 0.99], Held(20, 10, 1, False)),
        ([0.1, 1.0, 0.977], None),
        ([None, None], None),
        ([], None),
    ],
)
def test_held(values: list[float | None], expected: Held | None) -> None:
    """A property holds from the first checkpoint after which it never fails again."""
    assert held([0, 10, 20, 30, 40][: len(values)], values) == expected
