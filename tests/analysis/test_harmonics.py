"""Odd harmonics of neurons: known waves, folding, and the definition term by term."""

import cmath
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import WholeOutputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.waves.harmonics import fold, read_harmonics
from grokprobe.task import Task, pairs
from tests.analysis.test_waves import columns, measures
from tests.support.reference_maths import slow_explained


def slow_harmonics(frequency: int, n: int) -> list[int]:
    """The frequencies of f, 3f and 5f one by one, None of them twice, 0 where there is none new."""
    found: list[int] = []
    for m in (1, 3, 5):
        k = next(
            k
            for k in range(n // 2 + 1)
            if (m * frequency - k) % n == 0 or (m * frequency + k) % n == 0
        )
        found.append(0 if k in found else k)
    return found


def slow_shares(column: Array, frequency: int) -> list[float]:
    """The power at each harmonic over that of all that varies, both k and n - k."""
    n = len(column)
    power = [
        abs(sum(v * cmath.exp(-2j * math.pi * k * a / n) for a, v in enumerate(column))) ** 2
        for k in range(n)
    ]
    total = sum(power[1:])
    return [
        sum(power[j] for j in {k, n - k}) / total if k else 0.0
        for k in slow_harmonics(frequency, n)
    ]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 8, 9, 12, 15, 16, 113])
def test_each_frequency_is_counted_once(n: int) -> None:
    """Those that fold onto the constant, onto f or onto an earlier one are none of their own."""
    every = np.arange(n // 2 + 1)
    expected = np.array([slow_harmonics(k, n) for k in every.tolist()]).T
    np.testing.assert_array_equal(fold(every, n), expected)


@pytest.mark.parametrize(
    ("n", "f", "expected"),
    [
        (113, 5, [5, 15, 25]),
        (113, 40, [40, 7, 26]),
        (3, 1, [1, 0, 0]),  # 3f is the constant, 5f is f again
        (5, 1, [1, 2, 0]),
        (4, 1, [1, 0, 0]),  # 3f = -f
        (8, 1, [1, 3, 0]),  # 5f = -3f
        (12, 6, [6, 0, 0]),  # Nyquist has itself alone
        (15, 3, [3, 6, 0]),
    ],
)
def test_known_foldings(n: int, f: int, expected: list[int]) -> None:
    """By hand."""
    assert fold(np.array([f]), n)[:, 0].tolist() == expected


@given(
    matrix=st.integers(3, 14).flatmap(
        lambda n: arrays(np.float64, (n, 4), elements=st.floats(-4, 4, width=32))
    ),
    data=st.data(),
)
def test_shares_are_the_definition(matrix: Array, data: st.DataObject) -> None:
    """Of any column at any frequency, Nyquist too; never more than all of it."""
    n = len(matrix)
    frequency = np.array(data.draw(st.lists(st.integers(0, n // 2), min_size=4, max_size=4)))
    explained = np.full((n // 2, 4), 0.1)
    found = read_harmonics(matrix, explained, frequency)
    for i, k in enumerate(frequency.tolist()):
        if k == 0 or np.ptp(matrix[:, i]) == 0:
            assert np.isnan(found.input_share[:, i]).all()
        elif np.ptp(matrix[:, i]) > 1e-3:
            expected = slow_shares(matrix[:, i], k)
            np.testing.assert_allclose(found.input_share[:, i], expected, atol=1e-6)
            assert found.input_share[:, i].sum() <= 1 + 1e-9
        count = sum(h > 0 for h in slow_harmonics(k, n))
        assert np.isnan(found.fve[i]) if k == 0 else found.fve[i] == pytest.approx(0.1 * count)


def shares(wave: Callable[[Array], Array], n: int, f: int) -> list[float]:
    """Of a wave of the angle."""
    angle = 2 * np.pi * f * np.arange(n) / n + 0.3
    read = wave(angle)[:, None]
    found = read_harmonics(read, np.zeros((n // 2, 1)), np.array([f]))
    listed: list[float] = found.input_share[:, 0].tolist()
    return listed


def test_waves_that_are_known() -> None:
    """A cosine, three harmonics, a square wave, a triangle, and ReLU, whose harmonics are even.

    Those of a square wave fall as 1/m in amplitude, of a triangle as 1/m^2.
    """
    assert shares(np.cos, 113, 40) == pytest.approx([1, 0, 0])
    three = shares(lambda x: 7 + np.cos(x) - np.cos(3 * x) / 3 + np.cos(5 * x) / 5, 113, 40)
    total = 1 + 1 / 9 + 1 / 25
    assert three == pytest.approx([1 / total, 1 / 9 / total, 1 / 25 / total])
    square = shares(lambda x: np.sign(np.cos(x)), 10007, 31)
    eighth = 8 / math.pi**2
    assert square == pytest.approx([eighth, eighth / 9, eighth / 25], abs=1e-4)
    triangle = shares(lambda x: np.arcsin(np.cos(x)), 10007, 31)
    assert triangle == pytest.approx([96 / math.pi**4 / m**4 for m in (1, 3, 5)], abs=1e-6)
    relu = shares(lambda x: np.maximum(np.cos(x), 0), 10007, 31)
    assert relu == pytest.approx([0.25 / (0.5 - 2 / math.pi**2), 0, 0], abs=1e-4)


def test_a_network_of_square_waves() -> None:
    """ReLU of two square waves: weights show 3f and 5f, and admitting these explains more.

    Of activations with nothing but f the share that admits harmonics is that at f.
    """
    p, rng = 97, np.random.default_rng(0)
    k, phi = rng.integers(1, 49, size=8), rng.uniform(-3, 3, size=8)
    angle = 2 * np.pi * np.outer(np.arange(p), k) / p + phi
    a, b = pairs(p).T
    for table, is_square in ((np.sign(np.cos(angle)), True), (np.cos(angle), False)):
        before = table[a] + table[b]
        after = np.maximum(before, 0) if is_square else before
        outputs = WholeOutputs({"neurons": after.astype(np.float32)})
        probe = Probe(Task(operation="add", modulus=p), None, outputs)
        probe = Probe(probe.task, None, outputs, effective_embedding=table.astype(np.float32))
        found, told = columns(probe), measures(probe)
        np.testing.assert_array_equal(found["frequency"], k)
        of_f, of_3f, of_5f = (told[f"input_share_{name}"] for name in ("f", "3f", "5f"))
        assert of_f == pytest.approx(8 / math.pi**2 if is_square else 1, abs=0.01)
        assert of_3f == pytest.approx(8 / math.pi**2 / 9 if is_square else 0, abs=0.01)
        assert of_5f == pytest.approx(8 / math.pi**2 / 25 if is_square else 0, abs=0.01)
        assert told["fve_mean_harmonics"] == pytest.approx(found["fve_harmonics"].mean())
        gain = found["fve_harmonics"] - found["fve"]
        assert (gain > 0.05).all() if is_square else (np.abs(gain) < 1e-9).all()
        for i in (0, 5):
            explained = slow_explained(after.reshape(p, p, -1)[..., i])
            harmonics = [explained[h - 1] for h in slow_harmonics(int(k[i]), p) if h]
            assert found["fve_harmonics"][i] == pytest.approx(sum(harmonics), abs=1e-6)
