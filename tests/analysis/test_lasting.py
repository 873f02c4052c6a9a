"""What lasts: intervals with brackets at both ends, what was lost and regained, and plateaus."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.emergence import HELD, Held, held
from grokprobe.analysis.lasting import (
    FEWEST,
    TOLERANCE,
    WINDOW,
    Interval,
    Plateau,
    Turn,
    intervals,
    losses,
    plateau,
    plateaus,
    regains,
)

STEPS = [0, 100, 200, 300, 400, 500]
accuracies = st.lists(st.sampled_from([None, 0.0, 0.5, 0.989, 0.99, 1.0]), max_size=14)
shares = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=40)


def test_a_run_that_generalises_collapses_and_regains() -> None:
    """Held in (100, 200] to [300, 400), and again from (400, 500] on."""
    found = intervals(STEPS, [0.1, 0.2, 0.99, 1.0, 0.3, 1.0])
    first = Interval(Turn(200, 100), Turn(400, 300), 2)
    assert found == [first, Interval(Turn(500, 400), None, 1)]
    assert (losses(found), regains(found)) == ([Turn(400, 300)], [Turn(500, 400)])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.977], []),
        ([1.0] * 6, [Interval(Turn(0, None), None, 6)]),
        ([1.0, 0.1, 0.1, 0.1, 0.1, 0.1], [Interval(Turn(0, None), Turn(100, 0), 1)]),
        ([0.1, 1.0, None, 1.0, None, 0.1], [Interval(Turn(100, 0), Turn(500, 300), 2)]),
        ([None] * 6, []),
    ],
)
def test_intervals(values: list[float | None], found: list[Interval]) -> None:
    """Never; always; only at first; an unknown value widens a bracket and ends nothing."""
    assert intervals(STEPS, values) == found
    assert intervals([], []) == []


@given(accuracies)
def test_intervals_equal_their_definition(values: list[float | None]) -> None:
    """Of the known checkpoints: neighbours on either side of a turn, and none within a stretch."""
    steps = list(range(0, 7 * len(values), 7))
    known = [(step, v) for step, v in zip(steps, values, strict=True) if v is not None]
    starts, ends = [], []
    for i, (step, v) in enumerate(known):
        if v >= HELD and (i == 0 or known[i - 1][1] < HELD):
            starts.append((step, known[i - 1][0] if i else None))
        if v >= HELD and i + 1 < len(known) and known[i + 1][1] < HELD:
            ends.append((known[i + 1][0], step))
    found = intervals(steps, values)
    assert [(one.gained.step, one.gained.previous_step) for one in found] == starts
    assert [(turn.step, turn.previous_step) for turn in losses(found)] == ends
    assert sum(one.checkpoints_held for one in found) == sum(v >= HELD for _, v in known)
    assert len(losses(found)) - len(regains(found)) in (0, 1)
    assert all(one.lost for one in found[:-1])


@given(accuracies.map(lambda values: [v for v in values if v is not None]))
def test_generalised_is_the_interval_that_lasts(values: list[float]) -> None:
    """The last interval is `generalised` if it is not lost; else there is none."""
    steps, found = range(len(values)), intervals(range(len(values)), values)
    lasting = held(steps, values)
    if lasting is None:
        assert not found or found[-1].lost
        return
    gained = Turn(lasting.step, lasting.previous_step)
    assert found[-1] == Interval(gained, None, lasting.checkpoints_held)


def test_plateaus_of_made_series() -> None:
    """At rest for the last fifth; still rising; fallen within it; too few checkpoints to say."""
    steps = list(range(0, 1001, 50))
    series: dict[str, list[float | None]] = {
        "rest": [min(1.0, step / 500) for step in steps],
        "rising": [step / 1000 for step in steps],
        "collapsed": [1.0 if step < 950 else 0.2 for step in steps],
        "ends": [None if step > 800 else 1.0 for step in steps],
        "unknown": [None for _ in steps],
    }
    found = plateaus(steps, series)
    assert (found.from_step, found.rule.window, found.rule.tolerance) == (800, WINDOW, TOLERANCE)
    assert {name: one.reached for name, one in found.series.items()} == {
        "rest": True,
        "rising": False,
        "collapsed": False,
        "ends": None,
        "unknown": None,
    }
    assert found.series["rest"] == Plateau(True, Held(500, 450, 11, True), 0.0, 5)
    assert found.series["collapsed"].since == Held(950, 900, 2, True)
    assert found.series["collapsed"].change == pytest.approx(0.8)
    assert found.series["ends"].checkpoints == 1
    assert plateaus([], {"nothing": []}).series["nothing"].reached is None


@given(shares, st.integers(1, 500))
def test_a_plateau_equals_its_definition(values: list[float | None], every: int) -> None:
    """No value of the last fifth of the steps lies further than .02 from the last that is known."""
    steps = [every * i for i in range(len(values))]
    found = plateaus(steps, {"y": values}).series["y"]
    known = [(s, v) for s, v in zip(steps, values, strict=True) if v is not None]
    window = [v for s, v in known if 5 * s >= 4 * steps[-1]]
    assert found.checkpoints == len(window)
    if len(window) < FEWEST:
        assert found.reached is None
        return
    change = max(abs(v - known[-1][1]) for v in window)
    assert found.change == change
    assert found.reached == (change <= 0.02 + 1e-9)
    assert found.since is not None
    assert found.reached == (5 * found.since.step <= 4 * steps[-1]) or (
        found.since.previous_step is not None and 5 * found.since.previous_step < 4 * steps[-1]
    )


@given(st.integers(3, 10_000))
def test_the_window_begins_at_a_whole_step(latest: int) -> None:
    """The first step of the last fifth, whatever the binary fractions of .2 say."""
    assert plateaus([0, latest], {}).from_step == -(-4 * latest // 5)


@given(st.floats(0, 1), st.integers(FEWEST, 30))
def test_what_never_moves_is_at_rest(value: float, count: int) -> None:
    """From its first checkpoint on, if enough of them lie in the window."""
    steps = list(np.linspace(800, 1000, count, dtype=int))
    found = plateau(steps, [value] * count, 800)
    assert (found.reached, found.change, found.since) == (True, 0, Held(800, None, count, True))
