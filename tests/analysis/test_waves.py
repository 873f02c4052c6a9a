"""The waves of neurons: phases, amplitudes, and how the neurons share them out."""

import cmath
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from grokprobe.analysis.basis import DIRECTIONS, basis_of
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import WholeOutputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.series.neurons import COLUMNS, read_neurons
from grokprobe.analysis.waves.harmonics import Harmonics
from grokprobe.analysis.waves.phases import Wave, wave
from grokprobe.analysis.waves.reading import Waves
from grokprobe.analysis.waves.rows import OF_WAVES
from grokprobe.task import Operation, Task, pairs

MATRICES = st.integers(3, 12).flatmap(
    lambda n: arrays(np.float64, (n, 5), elements=st.floats(-4, 4, width=32))
)
OPERATIONS: list[Operation] = ["add", "sub", "mul", "div"]


def slow_coefficient(column: Array, frequency: int) -> complex:
    """The column's Fourier coefficient, by the sum of the definition."""
    n = len(column)
    turn = -2j * math.pi * frequency / n
    return sum(complex(v) * cmath.exp(turn * a) for a, v in enumerate(column))


def slow_phase(column: Array, frequency: int) -> float:
    """The angle of the coefficient."""
    return cmath.phase(slow_coefficient(column, frequency))


def apart(one: Array, other: Array) -> Array:
    """How far angles lie apart."""
    return np.abs((one - other + np.pi) % (2 * np.pi) - np.pi)


def cosines(n: int, frequency: Any, phase: Any, height: Any = 1.0) -> Array:
    """Waves over the elements of a group, (n, width)."""
    waves: Array = height * np.cos(2 * np.pi * np.outer(np.arange(n), frequency) / n + phase)
    return waves


@given(n=st.integers(5, 24), data=st.data())
def test_a_wave_has_its_phase(n: int, data: st.DataObject) -> None:
    """Whatever its height, constant, and what it has at other frequencies; turned, it is later."""
    k = data.draw(st.integers(1, (n - 1) // 2))
    phi = data.draw(st.floats(-3.1, 3.1))
    height = data.draw(st.floats(1e-3, 1e3))
    planted = cosines(n, k, phi, height)[:, 0]
    others = 5 + sum(cosines(n, j, j)[:, 0] for j in range(1, n // 2 + 1) if j != k)
    both = np.stack([planted, planted + others, np.roll(planted, 1)], axis=1)
    found = wave(both, np.full(3, k))
    assert (apart(found.phase, phi - np.array([0, 0, 2 * np.pi * k / n])) < 1e-6).all()
    np.testing.assert_allclose(found.amplitude, height, rtol=1e-6, atol=1e-9)


@given(matrix=MATRICES, data=st.data())
def test_waves_are_those_of_the_definition(matrix: Array, data: st.DataObject) -> None:
    """Each column at its own frequency; none at 0 and Nyquist, no phase where nothing is there."""
    n = len(matrix)
    frequency = np.array(data.draw(st.lists(st.integers(0, n // 2), min_size=5, max_size=5)))
    found = wave(matrix, frequency)
    for i, k in enumerate(frequency.tolist()):
        expected = slow_coefficient(matrix[:, i], k)
        if k == 0 or 2 * k == n:
            assert math.isnan(found.phase[i])
            assert math.isnan(found.amplitude[i])
            continue
        assert found.amplitude[i] == pytest.approx(2 / n * abs(expected), abs=1e-9)
        if abs(expected) > 1e-6:
            assert apart(found.phase[i], np.array(cmath.phase(expected))) < 1e-6
    assert np.isnan(wave(np.zeros_like(matrix), frequency).phase).all()
    assert np.isnan(wave(None, frequency).amplitude).all()


def network(
    activation: str, rng: np.random.Generator, p: int = 13
) -> tuple[Probe, NDArray[np.int64], Array]:
    """A planted network of one hidden layer: its probe, frequencies and phases of the neurons."""
    k, phi = rng.integers(1, (p - 1) // 2 + 1, size=20), rng.uniform(-3, 3, size=20)
    table = cosines(p, k, phi)
    a, b = pairs(p).T
    before = table[a] + table[b]
    after = np.square(before) if activation == "quadratic" else np.maximum(before, 0)
    outputs = WholeOutputs({"neurons": after.astype(np.float32)})
    return Probe(Task(operation="add", modulus=p), None, outputs), k, phi


def measures(probe: Probe) -> dict[str, float | None]:
    """Those of waves, by the table."""
    return {m.name: m.of_outputs(probe) for m in OF_WAVES if m.of_outputs}


def waves(n: int, k: Any, a: Wave, b: Wave, out: Wave, direction: str | None) -> Waves:
    """Waves of neurons of which nothing else is known."""
    nothing = np.zeros((4, len(k)))
    return Waves(n, k, a, b, out, direction, Harmonics(nothing[:3], nothing[3]))


def columns(probe: Probe) -> dict[str, Array]:
    """What is read of the neurons, by name."""
    found = read_neurons(probe)
    assert found is not None
    return dict(zip(COLUMNS, found.T, strict=True))


def test_phases_of_a_planted_network() -> None:
    """The mean over b has the phase of the weights where the activation is monotone.

    Up to harmonics, which p residues cannot tell from k. A quadratic one has nothing there.
    """
    rng = np.random.default_rng(1)
    probe, k, phi = network("relu", rng)
    found = columns(probe)
    np.testing.assert_array_equal(found["frequency"], k)
    for operand in ("input_phase", "input_phase_b"):
        assert (apart(found[operand], phi) < 0.02).all()
    assert np.isnan(found["output_phase"]).all()
    assert measures(probe)["phase_misalignment"] is None
    probe, k, phi = network("quadratic", rng)
    table, aligned = (
        cosines(13, k, phase, height).astype(np.float32)
        for phase, height in ((phi, 0.5), (2 * phi, 3))
    )
    probe = replace(probe, effective_embedding=table, neuron_logit_map=aligned)
    found = columns(probe)
    np.testing.assert_array_equal(found["frequency"], k)
    assert (apart(found["input_phase"], phi) < 1e-5).all()
    assert (found["misalignment"] < 1e-5).all()
    np.testing.assert_allclose(found["input_amplitude"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(found["output_amplitude"], 3, rtol=1e-6)
    assert measures(probe)["phase_misalignment"] == pytest.approx(0, abs=1e-5)
    other = columns(replace(probe, effective_embedding=table[:, :7]))  # not one for each neuron
    assert np.isnan(other["input_phase"]).all()


def planted(operation: Operation, p: int, rng: np.random.Generator, width: int = 40) -> Any:
    """A quadratic network with a table for each operand, every matrix with rows by residue.

    Its probe but for the neuron-logit map; of its neurons the frequencies, and the phase that the
    answer has in what they compute.
    """
    task = Task(operation=operation, modulus=p)
    of = basis_of(task)
    n, sign = of.order, 1 if of.direction == "sum" else -1
    k = rng.integers(1, (n - 1) // 2 + 1, size=width)
    phi_a, phi_b = rng.uniform(-np.pi, np.pi, size=(2, width))

    def by_residue(elements: Array) -> NDArray[np.float32]:
        rows = np.zeros((p, width), np.float32)
        rows[of.residues] = elements
        return rows

    table, table_b = by_residue(cosines(n, k, phi_a)), by_residue(cosines(n, k, phi_b))
    a, b = pairs(p).T
    outputs = WholeOutputs({"neurons": np.square(table[a] + table_b[b])})
    probe = Probe(task, None, outputs)
    probe = replace(probe, effective_embedding=table, effective_embedding_b=table_b)
    return probe, k, phi_a + sign * phi_b, lambda psi: by_residue(cosines(n, k, psi))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_alignment_is_of_the_answer(operation: Operation) -> None:
    """0 where psi is the sum of the phases, of sub and div their difference; D where it lies D off.

    In the order of the operation's group: addition's way of reading a difference finds nothing.
    """
    rng = np.random.default_rng(3)
    probe, k, answer, written = planted(operation, 29, rng)
    for off in (0.0, 0.4, -2.0, math.pi, 5.0):
        found = replace(probe, neuron_logit_map=written(answer + off))
        np.testing.assert_array_equal(columns(found)["frequency"], k)
        expected = abs(math.remainder(off, 2 * math.pi))
        np.testing.assert_allclose(columns(found)["misalignment"], expected, atol=1e-5)
        assert measures(found)["phase_misalignment"] == pytest.approx(expected, abs=1e-5)
    aligned = replace(probe, neuron_logit_map=written(answer))
    inverse: dict[str, Operation] = {"add": "sub", "sub": "add", "mul": "div", "div": "mul"}
    other = replace(aligned, task=Task(operation=inverse[operation], modulus=29))
    assert (measures(other)["phase_misalignment"] or 0) > 1


def test_one_table_has_one_phase() -> None:
    """Of a sum 2 phi = psi; a difference in its own table has no phase left: psi = 0."""
    rng = np.random.default_rng(5)
    n, k, phi = 23, rng.integers(1, 12, size=30), rng.uniform(-3, 3, size=30)
    read, nothing = wave(cosines(n, k, phi), k), wave(cosines(n, k, 0), k)
    of_sum = waves(n, k, read, read, wave(cosines(n, k, 2 * phi), k), "sum")
    assert of_sum.mean_misalignment == pytest.approx(0, abs=1e-9)
    assert waves(n, k, read, read, nothing, "difference").mean_misalignment == pytest.approx(0)
    assert waves(n, k, read, read, read, None).mean_misalignment is None


def test_misalignment_by_chance() -> None:
    """Phases that know nothing of each other are pi/2 apart in the mean, uniform in 0..pi."""
    rng = np.random.default_rng(0)
    k = np.ones(20000, np.int64)
    a, b, out = (Wave(np.ones(k.size), rng.uniform(-np.pi, np.pi, k.size)) for _ in range(3))
    found = waves(5, k, a, b, out, "sum")
    assert found.mean_misalignment == pytest.approx(np.pi / 2, abs=0.03)
    spread = np.sort(found.misalignment) / np.pi - (np.arange(k.size) + 0.5) / k.size
    assert np.abs(spread).max() < 1.63 / math.sqrt(k.size)  # Kolmogorov and Smirnov, 1 %


def slow_resultant(frequency: Any, phase: Any) -> float | None:
    """Group by group, multiple by multiple."""
    total, neurons = 0.0, 0
    for k in set(frequency):
        group = [f for j, f in zip(frequency, phase, strict=True) if j == k and not math.isnan(f)]
        if len(group) > 1:
            lengths = [abs(sum(cmath.exp(1j * m * f) for f in group)) for m in (1, 2, 3, 4)]
            total, neurons = total + sum(lengths) / 4, neurons + len(group)
    return total / neurons if neurons else None


PHASES = st.lists(
    st.tuples(st.integers(0, 4), st.one_of(st.floats(-3.2, 3.2), st.just(math.nan))), min_size=1
)


@given(neurons=PHASES)
def test_the_resultant_is_the_definition(neurons: list[tuple[int, float]]) -> None:
    """Of any neurons; None where each is alone with its frequency."""
    frequency, phase = np.array([k for k, _ in neurons]), np.array([f for _, f in neurons])
    read = Wave(phase, np.where(frequency > 0, phase, np.nan))
    found = waves(9, frequency, read, read, read, "sum")
    expected = slow_resultant(frequency.tolist(), read.phase.tolist())
    assert found.resultant == (None if expected is None else pytest.approx(expected, abs=1e-9))
    live = set(frequency.tolist()) - {0}
    assert found.coverage == (pytest.approx(len(live) / 4) if live else None)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (2 * np.pi * np.arange(7) / 7, 0.0),  # even in all four multiples
        (np.full(7, 1.2), 1.0),
        (2 * np.pi * np.arange(4) / 4, 0.25),  # four times a quarter turn is none
        (np.array([0.3, 0.3 + np.pi]), 0.5),  # opposite: doubled they are alike
    ],
)
def test_phases_that_are_spread(phase: Array, expected: float) -> None:
    """Known lengths, whatever turns all of them, beside a neuron that is alone."""
    for turn in (0.0, 1.0, 2.5):
        every = np.append(phase, 0.7) + turn
        frequency = np.append(np.full(len(phase), 3), 2)
        read = Wave(every, every)
        found = waves(13, frequency, read, read, read, "sum")
        assert found.resultant == pytest.approx(expected, abs=1e-12)
        assert found.coverage == pytest.approx(2 / 6)


def test_phases_drawn_at_random() -> None:
    """About .89 over the root of how many neurons a frequency has: never 0."""
    rng = np.random.default_rng(2)
    k = np.repeat(np.arange(1, 201), 50)
    read = Wave(np.ones(k.size), rng.uniform(-np.pi, np.pi, k.size))
    expected = math.sqrt(math.pi / 4 / 50)
    assert waves(401, k, read, read, read, "sum").resultant == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(shift=st.integers(0, 28), scale=st.floats(1e-2, 1e2), seed=st.integers(0, 9))
def test_figures_do_not_depend_on_units(
    operation: Operation, shift: int, scale: float, seed: int
) -> None:
    """Nor on the order of the neurons, nor on the element from which both operands are counted."""
    probe, _, _, written = planted(operation, 29, np.random.default_rng(seed), 12)
    psi = np.random.default_rng(seed).uniform(-3, 3, size=12)
    probe = replace(probe, neuron_logit_map=written(psi))
    first = measures(probe)
    order = np.random.default_rng(seed).permutation(12)
    n = probe.basis.order
    turns = 2 * shift if probe.basis.direction == "sum" else 0

    def moved(matrix: Any, by: int) -> NDArray[np.float32]:
        rows = np.zeros_like(matrix)
        rows[probe.basis.residues] = np.roll(matrix[probe.basis.residues], by, axis=0)
        scaled: NDArray[np.float32] = (scale * rows[:, order]).astype(np.float32)
        return scaled

    tables = [probe.effective_embedding, probe.effective_embedding_b]
    read, read_b = (moved(table, shift) for table in tables)
    a, b = pairs(29).T
    other = Probe(
        probe.task,
        None,
        WholeOutputs({"neurons": np.square(read[a] + read_b[b])}),
        neuron_logit_map=moved(probe.neuron_logit_map, turns % n),
        effective_embedding=read,
        effective_embedding_b=read_b,
    )
    assert measures(other) == pytest.approx(first, abs=1e-4)


@pytest.mark.parametrize(("operation", "p"), [("add", 5), ("sub", 6), ("mul", 3), ("div", 3)])
@pytest.mark.parametrize("kind", ["zero", "one neuron", "noise"])
def test_no_figure_is_nan(operation: Operation, p: int, kind: str) -> None:
    """Of the smallest groups, dead neurons, one neuron, matrices of nothing: a number or None."""
    rng, width = np.random.default_rng(0), 1 if kind == "one neuron" else 4
    scale = 0 if kind == "zero" else 1

    def drawn(*shape: int) -> NDArray[np.float32]:
        return (scale * rng.normal(size=shape)).astype(np.float32)

    outputs = WholeOutputs({"logits": drawn(p * p, p), "neurons": drawn(p * p, width)})
    probe = Probe(Task(operation=operation, modulus=p), None, outputs, None, drawn(p, width))
    tables: dict[str, Any] = {
        "effective_embedding": drawn(p, width),
        "effective_embedding_b": drawn(p, width),
    }
    for one in (probe, replace(probe, **tables)):
        found = measures(one)
        assert all(value is None or math.isfinite(value) for value in found.values())
        assert kind != "zero" or set(found.values()) == {None}
        assert kind != "one neuron" or found["phase_resultant"] is None
        assert operation not in DIRECTIONS or columns(one)["frequency"].shape == (width,)


def test_a_dead_neuron_has_no_wave() -> None:
    """Nor a frequency."""
    probe = Probe(Task(modulus=7), None, WholeOutputs({"neurons": np.ones((49, 2), np.float32)}))
    ones = np.ones((7, 2), np.float32)
    found = read_neurons(replace(probe, effective_embedding=ones, neuron_logit_map=ones))
    np.testing.assert_array_equal(found, [[0, 0, *[np.nan] * (len(COLUMNS) - 2)]] * 2)
