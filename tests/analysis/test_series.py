"""What a series has of a checkpoint: the single figures, each rounded once."""

import cmath
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from grokprobe.analysis.coordinates import explained_share, frequency_plane, strongest_plane
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import WholeOutputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.series.neurons import phases, read_neurons
from grokprobe.analysis.series.plane import read_plane
from grokprobe.task import Task, pairs
from tests.support.reference_maths import slow_r_squared, slow_spectrum

MATRICES = st.integers(3, 12).flatmap(
    lambda n: arrays(np.float64, (n, 5), elements=st.floats(-4, 4, width=32))
)


def slow_plane(matrix: Array, frequency: int) -> list[list[float]]:
    """Coordinates by the definition: Gram and Schmidt on the rows' cosine and sine sums."""
    n, width = matrix.shape
    angle = [2 * math.pi * frequency * a / n for a in range(n)]
    u = [sum(math.cos(angle[a]) * matrix[a, j] for a in range(n)) for j in range(width)]
    v = [sum(math.sin(angle[a]) * matrix[a, j] for a in range(n)) for j in range(width)]
    e1 = [x / math.hypot(*u) for x in u]
    along = math.fsum(x * e for x, e in zip(v, e1, strict=True))
    w = [x - along * e for x, e in zip(v, e1, strict=True)]
    e2 = [x / math.hypot(*w) for x in w]
    return [[math.fsum(row * e) for e in (np.array(e1), np.array(e2))] for row in matrix]


def circle(n: int, frequency: int, radius: float) -> Array:
    """Rows on a circle, in a plane of four dimensions."""
    turn = 2 * np.pi * frequency * np.arange(n) / n
    plane = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))[0]
    rows: Array = radius * np.stack([np.cos(turn), np.sin(turn)], axis=1) @ plane.T
    return rows


@given(n=st.integers(5, 30), share=st.floats(0, 1), radius=st.floats(1e-3, 1e3))
def test_a_circle_is_seen_as_one(n: int, share: float, radius: float) -> None:
    """Its radius, all of its variance, and a perfect fit, at any frequency that has a plane."""
    frequency = 1 + int(share * ((n - 1) // 2 - 1))
    found = read_plane(circle(n, frequency, radius), frequency)
    assert found.radius == np.float32(found.radius)
    figures = (found.radius / radius, found.r_squared, found.explained_share)
    np.testing.assert_allclose(np.array(figures, np.float64), 1, rtol=1e-6)
    assert strongest_plane(circle(n, frequency, radius)) == frequency


@given(matrix=MATRICES, data=st.data())
def test_a_plane_is_the_definition(matrix: Array, data: st.DataObject) -> None:
    """Points, radius, fit and share of any matrix, rounded once from the double answer."""
    n = len(matrix)
    frequency = data.draw(st.integers(1, (n - 1) // 2))
    found, points = read_plane(matrix, frequency), frequency_plane(matrix, frequency)
    np.testing.assert_array_equal(found.points, points.astype(np.float32))
    assert found.points.dtype == np.float32
    share = explained_share(points, matrix)
    assert found.explained_share == (None if share is None else float(np.float32(share)))
    cosine, sine, _ = slow_spectrum(matrix)
    # Where there are no two directions, rounding decides where they point.
    if min(cosine[frequency - 1], sine[frequency - 1], *np.ptp(points, axis=0)) > 1e-3:
        expected = np.array(slow_plane(matrix, frequency))
        np.testing.assert_allclose(found.points, expected, atol=1e-4)
        fit = slow_r_squared(expected, frequency)
        np.testing.assert_allclose(float(found.r_squared or 0), fit, atol=1e-4)


@given(matrix=MATRICES)
def test_a_matrix_that_does_not_vary_has_no_figures(matrix: Array) -> None:
    """Nulls, never NaN."""
    found = read_plane(np.zeros_like(matrix), 1)
    assert (found.radius, found.r_squared, found.explained_share) == (0, None, None)
    assert not found.points.any()


def test_what_is_beyond_single_precision_is_infinite() -> None:
    """No warning, no error."""
    assert math.isinf(read_plane(circle(7, 2, 1e39), 2).radius)


def slow_phase(column: Array, frequency: int) -> float:
    """The angle of the column's Fourier coefficient, by the sum of the definition."""
    n = len(column)
    turn = -2j * math.pi * frequency / n
    return cmath.phase(sum(complex(v) * cmath.exp(turn * a) for a, v in enumerate(column)))


def apart(one: Array, other: Array) -> Array:
    """How far angles lie apart."""
    return np.abs((one - other + np.pi) % (2 * np.pi) - np.pi)


@given(n=st.integers(5, 24), data=st.data())
def test_a_wave_has_its_phase(n: int, data: st.DataObject) -> None:
    """Whatever its height, constant, and what it has at other frequencies; turned, it is later."""
    k = data.draw(st.integers(1, (n - 1) // 2))
    phi = data.draw(st.floats(-3.1, 3.1))
    height = data.draw(st.floats(1e-3, 1e3))
    a = np.arange(n)
    wave = height * np.cos(2 * np.pi * k * a / n + phi)
    others = 5 + sum(np.cos(2 * np.pi * j * a / n + j) for j in range(1, n // 2 + 1) if j != k)
    both = np.stack([wave, wave + others, np.roll(wave, 1)], axis=1)
    found = phases(both, np.full(3, k))
    assert (apart(found, phi - np.array([0, 0, 2 * np.pi * k / n])) < 1e-6).all()


@given(matrix=MATRICES, data=st.data())
def test_phases_are_those_of_the_definition(matrix: Array, data: st.DataObject) -> None:
    """Each column at its own frequency; none at 0 and Nyquist, or where nothing is there."""
    n = len(matrix)
    frequency = np.array(data.draw(st.lists(st.integers(0, n // 2), min_size=5, max_size=5)))
    for column, k, found in zip(matrix.T, frequency, phases(matrix, frequency), strict=True):
        strength = abs(np.fft.fft(column)[k])
        if k == 0 or 2 * k == n:
            assert math.isnan(found)
        elif strength > 1e-6:
            assert apart(found, np.array(slow_phase(column, int(k)))) < 1e-6
    assert np.isnan(phases(np.zeros_like(matrix), frequency)).all()


def network(
    activation: str, rng: np.random.Generator, p: int = 13
) -> tuple[Probe, NDArray[np.int64], Array]:
    """A planted network of one hidden layer: its probe, frequencies and phases of the neurons."""
    k, phi = rng.integers(1, (p - 1) // 2 + 1, size=20), rng.uniform(-3, 3, size=20)
    table = np.cos(2 * np.pi * np.outer(np.arange(p), k) / p + phi)
    a, b = pairs(p).T
    before = table[a] + table[b]
    after = np.square(before) if activation == "quadratic" else np.maximum(before, 0)
    outputs = WholeOutputs({"neurons": after.astype(np.float32)})
    return Probe(Task(operation="add", modulus=p), None, outputs), k, phi


def test_phases_of_a_planted_network() -> None:
    """The mean over b has the phase of the weights where the activation is monotone.

    Up to harmonics, which p residues cannot tell from k. A quadratic one has nothing there.
    """
    rng = np.random.default_rng(1)
    probe, k, phi = network("relu", rng)
    found = read_neurons(probe, None, None)
    assert found is not None
    np.testing.assert_array_equal(found[:, 0], k)
    assert (apart(found[:, 2], phi) < 0.02).all()
    assert np.isnan(found[:, 3]).all()
    probe, k, phi = network("quadratic", rng)
    table = np.cos(2 * np.pi * np.outer(np.arange(13), k) / 13 + phi)
    aligned = np.cos(2 * np.pi * np.outer(np.arange(13), k) / 13 + 2 * phi)
    found = read_neurons(probe, table, aligned)
    assert found is not None
    np.testing.assert_array_equal(found[:, 0], k)
    assert (apart(found[:, 2], phi) < 1e-5).all()
    assert (apart(2 * found[:, 2], found[:, 3]) < 1e-5).all()
    other = read_neurons(probe, table[:, :7], None)  # of others' making: not one for each neuron
    assert other is not None
    assert np.isnan(other[:, 2]).all()


def test_a_dead_neuron_has_no_phase() -> None:
    """Nor a frequency."""
    probe = Probe(Task(modulus=7), None, WholeOutputs({"neurons": np.ones((49, 2), np.float32)}))
    found = read_neurons(probe, np.ones((7, 2)), np.ones((7, 2)))
    np.testing.assert_array_equal(found, [[0, 0, np.nan, np.nan]] * 2)
