"""The learning order of pairs, its sums and its mirrors, against loops over pairs and steps."""

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from grokprobe.analysis.pairs.answers import PairAnswers, comparable
from grokprobe.analysis.pairs.learning import NEVER, LearningOrder, bracket
from grokprobe.analysis.pairs.mirrors import Mirrors, commutes, mirror
from grokprobe.analysis.pairs.sums import OF_NO_GROUP, sum_pairs
from grokprobe.task import UNDEFINED, Operation, Residues, Task, answers
from tests.support.reference_pairs import slow_learning, slow_mirrors, slow_pair_sum

TASKS = st.builds(
    Task,
    operation=st.sampled_from([o for o in get_args(Operation) if o != "s5"]),
    modulus=st.sampled_from([5, 7]),
)


def films(task: Task, seed: int, steps: int) -> NDArray[np.uint8]:
    """What a run that learns, and forgets, predicts at each of its checkpoints (steps, p*p)."""
    rng, table = np.random.default_rng(seed), answers(task)
    wrong = rng.integers(task.modulus, size=(steps, len(table)))
    right = rng.random((steps, len(table))) < rng.random((steps, 1))
    return np.where(right & (table >= 0), table, wrong).astype(np.uint8)


def learnt(film: NDArray[np.uint8], table: Residues) -> LearningOrder:
    """The fast form over all of a film."""
    order = LearningOrder(table)
    for predicted in film:
        order.take(predicted)
    return order


@given(TASKS, st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_the_learning_order_is_that_of_its_definition(task: Task, seed: int, steps: int) -> None:
    """For every pair, by a loop over the checkpoints from the last to the first."""
    film, table = films(task, seed, steps), answers(task)
    order = learnt(film, table)
    for pair, answer in enumerate(table.tolist()):
        expected = slow_learning([row[pair] for row in film.tolist()], answer)
        assert (int(order.learnt[pair]), int(order.lost[pair])) == expected


@given(TASKS, st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_what_the_learning_order_cannot_contradict(task: Task, seed: int, steps: int) -> None:
    """Learnt are those right at the end, and a pair is learnt once more than it was lost."""
    film, table = films(task, seed, steps), answers(task)
    order = learnt(film, table)
    right = film == comparable(table)
    assert np.array_equal(order.learnt != NEVER, right[-1])
    gained = right[0] + np.sum(right[1:] & ~right[:-1], axis=0)
    assert np.array_equal(gained - order.lost, right[-1])
    step, previous = bracket(np.arange(steps) * 10, order.learnt)
    assert np.array_equal(np.ma.getmaskarray(step), ~right[-1])
    both = ~np.ma.getmaskarray(previous)
    assert (step[both] - previous[both] == 10).all()
    assert (step[~both].compressed() == 0).all()


def test_a_pair_that_is_learnt_lost_and_learnt_again() -> None:
    """By hand: right at 1, 3 and 4 of 5 checkpoints; always; always but at the last; never."""
    table = np.array([0, 0, 0, 0])
    film = np.array(
        [[1, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 1]], np.uint8
    )
    order = learnt(film, table)
    assert order.learnt.tolist() == [3, 0, NEVER, NEVER]
    assert order.lost.tolist() == [1, 0, 1, 0]
    step, previous = bracket([0, 5, 7, 20, 100], order.learnt)
    assert (step.tolist(), previous.tolist()) == ([20, 0, None, None], [7, None, None, None])


@given(TASKS, st.integers(0, 2**32 - 1), st.integers(0, 6), st.floats(0.1, 0.9))
def test_sums_are_those_of_the_pairs(task: Task, seed: int, steps: int, fraction: float) -> None:
    """Of each group in each part, by loops over its pairs; no pair is counted twice or left out."""
    film, table, rng = films(task, seed, steps), answers(task), np.random.default_rng(seed)
    order, p = learnt(film, table), task.modulus
    part = rng.random(p * p) < fraction
    margins = rng.normal(size=p * p).astype(np.float32)
    groups = np.where(table == UNDEFINED, OF_NO_GROUP, rng.integers(4, size=p * p))
    found = list(sum_pairs(groups, part, order.learnt, order.lost, margins))
    members = [[i for i in range(p * p) if part[i] and groups[i] == g] for g in range(4)]
    expected = [
        (g, *slow_pair_sum(of, order.learnt.tolist(), order.lost.tolist(), margins.tolist()))
        for g, of in enumerate(members)
        if of
    ]
    assert [one[:-1] for one in found] == [one[:-1] for one in expected]
    assert [one.margin for one in found] == pytest.approx([one[-1] for one in expected])
    assert sum(one.pairs for one in found) == int(np.sum(part & (groups >= 0)))


@given(TASKS, st.integers(0, 2**32 - 1), st.floats(0.1, 0.9))
def test_mirrors_are_those_of_their_definition(task: Task, seed: int, fraction: float) -> None:
    """Counts, shares and what they explain, in fractions, by loops over a and b."""
    table, rng = answers(task), np.random.default_rng(seed)
    train = (rng.random(len(table)) < fraction) & (table != UNDEFINED)
    test = ~train & (table != UNDEFINED)
    [predicted] = films(task, seed, 1)
    right = predicted == comparable(table)
    found = Mirrors(test, train).count(right)
    expected = slow_mirrors(task.modulus, train.tolist(), test.tolist(), right.tolist())
    for name, value in expected.items():
        given_value = getattr(found, name)
        assert given_value == (None if value is None else pytest.approx(float(value))), name


def test_a_network_that_has_learnt_order_alone() -> None:
    """It answers a test pair right where it was trained on its mirror: that explains everything."""
    task = Task(operation="add", modulus=11)
    rng = np.random.default_rng(0)
    train = rng.random(121) < 0.4
    found = Mirrors(~train, train).count(train | mirror(train))
    assert (found.share, found.explained) == (1.0, 1.0)
    assert (found.accuracy_mirrored, found.accuracy_others) == (1.0, 0.0)
    assert commutes(answers(task))


@given(st.integers(0, 2**32 - 1))
def test_a_network_that_generalises_alike_has_nothing_to_explain(seed: int) -> None:
    """Where all test pairs are right, mirrors explain nothing, and the share is that of chance."""
    train = np.random.default_rng(seed).random(49) < 0.5
    mirrors = Mirrors(~train, train)
    assume(0 < mirrors.mirrored < mirrors.test)
    found = mirrors.count(np.ones(49, dtype=np.bool_))
    assert found.share == mirrors.mirrored / mirrors.test
    assert found.explained == pytest.approx(0)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        *((name, True) for name in ("add", "mul", "x2+y2", "x2+xy+y2")),
        *((name, False) for name in ("sub", "div", "x3+xy", "random", "s5")),
    ],
)
def test_what_commutes(operation: Any, expected: bool) -> None:
    """As the table of answers has it."""
    task = Task(operation=operation, modulus=120 if operation == "s5" else 7)
    assert commutes(answers(task)) == expected


@given(
    st.sampled_from([Task(operation="add", modulus=5), Task(operation="div", modulus=5)]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 7, 25]),
)
def test_predictions_and_margins_of_logits(task: Task, seed: int, rows: int) -> None:
    """The first of the largest logits; the correct one less the largest other, however it comes."""
    table = answers(task)
    integers = np.random.default_rng(seed).integers(-2, 3, size=(25, 5))
    logits = integers.astype(np.float32) / np.float32(3)
    before, found = logits.copy(), PairAnswers(table)
    for first in range(0, 25, rows):
        found.take(first, logits[first : first + rows])
    assert np.array_equal(logits, before)
    for pair, row in enumerate(logits.tolist()):
        assert found.predicted[pair] == row.index(max(row))
        margin, answer = found.margins[pair], int(table[pair])
        if answer == UNDEFINED:
            assert np.isnan(margin)
            continue
        others = [value for residue, value in enumerate(row) if residue != answer]
        assert margin == np.float32(row[answer] - max(others))
        if margin:
            assert (found.predicted[pair] == answer) == (margin > 0)
