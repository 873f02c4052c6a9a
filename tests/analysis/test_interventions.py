"""Interventions: their slow twins, known answers, and whether their nulls are honest."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array, frequencies
from grokprobe.analysis.interventions.frequencies import (
    AlongAnswers,
    WithoutFrequencies,
    rows_without,
)
from grokprobe.analysis.interventions.neurons import WithoutNeurons, added_by, is_linear, miss
from grokprobe.analysis.interventions.outcome import (
    Design,
    Evaluate,
    Judge,
    Judged,
    Outcome,
    Part,
    complement,
    intervene,
    p_value,
)
from grokprobe.analysis.interventions.sets import (
    NEAREST,
    Members,
    avoiding_sets,
    matched_sets,
    random_sets,
)
from grokprobe.analysis.logits import LogitSums
from grokprobe.analysis.outputs import Outputs
from grokprobe.analysis.progress import answer_elements, restricted
from grokprobe.errors import InvalidInput
from tests.analysis.test_logits import DIRECTIONS, noise, wave_cube
from tests.analysis.test_nulls import kolmogorov_smirnov
from tests.support.reference_interventions import slow_cube_without, slow_rows_without
from tests.support.reference_maths import slow_cross_entropy
from tests.support.whole import excluded_of

ORDERS = (5, 6, 7, 11, 12)


def judge_of(n: int, direction: str = "sum", seed: int = 0) -> Judge:
    """All pairs of Z_n, a third of them train pairs."""
    train = np.random.default_rng(seed).random(n * n) < 1 / 3
    return Judge(answer_elements(n, direction).ravel(), train)


def joined(blocks: object) -> Array:
    """Blocks of consecutive pairs as one array."""
    return np.concatenate(list(blocks))  # type: ignore[call-overload]


@pytest.mark.parametrize("n", ORDERS)
@pytest.mark.parametrize("share", [0, 0.3, 0.7, 1])
def test_a_cube_without_frequencies_is_the_sum_of_what_stays(n: int, share: float) -> None:
    """By what goes or by what stays, Nyquist of an even order too; `rest` stays as it is."""
    rng = np.random.default_rng(n)
    M, rest, every = rng.normal(size=(n, n, 4)), rng.normal(size=(n, n, 4)), frequencies(n)
    removed = rng.choice(every, round(share * len(every)), replace=False).tolist()
    expected = slow_cube_without(M, removed)
    found = joined(WithoutFrequencies(M).without(removed)).reshape(M.shape)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    beside = joined(WithoutFrequencies(M + rest, M, rest).without(removed)).reshape(M.shape)
    np.testing.assert_allclose(beside, expected + rest, atol=1e-12)
    table = slow_rows_without(M[0], removed)
    np.testing.assert_allclose(rows_without(M[0], removed), table, atol=1e-12)


@given(st.sampled_from(ORDERS), st.data())
def test_to_keep_is_to_take_out_all_others(n: int, data: st.DataObject) -> None:
    """Taken out twice is taken out once, and what goes and what stays apart make P + (Q M Q)."""
    every = frequencies(n).tolist()
    removed = data.draw(st.lists(st.sampled_from(every), unique=True))
    M = noise(n, data.draw(st.integers(0, 5)))
    once = joined(WithoutFrequencies(M).without(removed)).reshape(M.shape)
    twice = joined(WithoutFrequencies(once).without(removed)).reshape(M.shape)
    np.testing.assert_allclose(twice, once, atol=1e-12)
    spectrum = np.abs(np.fft.fft2(once, axes=(0, 1)))
    for k in removed:
        for at in (k, n - k):
            np.testing.assert_allclose([spectrum[at], spectrum[:, at]], 0, atol=1e-10)


@given(st.sampled_from(ORDERS), st.sampled_from(DIRECTIONS), st.integers(0, 9))
def test_nothing_changes_nothing_and_everything_gives_chance(
    n: int, direction: str, seed: int
) -> None:
    """Without any frequency each class has one logit for all pairs: accuracy is exactly 1/n."""
    L, judge = noise(n, seed).astype(np.float32), judge_of(n, direction)
    before = judge.figures([L.reshape(-1, n)])
    assert judge.figures(WithoutFrequencies(L).without([])) == before
    assert judge.figures(AlongAnswers(L, direction).without([])) == before
    nothing = judge.figures(WithoutFrequencies(L).without(frequencies(n).tolist()))
    assert nothing["all"].accuracy == pytest.approx(1 / n)
    assert nothing["all"].loss >= math.log(n) - 1e-9
    mean = L.astype(np.float64).mean(axis=(0, 1))
    expected = np.mean([slow_cross_entropy(mean.tolist(), c) for c in range(n)])
    assert nothing["all"].loss == pytest.approx(float(expected))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("n", [11, 12])
def test_along_answers_are_the_progress_measures(n: int, direction: str) -> None:
    """Without keys the train loss is `excluded_loss`, with keys alone `restricted_loss`."""
    L, keys, judge = noise(n, 1) + wave_cube(n, [2], direction), [2, n // 2], judge_of(n, direction)
    assert judge.train is not None
    train = judge.train.reshape(n, n)
    excluded = excluded_of(L, keys, direction, train)
    assert excluded is not None
    without = judge.figures(AlongAnswers(L, direction).without(keys))
    assert without["train"].loss == pytest.approx(excluded.loss)
    sums = LogitSums(n, direction)
    for i, rows in enumerate(L):
        sums.take(i, rows)
    kept = restricted(sums, keys, train)
    only = judge.figures(AlongAnswers(L, direction).only(keys))
    assert (only["all"].loss, only["all"].accuracy) == pytest.approx((kept.loss, kept.accuracy))
    assert (only["train"].loss, only["test"].loss) == pytest.approx(
        (kept.loss_train, kept.loss_test)
    )


def test_a_wave_lives_in_its_frequency() -> None:
    """Logits of one frequency: without it nothing is left, without any other all of it."""
    n = 13
    L, judge = wave_cube(n, [4], "sum") * 30, judge_of(n)
    found = WithoutFrequencies(L)
    assert judge.figures(found.without([4]))["all"].loss == pytest.approx(math.log(n))
    others = [k for k in frequencies(n).tolist() if k != 4]
    kept, before = judge.figures(found.without(others)), judge.figures([L.reshape(-1, n)])
    assert kept["test"].loss == pytest.approx(before["test"].loss)
    assert kept["test"].accuracy == before["test"].accuracy == 1


def network(n: int, width: int, seed: int) -> tuple[Outputs, Outputs, Outputs, Outputs]:
    """Neurons (n*n, width), their map (n, width), direct logits and logits (n*n, n)."""
    rng = np.random.default_rng(seed)
    N, W = np.maximum(rng.normal(size=(n * n, width)), 0), rng.normal(size=(n, width))
    direct = rng.normal(size=(n * n, n))
    neurons, outward, rest = (x.astype(np.float32) for x in (N, W, direct))
    return neurons, outward, rest, rest + neurons @ outward.T


@pytest.mark.parametrize("count", [0, 1, 8, 9, 16])
@pytest.mark.parametrize("by", ["zero", "mean"])
def test_neurons_taken_out_through_the_map(count: int, by: str) -> None:
    """The same as the network with these columns replaced, by what goes or by what stays."""
    N, W, direct, L = network(7, 16, 1)
    replacement = N.mean(axis=0) if by == "mean" else np.zeros(16, np.float32)
    removed = np.random.default_rng(count).choice(16, count, replace=False)
    changed = N.copy()
    changed[:, removed] = replacement[removed]
    expected = direct + changed @ W.T
    found = WithoutNeurons(L, N, W, direct, replacement)
    np.testing.assert_allclose(joined(found.without(removed.tolist())), expected, atol=1e-4)
    alone = [np.linalg.norm(L - joined(found.without([j]))) for j in range(16)]
    np.testing.assert_allclose(found.norms, alone, rtol=1e-4)
    added = added_by(N, W)
    largest = miss(L, direct, added)
    assert is_linear(L, largest)
    assert not is_linear(L, miss(L, direct, 1.0001 * added))
    L[5, 2] += 1
    assert miss(L, direct, added) == pytest.approx(1, abs=2 * largest)


def test_frequencies_of_neurons_are_taken_out_of_what_they_add() -> None:
    """N without F, sent through the map, is the cube N W_L without F."""
    n, removed = 7, [1, 3]
    N, W, direct, L = network(n, 10, 2)
    changed = slow_cube_without(N.reshape(n, n, -1).astype(float), removed)
    expected = direct + changed.reshape(n * n, -1) @ W.T.astype(float)
    shape = (n, n, n)
    added = (N.astype(float) @ W.T.astype(float)).reshape(shape)
    found = WithoutFrequencies(L.reshape(shape), added, direct.reshape(shape))
    np.testing.assert_allclose(joined(found.without(removed)), expected, atol=1e-4)


@given(st.integers(1, 9), st.data())
def test_sets_are_of_equal_size_and_of_the_pool(pool: int, data: st.DataObject) -> None:
    """As many as asked for, or every one once; the same for a seed; those that avoid do."""
    size, count = data.draw(st.integers(0, pool)), data.draw(st.integers(1, 40))
    members = range(3, 3 + pool)
    drawn = random_sets(members, size, count, seed=5)
    assert drawn == random_sets(members, size, count, seed=5)
    assert drawn.exist == math.comb(pool, size)
    assert len(drawn.sets) == min(count, drawn.exist)
    assert drawn.is_every == (drawn.exist <= count)
    if drawn.is_every:
        assert set(drawn.sets) == set(combinations(members, size))
    assert all(len(set(s)) == size and set(s) <= set(members) for s in drawn.sets)
    chosen = drawn.sets[0]
    beside = avoiding_sets(drawn, members, chosen, count, seed=5)
    assert beside.exist == math.comb(pool - size, size)
    assert all(len(s) == size and not set(s) & set(chosen) for s in beside.sets)
    among = [s for s in drawn.sets if not set(s) & set(chosen)]
    enough = max(len(among), math.ceil(count / 10))
    assert len(beside.sets) == (beside.exist if beside.exist <= count else enough)


def test_matched_sets_have_about_the_same_norms() -> None:
    """Each member is replaced by one of the nearest that are free; none where too few are left."""
    norms = np.random.default_rng(0).exponential(size=200)
    chosen = tuple(np.argsort(norms)[-20:].tolist())
    found = matched_sets(norms, chosen, 30, seed=1)
    assert found == matched_sets(norms, chosen, 30, seed=1)
    assert all(len(set(s)) == 20 and not set(s) & set(chosen) for s in found)
    anyhow = random_sets([j for j in range(200) if j not in chosen], 20, 30).sets
    means = [np.mean([norms[list(s)].mean() for s in sets]) for sets in (found, anyhow)]
    assert norms[list(chosen)].mean() > means[0] > 1.5 * means[1]
    one = {matched_sets(norms, (3,), 1, seed=s)[0][0] for s in range(60)}
    nearest = np.argsort(np.abs(norms - norms[3]))[1 : NEAREST + 1]
    assert one == set(nearest.tolist())
    assert matched_sets(norms, tuple(range(101)), 5) == []


@pytest.mark.parametrize(
    ("observed", "losses", "every", "keeps", "expected"),
    [
        (2.0, [1, 2, 3, 0], False, False, 3 / 5),
        (2.0, [1, 2, 3, 0], True, False, 2 / 4),
        (2.0, [1, 2, 3, 0], False, True, 4 / 5),
        (4.0, [1, 2, 3, 0], False, False, 1 / 5),
        (1.0, [1 - 1e-7, 1 + 1e-7, 1], False, False, 1.0),  # float32 cannot tell them apart
        (1.0, [1 - 1e-5, 1 - 1e-5], False, False, 1 / 3),
        (math.nan, [1, 2, 3], False, False, 1.0),  # what is not known is not significant
        (math.nan, [1, 2, 3], False, True, 1.0),
        (math.nan, [1, math.nan], True, False, 1.0),
        (4.0, [1, math.nan, 3], False, False, 2 / 4),
        (0.0, [1, math.nan, 3], False, True, 2 / 4),
        (math.inf, [1, math.inf, 3], False, False, 2 / 4),
        (math.inf, [1, math.inf, 3], False, True, 1.0),
    ],
)
def test_p_values(
    observed: float, losses: list[float], every: bool, keeps: bool, expected: float
) -> None:
    """Ties count against the set; the set itself is among all."""
    assert p_value(observed, losses, every, keeps) == pytest.approx(expected)


def outcome(
    L: NDArray[np.floating[Any]], chosen: Members, evaluate: Evaluate, **asked: object
) -> Outcome:
    """An intervention on the frequencies of logits (n, n, n)."""
    n, judge = len(L), judge_of(len(L))
    pool = frequencies(n).tolist()
    design = Design(pool, chosen, **asked)  # type: ignore[arg-type]
    return intervene(design, judge, judge.figures([L.reshape(-1, n)]), evaluate)


def test_the_frequency_that_does_the_work_stands_out() -> None:
    """Every set once, their number said; the chosen one is first of all, and among the controls."""
    n = 13
    L, judge = wave_cube(n, [4], "sum") * 30 + noise(n, 0), judge_of(n)
    cube = WithoutFrequencies(L)
    found = outcome(L, (4,), lambda members: judge.figures(cube.without(members)))
    assert (found.drawn.exist, found.drawn.is_every, found.avoiding) == (6, True, 5)
    for part in found.parts:
        assert part.controls is not None
        assert part.avoiding is not None
        assert part.p_value == pytest.approx(1 / 6)
        assert part.after.loss == max(part.controls.losses) == part.controls.losses[3]
        assert part.controls.loss.mean == pytest.approx(np.mean(part.controls.losses))
        assert part.avoiding.losses == [*part.controls.losses[:3], *part.controls.losses[4:]]
        assert part.avoiding.loss.q50 == pytest.approx(np.median(part.avoiding.losses))
        assert part.before.accuracy == 1 == part.avoiding.accuracy.min
        assert part.after.accuracy < 0.3
    kept = outcome(
        L,
        (4,),
        lambda members: judge.figures(cube.without([k for k in range(1, 7) if k not in members])),
        keeps=True,
    )
    assert kept.parts[0].p_value == pytest.approx(1 / 6)
    assert kept.parts[0].after.accuracy == 1


def test_equal_sets_are_ties_and_evaluated_once() -> None:
    """Where nothing that is taken out matters, p is 1; without controls there is none."""
    seen: list[Members] = []

    def evaluate(members: Members) -> dict[Part, Judged]:
        seen.append(members)
        return {"all": Judged(1.0, 0.5)}

    design = Design(range(30), (3, 4), controls=100)
    judge, before = Judge(np.zeros(9, np.int64), None), evaluate(())
    found = intervene(design, judge, before, evaluate)
    assert found.parts[0].p_value == 1
    assert len(seen) == len(set(seen))
    assert set(found.drawn.sets) <= set(seen)
    alone = Design(range(30), (3, 4), controls=0)
    [part] = intervene(alone, judge, before, evaluate).parts
    assert (part.p_value, part.controls, part.avoiding) == (None, None, None)


REPEATS = 150


def uniform(values: Sequence[float | None], grid: int) -> bool:
    """Whether p-values of 1/grid, 2/grid, ..., 1 are uniform, by the 1 % bound of the distance.

    Less a random part of a step they would be so on 0..1 exactly.
    """
    found = np.asarray(values, dtype=float)
    spread = found - np.random.default_rng(0).random(len(found)) / grid
    return kolmogorov_smirnov(spread.tolist()) < 1.63 / math.sqrt(len(found))


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize(("size", "controls", "grid"), [(3, 39, 40), (2, 100, 28)])
def test_sets_chosen_at_random_have_uniform_p_values(
    size: int, controls: int, grid: int, keeps: bool
) -> None:
    """On random networks, for controls that are drawn and for every set once, taken out or kept."""
    n, judge = 17, judge_of(17)

    def p_of(seed: int) -> float | None:
        rng = np.random.default_rng([seed, 7])
        L = rng.normal(size=(n, n, n)).astype(np.float32)
        chosen = tuple(sorted(rng.choice(frequencies(n), size, replace=False).tolist()))
        cube, pool = WithoutFrequencies(L), frequencies(n).tolist()

        def evaluate(members: Members) -> dict[Part, Judged]:
            return judge.figures(cube.without(complement(pool, members) if keeps else members))

        found = outcome(L, chosen, evaluate, controls=controls, seed=seed, keeps=keeps)
        return found.parts[0].p_value

    assert uniform([p_of(seed) for seed in range(REPEATS)], grid)


@pytest.mark.parametrize("by", ["zero", "mean"])
def test_neurons_chosen_at_random_have_uniform_p_values(by: str) -> None:
    """Likewise of neurons, a quarter of them at a time."""
    n, judge = 7, judge_of(7)

    def p_of(seed: int) -> float | None:
        rng = np.random.default_rng([seed, 8])
        N, W, direct, L = network(n, 24, seed)
        chosen = tuple(sorted(rng.choice(24, 6, replace=False).tolist()))
        instead = N.mean(axis=0) if by == "mean" else np.zeros(24, np.float32)
        found = WithoutNeurons(L, N, W, direct, instead)

        def evaluate(members: Members) -> dict[Part, Judged]:
            return judge.figures(found.without(members))

        design = Design(range(24), chosen, controls=39, seed=seed)
        return intervene(design, judge, judge.figures([L]), evaluate).parts[0].p_value

    assert uniform([p_of(seed) for seed in range(REPEATS)], 40)


def test_frequencies_outside_the_basis_are_refused() -> None:
    """As keys are."""
    with pytest.raises(InvalidInput, match=r"1\.\.3"):
        rows_without(np.ones((7, 2)), [4])
    with pytest.raises(InvalidInput, match="distinct"):
        AlongAnswers(noise(7, 0), "sum").without([2, 2]).__next__()
