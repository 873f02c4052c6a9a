"""Linear readouts: the definition fold by fold, known answers, what they do not depend on."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import WholeOutputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.representations.readouts import Representation, accuracy
from grokprobe.analysis.representations.ridge import (
    FOLDS,
    RIDGE,
    Hits,
    embedding_sums,
    folds,
    held_out,
)
from grokprobe.task import UNDEFINED, Operation, Task, answers
from tests.support.reference_maths import slow_held_out
from tests.support.whole import whole

ADD = Task(operation="add", modulus=13)


def pairs_of(p: int) -> tuple[Array, Array]:
    """a and b of each pair, (p*p,) each."""
    a, b = np.divmod(np.arange(p * p), p)
    return a, b


def hits(x: Array, task: Task, rows: int = 40) -> Hits | None:
    """Held-out answers, the features read some rows at a time."""
    blocks = [x[at : at + rows] for at in range(0, len(x), rows)]
    return held_out(lambda: blocks, answers(task), task.modulus)


def with_neurons(x: Array, task: Task = ADD) -> Probe:
    """A checkpoint whose neurons these are, (p*p, d); every third pair is a test pair."""
    p = task.modulus
    outputs = whole(logits=np.zeros((p * p, p), np.float32), neurons=x.astype(np.float32))
    return Probe(task, np.arange(p * p) % 3 > 0, outputs)


def noise(p: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(p * p, width))


@pytest.mark.parametrize("operation", ["add", "div", "random"])
@pytest.mark.parametrize(("p", "width"), [(3, 2), (5, 3), (7, 4), (7, 60), (11, 6)])
def test_it_equals_its_definition(operation: Operation, p: int, width: int) -> None:
    """Least squares per fold and class; unknown pairs of division are in no fold."""
    task = Task(operation=operation, modulus=p)
    known = answers(task) != UNDEFINED
    x = noise(p, width) + np.eye(p)[answers(task)][:, :width].repeat(1 + width // p, 1)[:, :width]
    found = hits(x, task)
    assert found is not None
    assert found.tolist() == slow_held_out(x[known], answers(task)[known].tolist(), p, FOLDS, RIDGE)


def test_the_folds_are_a_partition() -> None:
    """As large as each other but for one pair, the same ones each time."""
    for pairs in (1, 4, 9, 169):
        counts = np.bincount(folds(pairs), minlength=FOLDS)
        assert counts.sum() == pairs
        assert counts.max() - counts.min() <= 1
        assert np.array_equal(folds(pairs), folds(pairs))


def test_an_answer_that_stands_there_is_found() -> None:
    """One-hot, or the waves of every frequency of a + b, turned into any basis: all right."""
    a, b = pairs_of(13)
    angle = 2 * np.pi * np.outer(a + b, np.arange(1, 7)) / 13
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]
    for x in (np.eye(13)[(a + b) % 13], waves, waves @ turn):
        assert accuracy(with_neurons(x), "neurons") == 1
        assert accuracy(with_neurons(x), "neurons", "test") == 1


@pytest.mark.parametrize("p", [5, 11, 29])
def test_no_sum_of_embeddings_holds_the_answer(p: int) -> None:
    """Of one-hot embeddings, which hold everything, not one: where a pair is held out, its
    answer is the one class that neither its a nor its b was seen with.
    """
    probe = with_neurons(noise(p, 2), Task(modulus=p))
    for table in (np.eye(p), np.eye(p)[:, ::-1] * 3):
        one = replace(probe, embedding=table.astype(np.float32))
        assert accuracy(one, "embedding_sum") == 0


def test_no_readout_of_a_sum_has_all_answers() -> None:
    """The right class's score, summed over all pairs, is that of any class d further on."""
    p, (a, b) = 13, pairs_of(13)
    of_a, of_b = np.random.default_rng(0).normal(size=(2, p, p))
    scores = of_a[a] + of_b[b]
    for d in range(p):
        shifted = scores[np.arange(p * p), (a + b + d) % p].sum()
        assert shifted == pytest.approx(of_a.sum() + of_b.sum())


def test_a_vocabulary_of_b_is_summed() -> None:
    """Where b has a table of its own it is b's; tables of two widths have no sum."""
    of_a, of_b = np.random.default_rng(0).normal(size=(2, 13, 40)).astype(np.float32)
    a, b = np.divmod(np.arange(169), 13)
    assert np.allclose(np.concatenate(list(embedding_sums(of_a, of_b))), of_a[a] + of_b[b])
    task = Task(operation="x3+xy", modulus=13)
    probe = replace(with_neurons(noise(13, 2), task), embedding=of_a)
    for second, sums in ((None, of_a[a] + of_a[b]), (of_b, of_a[a] + of_b[b])):
        expected = hits(sums.astype(np.float64), task)
        assert expected is not None
        found = accuracy(replace(probe, embedding_b=second), "embedding_sum")
        assert found == pytest.approx(expected.mean())
    assert accuracy(replace(probe, embedding_b=of_b[:, :3]), "embedding_sum") is None


def test_random_labels_are_found_by_chance() -> None:
    """Noise about any answer, and the table of `random`: a pair in p, within 4 deviations."""
    p = 31
    for seed in range(4):
        for task in (Task(modulus=p), Task(operation="random", modulus=p)):
            found = accuracy(with_neurons(noise(p, 20, seed), task), "neurons")
            assert found == pytest.approx(1 / p, abs=4 * np.sqrt(1 / p) / p)


@given(st.integers(0, 99), st.sampled_from([1e-12, 0.5, 3.0, 1e12]))
def test_turned_scaled_and_moved_it_is_the_same(seed: int, scale: float) -> None:
    """A readout knows no basis, no unit, no origin, and no column that is constant."""
    x = noise(13, 6, seed) + np.eye(13)[answers(ADD)][:, :6]
    turn = np.linalg.qr(noise(6, 6, seed + 1)[:6])[0]
    same = hits(x, ADD)
    assert same is not None
    constant = np.full((169, 1), 7.0)
    for other in (x @ turn, scale * x, x + 10, np.concatenate([x, constant, 0 * x], 1)):
        found = hits(other, ADD)
        assert found is not None
        assert np.array_equal(found, same)


def test_the_rows_at_a_time_do_not_matter() -> None:
    """Blocks of any size, also such that hold no pair of some fold."""
    x = noise(13, 6)
    whole_ = hits(x, ADD, 169)
    for rows in (1, 7, 168):
        found = hits(x, ADD, rows)
        assert np.array_equal(found, whole_)  # type: ignore[arg-type]


@pytest.mark.parametrize("operation", get_args(Operation))
@pytest.mark.parametrize("p", [3, 5])
def test_edges(operation: Operation, p: int) -> None:
    """The smallest moduli, one neuron, nothing at all: None or a share, never an exception."""
    task = (
        Task(operation="s5", modulus=120)
        if operation == "s5"
        else Task(operation=operation, modulus=p)
    )
    n = task.modulus**2
    for x in (noise(task.modulus, 1), np.zeros((n, 3)), np.full((n, 2), 1e-3)):
        found = accuracy(with_neurons(x, task), "neurons")
        assert (found is None) == (np.ptp(x) == 0)
        assert found is None or 0 <= found <= 1
    almost = np.zeros((n, 2))
    almost[-1] = 1  # what varies is held out: the others are fitted to nothing
    assert 0 <= (accuracy(with_neurons(almost, task), "neurons") or 0) <= 1


@pytest.mark.parametrize("of", ["embedding_sum", "neurons", "residual"])
def test_what_is_not_there_is_none(of: Representation) -> None:
    """A foreign model may have nothing but logits; without a split there are no test pairs."""
    bare = Probe(ADD, None, WholeOutputs({"logits": np.zeros((169, 13), np.float32)}))
    assert accuracy(bare, of) is None
    there = replace(
        bare,
        outputs=whole(
            neurons=noise(13, 2).astype(np.float32), residual=np.eye(169, 13, dtype=np.float32)
        ),
        embedding=np.eye(13, dtype=np.float32),
    )
    assert accuracy(there, of) is not None
    assert accuracy(there, of, "test") is None
