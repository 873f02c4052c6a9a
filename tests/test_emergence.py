"""Emergence: crossings with brackets, lags that may not be resolved, and runs without any."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.emergence import (
    LEVELS,
    Crossing,
    Held,
    Lag,
    Phase,
    Phases,
    Transition,
    crossing,
    held,
    lag,
    phases,
    transition,
)

STEPS = [0, 100, 200, 300, 400]


def about(value: float) -> Any:
    """A number that equals its neighbours, where a type wants a float."""
    return pytest.approx(value)


def test_a_straight_line_crosses_where_it_should() -> None:
    """A rise from 0 to 1 over 400 steps: 10 %, 50 %, 90 % at 40, 200, 360, with brackets."""
    found = transition(STEPS, [0.0, 0.25, 0.5, 0.75, 1.0])
    assert found.rise == 1
    assert found.onset == Crossing(about(40), 0, 100)
    assert found.midpoint == Crossing(about(200), 100, 200)
    assert found.settled == Crossing(about(360), 300, 400)


def test_levels_are_shares_of_the_rise() -> None:
    """A series from .5 to .9 crosses its midpoint at .7."""
    found = transition([0, 10], [0.5, 0.9])
    assert found.midpoint == Crossing(about(5), 0, 10)


def test_the_first_crossing_counts() -> None:
    """A series that falls back has crossed where it first did."""
    found = transition(STEPS, [0.0, 0.8, 0.1, 0.2, 1.0])
    assert found.midpoint == Crossing(about(62.5), 0, 100)


@pytest.mark.parametrize(
    ("steps", "values", "rise"),
    [
        (STEPS, [0.5] * 5, 0.0),
        (STEPS, [0.1, 0.9, 0.9, 0.5, 0.15], about(0.05)),
        (STEPS, [0.9, 0.5, 0.4, 0.3, 0.1], about(-0.8)),
        ([0], [0.3], 0.0),
        ([], [], None),
        (STEPS, [None] * 5, None),
    ],
)
def test_no_transition(steps: list[int], values: list[float | None], rise: float | None) -> None:
    """Constant, falling, single, empty and unknown series have a rise at most, and no crossing."""
    assert transition(steps, values) == Transition(rise)


def test_unknown_values_are_left_out() -> None:
    """A checkpoint without the value widens the bracket instead of ending it."""
    found = transition([0, 100, 200], [0.0, None, 1.0])
    assert found.midpoint == Crossing(about(100), 0, 200)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_crossings_lie_in_their_brackets_and_in_order(values: list[float]) -> None:
    """onset <= midpoint <= settled, each inside its bracket of neighbouring checkpoints."""
    found = transition(range(0, 10 * len(values), 10), values)
    crossings = [getattr(found, level) for level in LEVELS]
    if found.onset is None:
        assert crossings == [None] * 3
        return
    for one in crossings:
        assert one.low <= one.step <= one.high
    assert crossings[0].step <= crossings[1].step <= crossings[2].step


def test_a_lag_and_its_bracket() -> None:
    """Structure 200 steps before: the bracket is wider by both intervals, and resolved."""
    structure = transition(STEPS, [0.0, 1.0, 1.0, 1.0, 1.0])
    test = transition(STEPS, [0.0, 0.0, 0.0, 0.5, 1.0])
    found = lag(structure, test, "midpoint")
    assert found == Lag(about(-250), -300, -100, True, about(-250 / 160))


def test_a_lag_within_the_checkpoints_is_not_resolved() -> None:
    """Two series that move in the same interval: the bracket holds 0."""
    structure = transition(STEPS, [0.0, 0.6, 1.0, 1.0, 1.0])
    test = transition(STEPS, [0.0, 0.5, 1.0, 1.0, 1.0])
    found = lag(structure, test, "midpoint")
    assert found is not None
    assert (found.low, found.high, found.resolved) == (-100, 100, False)


def test_a_jump_within_one_interval_has_no_relative_lag() -> None:
    """Test accuracy that rises between two checkpoints gives no unit to measure a lag in."""
    jump = transition(STEPS, [0.0, 0.0, 1.0, 1.0, 1.0])
    found = lag(transition(STEPS, [0.0, 1.0, 1.0, 1.0, 1.0]), jump, "onset")
    assert found is not None
    assert found.relative is None


def test_no_lag_without_both_transitions() -> None:
    """A run that never generalises has no lag, whatever its structure does."""
    rising, flat = transition(STEPS, [0, 0, 0.5, 1, 1]), transition(STEPS, [0.1] * 5)
    assert lag(rising, flat, "onset") is None
    assert lag(flat, rising, "onset") is None


def test_phases() -> None:
    """Memorisation from 0, circuit formation to the onset, cleanup to settled."""
    test = transition(STEPS, [0.0, 0.0, 0.0, 0.5, 1.0])
    memorised = held(STEPS, [0.1, 1.0, 1.0, 1.0, 1.0])
    assert memorised == Held(100, 0, 4, True)
    assert phases(memorised, test) == Phases(
        Phase(0, 100), Phase(100, about(220)), Phase(about(220), about(380))
    )


def test_phases_of_runs_that_lack_them() -> None:
    """Never memorised, never generalised, or generalised first: the phase is None."""
    test = transition(STEPS, [0.0, 0.0, 0.0, 0.5, 1.0])
    assert phases(None, test).circuit_formation is None
    assert phases(Held(0, None, 5, True), Transition(0.0)) == Phases(Phase(0, 0), None, None)
    late = Held(400, 300, 1, False)
    assert phases(late, test).circuit_formation is None


def test_crossing_of_a_series_that_starts_above() -> None:
    """A level that the first checkpoint already has is crossed there."""
    assert crossing([5, 10], [0.9, 0.95], 0.5) == Crossing(5, 5, 5)
    assert crossing([5, 10], [0.1, 0.2], 0.5) is None
