"""Emergence: crossings with brackets, lags that may not be resolved, and runs without any."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.emergence import (
    LEVELS,
    Crossing,
    Held,
    Lag,
    Level,
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
series = st.lists(st.floats(0, 1), min_size=2, max_size=30)


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


@given(series)
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


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.99, 0.5, 0.99, 1.0], Held(30, 20, 2, True)),
        ([1.0, 1.0], Held(0, None, 2, True)),
        ([0.1, 0.5, 0.99], Held(20, 10, 1, False)),
        ([0.1, 1.0, 0.977], None),
        ([None, None], None),
        ([], None),
    ],
)
def test_held(values: list[float | None], expected: Held | None) -> None:
    """A property holds from the first checkpoint after which it never fails again."""
    assert held([0, 10, 20, 30, 40][: len(values)], values) == expected


@given(st.lists(st.sampled_from([None, 0.5, 0.989, 0.99, 1.0]), max_size=12))
def test_held_equals_its_definition(values: list[float | None]) -> None:
    """The least i from which every value is known and at least .99, up to the last."""
    suffixes = [i for i in range(len(values)) if all((v or 0) >= 0.99 for v in values[i:])]
    found = held(range(len(values)), values)
    assert (found.step if found else None) == (suffixes[0] if suffixes else None)
    if found:
        assert found.checkpoints_held == len(suffixes)
        assert found.previous_step == (found.step - 1 if found.step else None)


@given(series, st.floats(0.001, 1))
def test_a_crossing_is_the_first_and_lies_on_the_line(values: list[float], level: float) -> None:
    """Below the level at every checkpoint up to `low`, at it between, not below it at `high`."""
    steps = list(range(0, 10 * len(values), 10))
    found = crossing(steps, values, level)
    if found is None:
        assert max(values) < level
        return
    assert all(v < level for v in values[: steps.index(found.high)])
    assert values[steps.index(found.high)] >= level
    if found.low < found.high:
        assert np.interp(found.step, steps, values) == pytest.approx(level)


@given(series)
def test_a_monotone_series_stays_above_what_it_crossed(values: list[float]) -> None:
    """Of a series that never falls, no checkpoint after a crossing lies below its level."""
    values.sort()
    steps = list(range(len(values)))
    found = transition(steps, values)
    for name, share in LEVELS.items():
        one: Crossing | None = getattr(found, name)
        if one:
            level = values[0] + share * (values[-1] - values[0])
            assert all(v >= level for v in values[one.high :])


@given(st.floats(0, 1), st.integers(0, 20))
def test_a_constant_series_has_no_transition(value: float, count: int) -> None:
    """Whatever its height and length, also of one checkpoint or none."""
    assert transition(range(count), [value] * count) == Transition(0.0 if count else None)


@given(series, series, st.sampled_from(list(LEVELS)))
def test_lags_are_antisymmetric(ours: list[float], theirs: list[float], level: Level) -> None:
    """Seen from the other series a lag has the other sign, its bracket turned; inside it always."""
    first, second = (transition(range(0, 10 * len(v), 10), v) for v in (ours, theirs))
    one, other = lag(first, second, level), lag(second, first, level)
    if one is None or other is None:
        assert one is other is None
        return
    assert one.low <= one.steps <= one.high
    assert (one.steps, one.low, one.high) == (-other.steps, -other.high, -other.low)
    assert one.resolved == other.resolved == (one.low > 0 or one.high < 0)


@given(series)
def test_a_series_against_itself_is_never_resolved(values: list[float]) -> None:
    """The same series moves when it moves: lag 0, and no checkpoints tell more."""
    same = transition(range(len(values)), values)
    found = lag(same, same, "midpoint")
    assert found is None or (found.steps, found.resolved) == (0, False)


def test_a_rise_of_a_tenth_is_a_transition() -> None:
    """.5 to .6 rises by .1 whatever the binary fractions say; .099 is none."""
    assert transition([0, 10], [0.5, 0.6]).midpoint == Crossing(about(5), 0, 10)
    assert transition([0, 10], [0.5, 0.599]).midpoint is None


def lags(test: list[float], structure: list[float]) -> list[Lag | None]:
    """Onset, midpoint and settled of a structure series against the test accuracy of a run."""
    steps = STEPS[: len(test)]
    ours, theirs = transition(steps, structure), transition(steps, test)
    return [lag(ours, theirs, level) for level in LEVELS]


def test_structure_without_generalisation() -> None:
    """.95 of the power in a few frequencies, accuracy .36: crossings, and no generalised step."""
    accuracy, share = [0.01, 0.05, 0.1, 0.2, 0.36], [0.1, 0.9, 0.95, 0.95, 0.95]
    assert held(STEPS, accuracy) is None
    assert transition(STEPS, share).settled is not None
    assert all(found is not None and found.high < 0 for found in lags(accuracy, share)[1:])
    never = [0.01, 0.02, 0.02, 0.03, 0.02]
    assert lags(never, share) == [None] * 3
    assert phases(held(STEPS, [0.1, 1, 1, 1, 1]), transition(STEPS, never)) == Phases(
        Phase(0, 100), None, None
    )


def test_generalisation_without_sparsity() -> None:
    """Every frequency a key: key_share is 1 throughout and never moves, the clusters do."""
    accuracy, clustered = [0.01, 0.1, 0.5, 1.0, 1.0], [0.0, 0.4, 0.8, 0.9, 0.9]
    assert held(STEPS, accuracy) == Held(300, 200, 2, True)
    assert lags(accuracy, [1.0] * 5) == [None] * 3
    midpoint = lags(accuracy, clustered)[1]
    assert midpoint is not None
    assert midpoint.steps < 0


def test_a_run_of_two_checkpoints() -> None:
    """All that is known is that both moved in between: not resolved, nothing to measure it in."""
    assert held([0, 400], [0.01, 1.0]) == Held(400, 0, 1, False)
    for found in lags([0.01, 1.0], [0.1, 0.9]):
        assert found == Lag(about(0), -100, 100, False, None)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_a_run_of_one_checkpoint_or_none(values: list[float]) -> None:
    """Nothing can have moved: no crossing, no lag; what holds was there from the first."""
    assert lags(values, values) == [None] * 3
    found = held(STEPS[: len(values)], values)
    assert found == (Held(0, None, 1, False) if values else None)
    memorised = Phase(0, 0) if values else None
    assert phases(found, transition(STEPS[: len(values)], values)) == Phases(memorised, None, None)


def test_a_run_that_generalises_before_it_memorises() -> None:
    """Onset first: no circuit formation, but memorisation and cleanup have their ends."""
    found = phases(Held(400, 300, 1, False), transition(STEPS, [0.0, 0.5, 1.0, 1.0, 1.0]))
    assert found == Phases(Phase(0, 400), None, Phase(about(20), about(180)))
