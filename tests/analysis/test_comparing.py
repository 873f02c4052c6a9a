"""Two checkpoints side by side: slow forms, known answers, symmetry, zero against itself."""

import itertools
import math
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from grokprobe.analysis.comparing.answers import AnswerComparison, PartComparison
from grokprobe.analysis.comparing.planes import (
    Ellipse,
    alignment,
    alignment_chance,
    compare_keys,
    ellipse,
    plane_overlap,
    strongest_planes,
)
from grokprobe.analysis.comparing.reading import beside, both_bytes, read_both
from grokprobe.analysis.comparing.representations import JointMoments, similarity
from grokprobe.analysis.comparing.weights import AllWeights, compare_weights, same_weights
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.measures import accuracy, cross_entropy
from grokprobe.analysis.waves.phases import wave
from grokprobe.task import Task, answers, split
from tests.analysis.test_needs import Drawn
from tests.support.slow_comparing import (
    at_frequency,
    slow_alignment,
    slow_cka,
    slow_divergence,
    slow_longest_axis,
    slow_overlap,
)

ORDERS = [3, 5, 7, 6, 8, 13, 59]
SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, *shape: int, scale: float = 1.0) -> Array:
    """Gaussian numbers."""
    return scale * np.random.default_rng(seed).normal(size=shape)


def turned(seed: int, width: int) -> Array:
    """An orthogonal map of width space."""
    return np.linalg.qr(drawn(seed, width, width))[0]


def circles(n: int, width: int, phases: dict[int, float], flat: bool = False) -> Array:
    """A circle, or with `flat` a line, of each frequency in two dimensions of its own."""
    rows, a = np.zeros((n, width)), 2 * np.pi * np.arange(n) / n
    for i, (k, phase) in enumerate(phases.items()):
        rows[:, 2 * i] = np.cos(k * a + phase)
        rows[:, 2 * i + 1] = 0 if flat else np.sin(k * a + phase)
    return rows


def compared(p: int, *logits: NDArray[np.float32], operation: Any = "add") -> AnswerComparison:
    """Both networks' logits over all pairs, read some rows at a time."""
    found = AnswerComparison(answers(Task(operation=operation, modulus=p)))
    for first in range(0, p * p, 10):
        a, b = (one[first : first + 10] for one in logits)
        found.take(first, a, b)
    return found


def both_logits(p: int, seed: int, scale: float = 3.0) -> list[NDArray[np.float32]]:
    """The logits of two networks over all pairs."""
    return [drawn(seed + i, p * p, p, scale=scale).astype(np.float32) for i in range(2)]


@pytest.mark.parametrize(("p", "operation"), [(5, "add"), (6, "sub"), (7, "div"), (7, "random")])
def test_divergence_equals_the_loops(p: int, operation: str) -> None:
    """Either way, losses and accuracies too: over all pairs that have an answer, by part."""
    task = Task(operation=operation, modulus=p)  # type: ignore[arg-type]
    logits, truth = both_logits(p, p), answers(task)
    train = split(task, 0.5, 0), split(task, 0.4, 1)
    found = compared(p, *logits, operation=operation)
    for part in found.parts(*train):
        mask = truth >= 0
        for side, of_split in zip(train, (part.split_a, part.split_b), strict=True):
            mask = mask & (True if of_split is None else side == (of_split == "train"))
        a, b = (one[mask].astype(float) for one in logits)
        kl = [slow_divergence(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        back = [slow_divergence(y, x) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        assert part.pairs == mask.sum()
        assert (part.kl_a_b, part.kl_b_a) == pytest.approx((np.mean(kl), np.mean(back)), rel=1e-12)
        losses = [float(cross_entropy(one, truth[mask]).mean()) for one in (a, b)]
        assert (part.loss_a, part.loss_b) == pytest.approx(losses, rel=1e-12)
        assert part.loss_difference == pytest.approx(losses[1] - losses[0], rel=1e-9)
        assert part.accuracy_a == accuracy(a, truth[mask])
        right = [one.argmax(axis=1) == truth[mask] for one in (a, b)]
        assert part.right_to_wrong == np.sum(right[0] & ~right[1])
        assert part.wrong_to_right == np.sum(~right[0] & right[1])
        assert part.changed == np.sum(a.argmax(axis=1) != b.argmax(axis=1))


def test_the_parts_of_two_splits() -> None:
    """Alike: train and test. Different: all four. Unknown on a side: null there. The sum is all."""
    p = 5
    task = Task(operation="add", modulus=p)
    one, other = split(task, 0.5, 0), split(task, 0.5, 1)
    found = compared(p, *both_logits(p, 0))
    names = [
        [(part.split_a, part.split_b) for part in found.parts(a, b)]
        for a, b in ((one, one), (one, other), (None, one), (one, None), (None, None))
    ]
    whole = (None, None)
    assert names[0] == [whole, ("train", "train"), ("test", "test")]
    assert set(names[1][1:]) == set(itertools.product(("train", "test"), repeat=2))
    assert names[2] == [whole, (None, "train"), (None, "test")]
    assert names[3] == [whole, ("train", None), ("test", None)]
    assert names[4] == [whole]
    every, *parts = found.parts(one, other)
    assert every.pairs == p * p == sum(part.pairs for part in parts)
    assert every.right_to_wrong == len(found.right_to_wrong)
    assert every.wrong_to_right == len(found.wrong_to_right)


def test_a_tiny_divergence_is_not_lost() -> None:
    """Both sure of one answer: far below 1e-16, it is still p (ln p - ln q) - p + q, summed."""
    a, b = np.full((2, 25, 5), -50.0)
    a[:, 0] = b[:, 0] = 0.0
    b[:, 1] = -49.0
    found = compared(5, a.astype(np.float32), b.astype(np.float32)).parts(None, None)[0]
    p, q = math.exp(-50), math.exp(-49)
    assert found.kl_a_b == pytest.approx(p * math.log(p / q) - p + q, rel=1e-9)
    assert found.kl_b_a == pytest.approx(q * math.log(q / p) - q + p, rel=1e-9)


@given(st.sampled_from([3, 5, 6]), SEEDS, st.sampled_from([1e-3, 1.0, 30.0, 1e30]))
def test_answers_are_symmetric_and_zero_against_themselves(p: int, seed: int, scale: float) -> None:
    """The other way round every figure changes sides; of a network with itself nothing differs."""
    logits = both_logits(p, seed, scale)
    train = [split(Task(operation="add", modulus=p), 0.5, seed + i) for i in range(2)]
    there = compared(p, *logits).parts(*train)
    back = compared(p, *logits[::-1]).parts(*train[::-1])
    by_splits = {(part.split_a, part.split_b): part for part in there}
    assert len(back) == len(there)
    for part in back:
        other = by_splits[part.split_b, part.split_a]
        assert (part.pairs, part.changed) == (other.pairs, other.changed)
        assert (part.right_to_wrong, part.wrong_to_right) == (
            other.wrong_to_right,
            other.right_to_wrong,
        )
        assert (part.kl_a_b, part.kl_b_a) == (other.kl_b_a, other.kl_a_b)
        assert (part.loss_a, part.accuracy_a) == (other.loss_b, other.accuracy_b)
        assert part.loss_difference == -other.loss_difference
        assert min(part.kl_a_b, part.kl_b_a) >= 0
    for part in compared(p, logits[0], logits[0]).parts(train[0], train[0]):
        nothing = (part.changed, part.right_to_wrong, part.wrong_to_right)
        assert nothing == (0, 0, 0)
        assert (part.loss_difference, part.kl_a_b, part.kl_b_a) == (0, 0, 0)


@given(st.integers(2, 40), st.integers(1, 30), st.integers(1, 30), SEEDS)
def test_cka_equals_the_gram_form(n: int, width_a: int, width_b: int, seed: int) -> None:
    """Whole or some rows at a time; the same when the sides change, are turned, scaled, moved."""
    X, Y = drawn(seed, n, width_a) + 7, drawn(seed + 1, n, width_b)
    moments = JointMoments()
    for first in range(0, n, 7):
        moments.take(X[first : first + 7], Y[first : first + 7])
    found, back = similarity(X, Y), similarity(Y, X)
    assert found
    assert back
    assert moments.similarity
    expected = pytest.approx(slow_cka(X, Y), abs=1e-10)
    assert [found.cka, back.cka, moments.similarity.cka] == [expected] * 3
    assert found.null_mean == pytest.approx(back.null_mean, rel=1e-9)
    moved = similarity(3 * X @ turned(seed, width_a) - 5, Y)
    assert moved
    assert moved.cka == expected
    itself = similarity(X, X)
    assert itself
    assert itself.cka == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_cka_of_float32_is_nearly_as_exact(offset: float) -> None:
    """Thousands of rows, multiplied in float32 and summed in float64: to a millionth."""
    X = drawn(0, 3000, 20) @ drawn(1, 20, 20) + offset
    Y = np.maximum(X @ drawn(2, 20, 16), 0) + 0.1 * drawn(3, 3000, 16)
    moments, itself = JointMoments(), JointMoments()
    single = [one.astype(np.float32) for one in (X, Y)]
    for first in range(0, 3000, 1024):
        x, y = (one[first : first + 1024] for one in single)
        moments.take(x, y)
        itself.take(x, x)
    exact = similarity(single[0], single[1])
    assert exact
    assert moments.similarity
    assert itself.similarity
    assert moments.similarity.cka == pytest.approx(exact.cka, abs=1e-6)
    assert moments.similarity.null_mean == pytest.approx(exact.null_mean, rel=1e-5)
    assert itself.similarity.cka == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("n", "width"), [(3, 4), (5, 2), (6, 3)])
def test_the_null_of_cka_is_that_of_all_permutations(n: int, width: int) -> None:
    """Exactly the mean over every order of the rows of one side."""
    X, Y = drawn(n, n, width), drawn(n + 1, n, width + 1)
    every = [slow_cka(X[list(order)], Y) for order in itertools.permutations(range(n))]
    found = similarity(X, Y)
    assert found
    assert found.null_mean == pytest.approx(np.mean(every))


def test_cka_of_what_does_not_vary() -> None:
    """None, for one row, equal rows and what is not finite; a large mean loses nothing."""
    X = drawn(0, 20, 3)
    assert similarity(np.ones((20, 3)), X) is None
    assert similarity(X[:1], X[:1]) is None
    assert similarity(np.full((20, 3), np.nan), X) is None
    shifted = similarity(X + 1e6, X)
    assert shifted
    assert shifted.cka == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("n", ORDERS)
def test_planes_equal_the_slow_forms(n: int) -> None:
    """Overlap by projections, alignment by singular values, phase by the first of them."""
    a, b = drawn(n, n, 12), drawn(n + 1, n, 12)
    top = strongest_planes(a), strongest_planes(b)
    assert len(top[0]) == min(5, (n - 1) // 2)
    found = plane_overlap(a, b)
    assert found
    assert found.overlap == pytest.approx(slow_overlap(a, b, *top))
    assert (found.frequencies_a, found.frequencies_b) == top
    assert found.chance == 2 * len(top[0]) / 12
    for k in range(1, n // 2 + 1):
        one, other = ellipse(a, k), ellipse(b, k)
        assert one.power == pytest.approx(np.linalg.norm(at_frequency(a, k)) ** 2)
        assert alignment(one, other) == pytest.approx(slow_alignment(a, b, k))
        assert math.cos(2 * ((one.phase or 0) - slow_longest_axis(a, k))) == pytest.approx(1)


def test_two_turnings_overlap_by_chance() -> None:
    """The mean over random turnings of one side is `chance`."""
    a = circles(13, 16, {1: 0.0, 4: 0.3})
    found = [plane_overlap(a, a @ turned(seed, 16), ([1, 4], [1, 4])) for seed in range(400)]
    overlaps = [one.overlap for one in found if one]
    assert found[0]
    assert found[0].chance == 4 / 16
    assert np.mean(overlaps) == pytest.approx(4 / 16, abs=0.02)


@given(st.sampled_from(ORDERS), st.integers(2, 20), SEEDS)
def test_planes_are_symmetric_and_whole_against_themselves(n: int, width: int, seed: int) -> None:
    """Overlap and alignment; alignment and phase whatever the turning of width space."""
    a, b = drawn(seed, n, width), drawn(seed + 1, n, width)
    there, back, own = plane_overlap(a, b), plane_overlap(b, a), plane_overlap(a, a)
    assert there
    assert back
    assert own
    assert there.overlap == pytest.approx(back.overlap)
    assert own.overlap == pytest.approx(1)
    for k in range(1, n // 2 + 1):
        one, other = ellipse(a, k), ellipse(b, k)
        assert alignment(one, other) == alignment(other, one)
        assert alignment(one, one) == pytest.approx(1)
        moved = ellipse(a @ turned(seed, width), k)
        assert alignment(one, moved) == pytest.approx(1, abs=1e-7)
        assert moved.anisotropy == pytest.approx(one.anisotropy, abs=1e-9)


@pytest.mark.parametrize(("phase", "other"), [(0.0, 0.4), (1.2, -0.9), (0.3, 0.3 + math.pi / 2)])
def test_lines_and_circles(phase: float, other: float) -> None:
    """Circles have no phase and agree; lines have theirs, and agree by its cosine."""
    round_a, round_b = (ellipse(circles(13, 4, {3: turn}), 3) for turn in (phase, other))
    assert round_a.phase is None
    assert alignment(round_a, round_b) == pytest.approx(1)
    assert round_a.anisotropy == pytest.approx(0, abs=1e-12)
    flat_a, flat_b = (ellipse(circles(13, 4, {3: turn}, flat=True), 3) for turn in (phase, other))
    assert flat_a.anisotropy == pytest.approx(1)
    assert flat_a.phase == pytest.approx(phase)
    column = circles(13, 2, {3: phase}, flat=True)[:, :1]
    assert wave(column, np.array([3])).phase == pytest.approx(phase)  # one convention for both
    assert alignment(flat_a, flat_b) == pytest.approx(abs(math.cos(phase - other)), abs=1e-7)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("turn", [0.0, 0.7, math.pi / 2, -1.5, 2.0, 3.0])
def test_the_phase_of_a_line_lies_in_its_range(k: int, turn: float) -> None:
    """In (-pi/2, pi/2], a half turn being the same axis; a sine has pi/2 or -pi/2 by rounding."""
    phase = ellipse(circles(11, 2, {k: turn}, flat=True), k).phase
    assert phase is not None
    assert abs(phase) <= math.pi / 2
    assert math.cos(2 * (phase - turn)) == pytest.approx(1)
    assert Ellipse(0.0, 0.0, 1.0).phase == Ellipse(0.0, -0.0, 1.0).phase == math.pi / 2


@pytest.mark.parametrize(("width", "least"), [(4, 0.8), (32, 0.97), (128, 0.99)])
def test_noise_aligns_by_chance(width: int, least: float) -> None:
    """Embeddings that share nothing align nearly as circles do, and so says the chance."""
    draws = [(drawn(i, 113, width), drawn(1000 + i, 113, width)) for i in range(60)]
    found = [alignment(ellipse(a, 5), ellipse(b, 5)) or 0 for a, b in draws]
    chances = [alignment_chance(a, b, 5) or 0 for a, b in draws]
    assert np.mean(found) == pytest.approx(np.mean(chances), abs=0.25 * (1 - float(np.mean(found))))
    assert min(np.mean(found), np.mean(chances)) > least
    assert alignment_chance(*draws[0], 5) == pytest.approx(
        alignment_chance(*draws[0][::-1], 5), rel=1e-12
    )  # the same mean, summed in another order
    wider = alignment_chance(draws[0][0], drawn(7, 113, 2 * width), 5)  # of any two widths
    assert wider is not None
    assert wider > least


@pytest.mark.parametrize(("n", "width"), [(4, 2), (5, 1), (5, 3), (6, 2)])
def test_the_chance_is_that_of_all_orders(n: int, width: int) -> None:
    """About the mean over every order of either side's rows, by the slow form."""
    a, b = drawn(n, n, width) + 100, drawn(n + 1, n, width)
    every = [
        (slow_alignment(a[list(order)], b, 1) + slow_alignment(a, b[list(order)], 1)) / 2
        for order in itertools.permutations(range(n))
    ]
    assert alignment_chance(a, b, 1) == pytest.approx(np.mean(every), abs=0.06)


@pytest.mark.parametrize("n", [4, 6, 12, 58])
def test_nyquist_is_no_circle(n: int) -> None:
    """Lines by construction, which would align whatever they are: None; directions overlap."""
    a, b = drawn(0, n, 8), drawn(1, n, 8)
    *_, last = compare_keys(a, b, [1, n // 2], [1])
    assert last.frequency == n // 2
    assert (last.alignment, last.alignment_chance) == (None, None)
    assert [last.anisotropy_a, last.anisotropy_b, last.phase_a, last.phase_b] == [None] * 4
    assert last.share_a is not None
    signs = (-1.0) ** np.arange(n)
    cosine = (signs @ a) @ (signs @ b) / np.linalg.norm(signs @ a) / np.linalg.norm(signs @ b)
    assert last.overlap == pytest.approx(cosine**2)
    assert last.overlap_chance == 1 / 8


@pytest.mark.parametrize("n", [5, 8, 59])
def test_equal_powers_are_ranked_by_frequency(n: int) -> None:
    """Of those equal but for rounding the lowest: a multiple has the same planes."""
    lowest = [*range(1, min(5, (n - 1) // 2) + 1)]
    for scale in (1.0, 0.37, 1e-3, 77.7):
        assert strongest_planes(scale * np.eye(n)) == lowest
        found = plane_overlap(np.eye(n), scale * np.eye(n))
        assert found
        assert found.overlap == pytest.approx(1)
    assert strongest_planes(np.zeros((n, 2))) == lowest
    assert strongest_planes(circles(13, 8, {6: 0.0, 2: 1.0, 4: 0.5}), 2) == [2, 4]


def test_keys_that_are_kept_gained_and_lost() -> None:
    """Each of either set once, with its shares and planes; without embeddings the sets alone."""
    a, b = circles(13, 8, {1: 0.0, 2: 0.5, 3: 0.0}), circles(13, 8, {1: 0.0, 2: 0.1, 5: 0.0})
    found = compare_keys(a, b, [1, 2, 3], [1, 2, 5])
    changes = [(row.frequency, row.change) for row in found]
    assert changes == [(1, "kept"), (2, "kept"), (3, "lost"), (5, "gained")]
    assert [row.overlap for row in found[:2]] == pytest.approx([1, 1])
    assert [row.share_a for row in found] == pytest.approx([1 / 3] * 3 + [0], abs=1e-12)
    assert (found[2].alignment, found[2].overlap, found[2].phase_b) == (None, None, None)
    bare = compare_keys(None, None, [1], [2])
    assert [msgspec.structs.astuple(row)[2:] for row in bare] == [(None,) * 10] * 2


def test_planes_of_what_has_none() -> None:
    """None: other widths, no power, numbers that are none."""
    a = drawn(0, 7, 4)
    for other in (drawn(0, 7, 5), np.zeros((7, 4)), np.full((7, 4), np.inf)):
        assert plane_overlap(a, other) is None
    assert alignment(ellipse(a, 1), ellipse(np.zeros((7, 4)), 1)) is None


@given(SEEDS, st.sampled_from([1e-6, 1.0, 1e6]))
def test_weights_by_definition(seed: int, scale: float) -> None:
    """Distance and cosine entry by entry; symmetric; 0 and 1 against itself; together as one."""
    shapes: dict[str, tuple[int, ...]] = {"W": (3, 4), "b": (5,), "x": (2, 2, 2)}
    a, b = (
        {n: drawn(seed + i, *s, scale=scale).astype(np.float32) for n, s in shapes.items()}
        for i in range(2)
    )
    rows, together = compare_weights(a, b)
    back, _ = compare_weights(b, a)
    for row, other in zip(rows, back, strict=True):
        x, y = (one[row.name].astype(float).ravel().tolist() for one in (a, b))
        distance = math.sqrt(sum((u - v) ** 2 for u, v in zip(x, y, strict=True)))
        inner = sum(u * v for u, v in zip(x, y, strict=True))
        assert row.distance == pytest.approx(distance)
        assert row.cosine == pytest.approx(inner / (math.hypot(*x) * math.hypot(*y)))
        assert (row.norm_a, row.norm_b) == pytest.approx((math.hypot(*x), math.hypot(*y)))
        assert (row.distance, row.cosine) == (other.distance, other.cosine)
    squares = [row.distance**2 for row in rows if row.distance is not None]
    assert together.distance == pytest.approx(math.sqrt(sum(squares)))
    same, every = compare_weights(a, a)
    assert [(row.distance, row.cosine, row.identical) for row in same] == [(0, 1, True)] * 3
    assert (every.distance, every.cosine) == (0, 1)
    assert same_weights(a, dict(reversed(a.items())))
    assert not same_weights(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_weights_without_finite_figures(value: float) -> None:
    """A mask has neither distance nor norm, is identical to its like, and spoils no other."""
    a, b = ({"W": drawn(seed, 3, 4), "b": drawn(seed, 5)} for seed in (0, 1))
    expected, together = compare_weights(a, b)
    mask = np.full((3, 3), value)
    rows, every = compare_weights(a | {"mask": mask}, b | {"mask": mask})
    assert (rows[:2], every) == (expected, together)
    found = rows[2]
    assert (found.norm_a, found.norm_b, found.distance, found.cosine) == (None,) * 4
    assert found.identical
    assert compare_weights({"mask": mask}, {"mask": mask})[1] == AllWeights(None, None)


def test_weights_that_one_side_lacks() -> None:
    """Named, with neither distance nor cosine; of zeros no cosine; integers are no weights."""
    one = {"W": np.zeros((2, 2), np.float32), "b": np.ones(2, np.float32), "i": np.array([1])}
    other = {
        "W": np.ones((2, 2), np.float32),
        "b": np.ones(3, np.float32),
        "U": np.ones(1, np.float32),
    }
    rows, together = compare_weights(one, other)
    found = {row.name: (row.shape_a, row.shape_b, row.distance, row.cosine) for row in rows}
    assert found == {
        "W": ([2, 2], [2, 2], 2, None),
        "b": ([2], [3], None, None),
        "U": (None, [1], None, None),
    }
    assert (together.distance, together.cosine) == (2, None)
    assert compare_weights({}, other)[1].distance is None
    zeros = {"W": np.array([0.0])}, {"W": np.array([-0.0])}
    assert not same_weights(*zeros)
    assert compare_weights(*zeros)[0][0].distance == 0


def test_figures_are_plain_numbers() -> None:
    """What is answered is kept as MessagePack: no type of numpy is among it."""
    found: list[PartComparison] = compared(3, *both_logits(3, 0)).parts(None, None)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=list[PartComparison]) == found
    row = compare_keys(drawn(0, 7, 4), drawn(1, 7, 4), [1], [2])
    msgspec.msgpack.encode([*row, plane_overlap(drawn(0, 7, 4), drawn(1, 7, 4))])


@pytest.mark.parametrize("rows", [(10, 10), (10, 7), (3, 25), (24, 1)])
def test_blocks_are_read_beside_each_other(rows: tuple[int, int]) -> None:
    """However the two are cut, every pair once and in order."""
    both = [
        Drawn(5, size, {"logits": 5, "neurons": width})
        for size, width in zip(rows, (3, 4), strict=True)
    ]
    blocks = [list(one.blocks(["logits", "neurons"])) for one in both]
    found = list(beside(iter(blocks[0]), iter(blocks[1])))
    for side, name in itertools.product((0, 1), (0, 1)):
        joined = np.concatenate([pair[side][name] for pair in found])
        np.testing.assert_array_equal(joined, np.concatenate([b[name] for b in blocks[side]]))
    assert all(len(a[0]) == len(b[1]) for a, b in found)


@settings(max_examples=12)
@given(
    st.sampled_from([5, 13, 59, 97]),
    st.sampled_from([0, 32, 300]),
    st.sampled_from([1, 32, 300]),
    st.sampled_from([(16, 16), (500, 300), (2048, 1024)]),
)
def test_it_takes_no_more_than_it_says(p: int, a: int, b: int, rows: tuple[int, int]) -> None:
    """Reading both, with neurons or without, and the parts of two splits: within the bound."""
    widths = [{"logits": p, **({"neurons": width} if width else {})} for width in (a, b)]
    both = [Drawn(p, size, width) for size, width in zip(rows, widths, strict=True)]
    task = Task(operation="add", modulus=p)
    train = split(task, 0.5, 0), split(task, 0.5, 1)
    tracemalloc.start()
    try:
        read = read_both(both[0], both[1], answers(task))
        read.answers.parts(*train)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= both_bytes(p, (widths[0], widths[1]), max(rows), 0)
