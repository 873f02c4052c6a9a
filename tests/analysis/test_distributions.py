"""Distributions over a group: values, lower bounds and nothing are three things, never one."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.distributions import (
    QUARTILES,
    Censored,
    Delay,
    Quartiles,
    Seen,
    delay,
    distribution,
    seen_delay,
    seen_event,
    seen_lag,
    signed_distribution,
    survival_quartiles,
)
from grokprobe.analysis.emergence import Held, Lag

NOTHING: Quartiles = (None, None, None)
steps = st.lists(st.integers(0, 30), max_size=40)


def reached(step: int, previous: int | None) -> Held:
    """A property that holds from a step on."""
    return Held(step, previous, 2, True)


def test_the_delay_has_the_bracket_of_both() -> None:
    """Memorised in (100, 200], generalised in (900, 1000]: 800 steps, between 700 and 900."""
    assert delay(reached(200, 100), reached(1000, 900)) == Delay(800, 700, 900, True)
    assert delay(reached(200, 100), reached(200, 100)) == Delay(0, -100, 100, False)
    assert delay(reached(200, None), reached(1000, 900)) == Delay(800, 700, 1000, True)
    assert delay(None, reached(1000, 900)) is None
    assert delay(reached(200, 100), None) is None


def test_what_a_member_tells_of_an_event() -> None:
    """Its step with its bracket; where it is not there yet the last step seen; or nothing."""
    assert seen_event(reached(200, 100), 900, 1.0) == Seen(200, 100, 200)
    assert seen_event(None, 900, 0.5) == Seen(at_least=900)
    assert seen_event(None, 900, None) == Seen()  # its split is unknown
    assert seen_event(None, None, None) == Seen()  # no checkpoint yet


def test_what_a_member_tells_of_its_delay() -> None:
    """One that memorised and did not generalise within 900 steps: more than 700."""
    memorised = reached(200, 100)
    assert seen_delay(Delay(800, 700, 900, True), memorised, 2000, 1.0) == Seen(800, 700, 900)
    assert seen_delay(None, memorised, 900, 0.5) == Seen(at_least=700)
    assert seen_delay(None, None, 900, 0.5) == Seen()
    assert seen_delay(None, memorised, 900, None) == Seen()


def test_what_a_member_tells_of_a_lag() -> None:
    """No transition is no lower bound either."""
    assert seen_lag(Lag(-50.0, -100, 0, False, None)) == Seen(-50, -100, 0)
    assert seen_lag(None) == Seen()


def test_a_distribution_by_hand() -> None:
    """Three of six got there; two were seen to 900 and 1,200 without; one tells nothing."""
    values = [Seen(value, value - 100, value) for value in (200.0, 400.0, 900.0)]
    found = distribution([*values, Seen(at_least=900), Seen(at_least=1200), Seen()])
    assert (found.members, found.of, found.unknown) == (3, 6, 1)
    assert found.censored == Censored(2, 900, 1200)
    assert (found.min, found.mean, found.max) == (200, 500, 900)
    assert (found.low, found.high) == (400, 500)
    assert found.quartiles == (300.0, 400.0, 650.0)
    assert found.standard_deviation == pytest.approx(math.sqrt((300**2 + 100**2 + 400**2) / 2))
    # Of five that were watched 1/5, 2/5 and 3/5 got there at those steps.
    assert found.survival_quartiles == (400.0, 900.0, None)


def test_nobody_and_one() -> None:
    """Without values everything is null but the counts; of one there is no deviation."""
    for seen in ([], [Seen()], [Seen(at_least=5)]):
        found = distribution(seen)
        assert (found.members, found.of) == (0, len(seen))
        assert found.quartiles == found.survival_quartiles == NOTHING
        assert {found.mean, found.standard_deviation, found.min, found.max, found.low} == {None}
    one = distribution([Seen(7, 5, 7)])
    assert (one.mean, one.low, one.standard_deviation) == (7, 5, None)
    assert one.quartiles == one.survival_quartiles == (7.0, 7.0, 7.0)


def test_signs_are_of_brackets() -> None:
    """A bracket that touches 0 does not tell which came first."""
    seen = [Seen(-50, -60, -1), Seen(-50, -60, 0), Seen(0, -1, 1), Seen(9, 1, 20), Seen()]
    found = signed_distribution(seen)
    assert (found.before, found.after, found.unresolved) == (1, 1, 2)
    assert (found.members, found.of, found.unknown) == (4, 5, 1)


def slow_survival(values: Sequence[float], bounds: Sequence[float], t: float) -> float:
    """S(t) by its definition."""
    product = 1.0
    for u in sorted(set(values)):
        watched = sum(v >= u for v in values) + sum(b >= u for b in bounds)
        product *= 1 - values.count(u) / watched if u <= t else 1
    return product


@given(steps, steps)
def test_survival_quartiles_by_definition(values: list[float], bounds: list[float]) -> None:
    """The first value at which S has fallen far enough."""
    for q, found in zip(QUARTILES, survival_quartiles(values, bounds), strict=True):
        there = [t for t in sorted(values) if slow_survival(values, bounds, t) <= 1 - q + 1e-9]
        assert found == (there[0] if there else None)


@given(steps.filter(len))
def test_without_lower_bounds_survival_is_the_sample(values: list[float]) -> None:
    """Then a quartile is the smallest value that so many do not exceed."""
    expected = tuple(np.quantile(values, QUARTILES, method="inverted_cdf").tolist())
    assert survival_quartiles(values, []) == expected


@given(steps.filter(len), st.integers(0, 40))
def test_members_that_never_get_there_are_the_last(values: list[float], never: int) -> None:
    """Watched as long as anybody, they are values beyond every other."""
    everybody = sorted(values) + [None] * never
    expected = tuple(everybody[math.ceil(q * len(everybody)) - 1] for q in QUARTILES)
    assert survival_quartiles(values, [max(values)] * never) == expected
