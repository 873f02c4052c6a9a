"""The largest loop: the boundary matrix, circles, and a null whose p-values are uniform."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.measures_table import MEASURES
from grokprobe.analysis.outputs import WholeOutputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.representations.loops import (
    LARGEST,
    distances,
    largest_loop,
    loop_p_value,
)
from grokprobe.errors import InvalidInput
from grokprobe.task import Task
from tests.support.reference_maths import slow_loops
from trainer.config.schema import TransformerSection
from trainer.models.transformer import Transformer

LOOP = {m.name: m.of_outputs for m in MEASURES if "topology" in m.needs}


def circle(n: int, turns: int = 1) -> Array:
    """Residues 0..n-1 on the unit circle of a frequency, (n, 2)."""
    angle = 2 * np.pi * turns * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def noise(seed: int, n: int, width: int) -> Array:
    return np.random.default_rng(seed).normal(size=(n, width))


def of_embedding(embedding: Array, task: Task) -> dict[str, float | None]:
    """The rows of the table."""
    outputs = WholeOutputs({"logits": np.zeros((0, task.modulus), np.float32)})
    probe = Probe(task, None, outputs, embedding.astype(np.float32))
    return {name: of_outputs(probe) for name, of_outputs in LOOP.items() if of_outputs}


@given(st.integers(0, 10**6), st.integers(4, 11), st.integers(1, 4))
def test_it_equals_the_reduction_of_the_boundary_matrix(seed: int, n: int, width: int) -> None:
    """Every edge and triangle in order of size, the columns reduced as the definition has it."""
    points = noise(seed, n, width)
    unit = max(math.dist(p, q) for p in points for q in points)
    found, expected = largest_loop(points), slow_loops(points)
    assert found is not None
    most = max((death - birth for birth, death in expected), default=0.0)
    assert found.persistence == pytest.approx(most / unit, abs=1e-6)
    if found.birth is not None and most > 1e-4 * unit:
        birth, death = max(expected, key=lambda loop: loop[1] - loop[0])
        assert (found.birth, found.death) == pytest.approx((birth / unit, death / unit), abs=1e-6)


@pytest.mark.parametrize("n", [4, 5, 6, 7, 9, 12, 59, 113])
def test_a_circle_is_born_and_dies_at_its_chords(n: int) -> None:
    """Born at the side; filled by the first triangle that holds the centre: sqrt(3) if 3 | n."""
    found, unit = largest_loop(circle(n)), 2.0 if n % 2 == 0 else 2 * math.cos(math.pi / (2 * n))
    assert found is not None
    assert found.birth == pytest.approx(2 * math.sin(math.pi / n) / unit, abs=1e-6)
    death = math.sqrt(3) if n % 3 == 0 else 2 * math.sin(math.pi * math.ceil(n / 3) / n)
    assert found.death == pytest.approx(death / unit, abs=1e-6)


@pytest.mark.parametrize("turns", [1, 5, 29])
def test_a_circle_has_the_least_p_value(turns: int) -> None:
    """Whichever its frequency, of many dimensions too, with some noise about it."""
    turn = np.linalg.qr(noise(0, 16, 16))[0]
    wide = np.pad(circle(59, turns), ((0, 0), (0, 14))) @ turn
    for points in (circle(59, turns), wide, wide + 0.02 * noise(1, 59, 16)):
        assert loop_p_value(points, 39) == 1 / 40


@given(st.integers(0, 99), st.sampled_from([1e-9, 0.3, 1e9]))
def test_turned_scaled_moved_and_in_another_order_it_is_the_same(seed: int, scale: float) -> None:
    """A loop knows distances alone, in units of the largest."""
    points = noise(seed, 12, 3)
    turn = np.linalg.qr(noise(seed + 1, 3, 3))[0]
    same = largest_loop(points)
    assert same is not None
    for other in (points @ turn, scale * points, points + 5, points[::-1]):
        found = largest_loop(other)
        assert found is not None
        assert found.persistence == pytest.approx(same.persistence, abs=1e-5)


def distance_from_uniform(p_values: list[float], draws: int) -> float:
    """Kolmogorov-Smirnov's, from the uniform distribution over 1/(1 + draws) .. 1."""
    grid = np.arange(1, draws + 2) / (1 + draws)
    below = np.mean(np.asarray(p_values)[:, None] <= grid + 1e-9, axis=0)
    return float(np.abs(below - grid).max())


def test_on_random_networks_the_p_values_are_uniform() -> None:
    """Of embeddings as they are drawn: nobody's loop is more than chance (1 % point of K-S)."""
    section = TransformerSection(d_model=6, heads=1, d_head=4, d_mlp=4)
    tables = [Transformer(section, 23, seed).embeddings()[0] for seed in range(120)]
    found = [loop_p_value(table.detach().numpy(), 39, seed) for seed, table in enumerate(tables)]
    p_values = [p for p in found if p is not None]
    assert len(p_values) == 120
    assert distance_from_uniform(p_values, 39) < 1.63 / math.sqrt(120)


def test_rows_permuted_are_no_null() -> None:
    """They leave every loop as it is; entries permuted within columns do not."""
    points, rng = circle(30), np.random.default_rng(0)
    assert largest_loop(rng.permutation(points)) == largest_loop(points)
    assert loop_p_value(points, 19, 3) == 1 / 20


def test_the_p_value_is_its_count() -> None:
    """Draw by draw, from the seed; the same seed gives the same."""
    points, rng = noise(4, 14, 3), np.random.default_rng(7)
    mine = max(death - birth for birth, death in slow_loops(points))
    null = []
    for _ in range(19):
        columns = rng.permuted(points, axis=0)
        null.append(max((death - birth for birth, death in slow_loops(columns)), default=0))
    expected = (1 + sum(value >= mine for value in null)) / 20
    assert loop_p_value(points, 19, 7) == loop_p_value(points, 19, 7) == expected


def test_points_without_a_loop() -> None:
    """On a line, or all as far from each other: no birth, no death, nothing more than chance."""
    for points in (np.arange(9.0)[:, None], np.eye(9)):
        found = of_embedding(points, Task(modulus=9))
        assert found == {
            "loop_birth": None,
            "loop_death": None,
            "loop_persistence": 0.0,
            "loop_p_value": 1.0,
        }


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("fill", [0.0, 1.0, -1e-20, 1e20])
def test_points_that_coincide_have_none(fill: float, width: int) -> None:
    """The rounding of a constant is no cloud."""
    embedding = np.full((7, width), fill)
    assert set(of_embedding(embedding, Task(modulus=7)).values()) == {None}
    embedding[2, 0] *= 1 + 2**-23
    assert set(of_embedding(embedding, Task(modulus=7)).values()) == {None}


@pytest.mark.parametrize("task", [Task(operation="mul", modulus=3), Task(modulus=3)])
def test_few_points(task: Task) -> None:
    """Two or three have no loop, and fewer than five no null."""
    found = of_embedding(noise(0, 3, 4), task)
    assert (found["loop_persistence"], found["loop_p_value"]) == (0.0, None)


def test_multiplication_leaves_out_zero_and_order_does_not_matter() -> None:
    """The powers of a primitive root on a circle, 0 far away: the circle's loop alone."""
    task = Task(operation="mul", modulus=13)
    residues = Probe(task, None, WholeOutputs({})).basis.residues
    embedding = np.full((13, 2), 50.0)
    embedding[residues] = circle(12)
    assert of_embedding(embedding, task)["loop_death"] == pytest.approx(math.sqrt(3) / 2)


def test_of_too_many_points_nothing_is_told() -> None:
    """It could take minutes, and nothing could stop it."""
    points = circle(LARGEST + 1)
    assert largest_loop(points) is None
    assert loop_p_value(points, 1) is None
    assert largest_loop(points[:LARGEST]) is not None


def test_without_ripser_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that a person can act on, in place of a figure."""
    monkeypatch.setitem(sys.modules, "pyRipser", None)
    with pytest.raises(InvalidInput, match=r"needs ripser, .* pip install 'grokprobe\[topology\]'"):
        largest_loop(circle(7))


def test_distances_are_those_between_rows() -> None:
    """Also far from the origin."""
    points = noise(0, 6, 3) + 1e4
    expected = [[math.dist(p, q) for q in points] for p in points]
    assert distances(points) == pytest.approx(np.array(expected), abs=1e-7)
