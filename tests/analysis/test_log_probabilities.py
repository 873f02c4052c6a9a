"""Quantiles of the correct answer's log-probability: by hand, by the slow twin, at the edges."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from grokprobe.analysis.measures import quantile
from grokprobe.analysis.measures_table import measures
from grokprobe.analysis.measuring.log_probabilities import QUANTILES
from grokprobe.analysis.probe import Probe
from grokprobe.task import UNDEFINED, Operation, Task, answers
from tests.support.reference_maths import slow_cross_entropy, slow_quantile
from tests.support.whole import whole


def measured(task: Task, logits: NDArray[Any], train: NDArray[np.bool_] | None) -> Any:
    """The published measures of a network that has nothing but logits."""
    return measures(Probe(task, train, whole(logits=logits.astype(np.float32))))


@pytest.mark.parametrize(
    ("level", "expected"), [(0.0, 1.0), (0.01, 1.02), (0.5, 2.5), (0.75, 5.0), (1.0, 11.0)]
)
def test_by_hand(level: float, expected: float) -> None:
    """Between 1, 3, 2 and 11 the positions are level * 3 of the ascending four."""
    values = np.sort(np.array([1.0, 3.0, 2.0, 11.0]))
    by_hand = {0.01: 1 + 0.03, 0.75: 3 + 0.25 * 8}.get(level, expected)
    assert quantile(values, level) == pytest.approx(by_hand)


def test_a_network_that_knows_nothing() -> None:
    """Equal logits: every quantile is -ln p; of a sure one 0, with what float64 has beyond it."""
    task, train = Task(operation="add", modulus=7), np.arange(49) % 3 == 0
    found = measured(task, np.zeros((49, 7)), train)
    sure = np.zeros((49, 7))
    sure[np.arange(49), answers(task)] = 60.0
    of_sure = measured(task, sure, train)
    for part in ("train", "test"):
        for name in QUANTILES:
            key = f"{part}_log_probability_{name}"
            assert found[key] == pytest.approx(-np.log(7))
            assert of_sure[key] == pytest.approx(-6 * np.exp(-60), rel=1e-9)


def test_the_tail_sees_what_the_mean_does_not() -> None:
    """Of 49 sure pairs one is lost: the minimum tells it, the median does not."""
    task, train = Task(operation="add", modulus=7), np.arange(49) >= 9
    logits = np.zeros((49, 7))
    logits[np.arange(49), answers(task)] = 20.0
    logits[12, answers(task)[12]] = -20.0
    found = measured(task, logits, train)
    assert found["train_log_probability_minimum"] == pytest.approx(-20 - np.log(6))
    assert found["train_log_probability_median"] == pytest.approx(-6 * np.exp(-20))
    assert found["test_log_probability_minimum"] == pytest.approx(-6 * np.exp(-20))


@pytest.mark.parametrize("train", [None, np.zeros(49, np.bool_), np.ones(49, np.bool_)])
def test_a_part_that_is_empty_or_unknown(train: NDArray[np.bool_] | None) -> None:
    """Null there; the other part is known."""
    found = measured(Task(operation="add", modulus=7), np.eye(49, 7), train)
    for part, there in (
        ("train", train is not None and train.any()),
        ("test", train is not None and not train.all()),
    ):
        for name in QUANTILES:
            assert (found[f"{part}_log_probability_{name}"] is not None) == there


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["add", "div", "random"]),
    st.sampled_from([3, 5, 7]),
    st.sampled_from([1.0, 1e3, 1e30]),
)
def test_by_the_slow_twin(seed: int, operation: Operation, p: int, scale: float) -> None:
    """Of each known pair its own cross-entropy, sorted; whatever the size of the logits."""
    task, rng = Task(operation=operation, modulus=p), np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(p * p, p))).astype(np.float32)
    train = rng.random(p * p) < 0.5
    found = measured(task, logits, train)
    truth = answers(task)
    for part, mask in (("train", train), ("test", ~train)):
        rows = np.flatnonzero(mask & (truth != UNDEFINED))
        values = [-slow_cross_entropy(logits[row].astype(np.float64), truth[row]) for row in rows]
        told = [found[f"{part}_log_probability_{name}"] for name in QUANTILES]
        if not values:
            assert told == [None] * len(QUANTILES)
            continue
        assert told == pytest.approx([slow_quantile(values, at) for at, _ in QUANTILES.values()])
        assert told == sorted(told)
        assert all(value <= 0 for value in told)
