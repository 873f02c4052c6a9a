"""Effective ranks: known answers, what leaves them as they are, and the slow twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array, basis
from grokprobe.analysis.measures_table import measures
from grokprobe.analysis.measuring.requested import BY_REQUEST
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.ranks import (
    LARGEST_SIDE,
    MOST_MATRICES,
    Gram,
    WeightMatrices,
    effective_rank,
    participation_ratio,
)
from grokprobe.task import Task
from tests.support.reference_maths import slow_effective_rank, slow_participation_ratio
from tests.support.whole import whole

ADD = Task(operation="add", modulus=7)


def of_neurons(neurons: NDArray[Any], rows: int = 10) -> Any:
    """Both ranks of activations (49, neurons), read some rows at a time."""
    gram = Gram()
    for start in range(0, len(neurons), rows):
        gram.take(start, neurons[start : start + rows].astype(np.float32))
    return participation_ratio(gram.singular_values), effective_rank(gram.singular_values)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_equal_values_count_themselves(n: int) -> None:
    """n equal singular values, whatever their size and the zeros beside them, are n."""
    values = np.array([3e-5] * n + [0.0] * 4)
    assert participation_ratio(values) == pytest.approx(n)
    assert effective_rank(values) == pytest.approx(n)


def test_two_values_by_hand() -> None:
    """Of 3 and 1: (9 + 1)^2 / (81 + 1), and the entropy of 3/4 and 1/4."""
    assert participation_ratio([3, 1]) == pytest.approx(100 / 82)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert effective_rank([3, 1]) == pytest.approx(np.exp(entropy))


def test_neurons_of_k_frequencies_have_two_directions_each() -> None:
    """cos and sin of w_k (a + b), each by two neurons, beside a constant one: rank 2 K."""
    a, b = np.divmod(np.arange(49), 7)
    cosine, sine = basis(7)
    waves = [rows[k][(a + b) % 7] for k in (0, 2) for rows in (cosine, sine)]
    neurons = np.stack([*waves, *waves, np.full(49, 5.0)], axis=1) + 3
    assert of_neurons(neurons) == (pytest.approx(4), pytest.approx(4))


@pytest.mark.parametrize(
    "neurons",
    [
        np.zeros((49, 5)),
        np.full((49, 5), 1e6),
        np.full((49, 1), 0.1),
        np.zeros((49, 0)),
    ],
)
def test_what_does_not_vary_has_no_rank(neurons: Array) -> None:
    """None, whatever the constant; no neuron at all too."""
    assert of_neurons(neurons) == (None, None)


def test_one_live_neuron_is_one_direction() -> None:
    """Also beside dead ones."""
    neurons = np.zeros((49, 3))
    neurons[:, 1] = np.arange(49)
    assert of_neurons(neurons) == (pytest.approx(1), pytest.approx(1))


matrices = st.builds(
    lambda seed, rows, columns: np.random.default_rng(seed).normal(size=(rows, columns)),
    st.integers(0, 2**32 - 1),
    st.integers(2, 12),
    st.integers(2, 12),
)


@settings(deadline=None)
@given(matrices, st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e6]))
def test_turning_and_scaling_change_nothing(M: Array, seed: int, scale: float) -> None:
    """1 <= participation ratio <= effective rank <= smaller side, as the slow twins say."""
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(M.shape[1],) * 2))
    each = [WeightMatrices({"M": one}) for one in (M, scale * M @ Q, scale * M.T)]
    for measure, slow in (
        (participation_ratio, slow_participation_ratio),
        (effective_rank, slow_effective_rank),
    ):
        found = [one.each(measure) for one in each]
        for one in found:
            assert one is not None
            assert one["M"] == pytest.approx(slow(M))
    least, most = participation_ratio(np.linalg.svdvals(M)), effective_rank(np.linalg.svdvals(M))
    assert least is not None
    assert most is not None
    assert 1 - 1e-9 <= least <= most + 1e-9 <= min(M.shape) + 2e-9


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([1, 7, 49]))
def test_neurons_by_the_slow_twin(seed: int, width: int, rows: int) -> None:
    """Read in parts, far from 0, as the centred matrix at once."""
    rng = np.random.default_rng(seed)
    neurons = (rng.normal(size=(49, width)) + 100 * rng.normal(size=width)).astype(np.float32)
    X = neurons.astype(np.float64) - neurons.mean(axis=0, dtype=np.float64)
    ratio, rank = of_neurons(neurons, rows)
    assert ratio == pytest.approx(slow_participation_ratio(X), rel=1e-6)
    assert rank == pytest.approx(slow_effective_rank(X), rel=1e-6)


def test_neurons_of_a_probe() -> None:
    """Of all pairs, whatever the operation; None where the model does not offer them."""
    neurons = np.random.default_rng(0).normal(size=(49, 4)).astype(np.float32)
    for task in (ADD, Task(operation="mul", modulus=7), Task(operation="random", modulus=7)):
        probe = Probe(task, None, whole(logits=np.zeros((49, 7), np.float32), neurons=neurons))
        values = of_neurons(neurons)
        for name, value in zip(
            ("participation_ratio_neurons", "effective_rank_neurons"), values, strict=True
        ):
            of_outputs = BY_REQUEST[name].of_outputs
            assert of_outputs
            assert of_outputs(probe) == pytest.approx(value)
            lacking = Probe(task, None, whole(logits=np.zeros((49, 7), np.float32)))
            assert of_outputs(lacking) is None


def test_which_weights_are_matrices() -> None:
    """Floats of two axes; of three one for each index; nothing that is no number."""
    random = np.random.default_rng(0)
    weights: dict[str, NDArray[Any]] = {
        "W": random.normal(size=(3, 4)),
        "heads": random.normal(size=(2, 3, 4)).astype(np.float32),
        "bias": np.ones(4),
        "column": np.ones((4, 1)),
        "zero": np.zeros((3, 3)),
        "integers": np.ones((3, 3), dtype=np.int64),
        "nan": np.full((3, 3), np.nan),
        "infinite": np.full((3, 3), np.inf),
        "wide": np.ones((LARGEST_SIDE + 1, LARGEST_SIDE + 1), np.float32),
    }
    found = WeightMatrices(weights).each(participation_ratio)
    assert found is not None
    assert list(found) == ["W", "heads[0]", "heads[1]"]
    heads = weights["heads"].astype(np.float64)
    assert found["heads[1]"] == pytest.approx(slow_participation_ratio(heads[1]))
    assert WeightMatrices({"bias": np.ones(4)}).each(effective_rank) is None
    many = WeightMatrices({"many": np.ones((MOST_MATRICES + 1, 2, 2))}).each(effective_rank)
    assert len(many or {}) == MOST_MATRICES


def measured(task: Task, embedding: NDArray[Any], train: NDArray[np.bool_] | None = None) -> Any:
    """The published measures of a network that has an embedding."""
    logits = np.zeros((task.modulus**2, task.modulus), np.float32)
    return measures(Probe(task, train, whole(logits=logits), embedding.astype(np.float32)))


@pytest.mark.parametrize("keys", [(1,), (2, 5), (1, 3, 4, 6)])
@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_circles_have_two_directions_each(keys: tuple[int, ...], constant: float) -> None:
    """K circles of equal radius, each in a plane of its own, turned: 2 K, whatever the mean row."""
    angle = 2 * np.pi * np.outer(np.arange(13), keys) / 13
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))
    circles = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) @ Q[: 2 * len(keys)]
    found = measured(Task(operation="add", modulus=13), circles + constant * Q[-1])
    for name in ("participation_ratio_embedding", "effective_rank_embedding"):
        assert found[name] == pytest.approx(2 * len(keys), rel=1e-4)
    assert found["top_share_embedding"] == pytest.approx(1)
    assert found["top_share_embedding_with_constant"] == pytest.approx(1)


def test_the_constant_is_in_or_out() -> None:
    """Six equal frequencies and a constant as strong as all: 5/6, and (6 + 4) / 12."""
    angle = 2 * np.pi * np.outer(np.arange(13), np.arange(1, 7)) / 13
    M = np.concatenate([np.cos(angle), np.sin(angle), np.full((13, 1), np.sqrt(6))], axis=1)
    found = measured(Task(operation="add", modulus=13), M)
    assert found["top_share_embedding"] == pytest.approx(5 / 6)
    assert found["top_share_embedding_with_constant"] == pytest.approx(10 / 12)


@pytest.mark.parametrize(("operation", "modulus"), [*(("add", p) for p in (3, 6)), ("s5", 120)])
@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("value", ["zero", "constant", "noise"])
def test_small_and_strange_embeddings(operation: Any, modulus: int, width: int, value: str) -> None:
    """A number or None, never NaN; without variation there is no rank and no share."""
    rng = np.random.default_rng(0)
    shape = (modulus, width)
    drawn = {"zero": np.zeros(shape), "constant": np.full(shape, 2.0)}.get(value)
    embedding = rng.normal(size=shape) if drawn is None else drawn
    found = measured(Task(operation=operation, modulus=modulus), embedding)
    names = ["participation_ratio_embedding", "effective_rank_embedding", "top_share_embedding"]
    assert [found[name] is None for name in names] == [value != "noise"] * 3
    assert (found["top_share_embedding_with_constant"] is None) == (value == "zero")
    assert all(v is None or np.isfinite(v) for v in found.values())


@given(st.integers(0, 2**32 - 1), st.sampled_from(["add", "mul"]), st.integers(1, 12))
def test_the_embedding_by_the_slow_twins(seed: int, operation: Any, width: int) -> None:
    """Of the rows of the group's elements; top shares by the transform of each row."""
    M = np.random.default_rng(seed).normal(size=(11, width)).astype(np.float32)
    found = measured(Task(operation=operation, modulus=11), M)
    rows = M.astype(np.float64)[1 if operation == "mul" else 0 :]
    X = rows - rows.mean(axis=0)
    assert found["participation_ratio_embedding"] == pytest.approx(slow_participation_ratio(X))
    assert found["effective_rank_embedding"] == pytest.approx(slow_effective_rank(X))
    if operation == "add":
        power = (np.abs(np.fft.fft(M.astype(np.float64), axis=0)) ** 2).sum(axis=1) / 11
        parts = sorted([2 * power[k] for k in range(1, 6)], reverse=True)
        both = sorted([power[0], *parts], reverse=True)
        assert found["top_share_embedding"] == pytest.approx(sum(parts[:5]) / sum(parts))
        share = sum(both[:5]) / sum(both)
        assert found["top_share_embedding_with_constant"] == pytest.approx(share)
