"""How a quantity of one run is spread over the members of a group.

What a member tells of a quantity, in steps, is one of three: a value with its bracket
[low, high]; a lower bound, where it was watched up to a step without getting there; nothing.
Mean, deviation and quartiles are of the values alone, and say of how many. The survival quartiles
count the lower bounds too, by Kaplan and Meier (1958): with d(t) members that got there at t of
n(t) that had not before and were still watched,

    S(t) = product over t' <= t of (1 - d(t') / n(t'))
    quartile q = the first t with S(t) <= 1 - q

None where S never falls so far: more than 1 - q of the members may never get there.
Source: docs/maths.md, "Emergence over a run".
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.emergence import Held, Lag
from grokprobe.analysis.fourier import NEGLIGIBLE
from grokprobe.analysis.lasting import Turn

QUARTILES = (0.25, 0.5, 0.75)

Quartiles = tuple[float | None, float | None, float | None]


class Delay(msgspec.Struct, frozen=True):
    """Steps from memorised to generalised, with the bracket.

    `resolved` is False where the bracket contains 0: it may have memorised last.
    """

    steps: int
    low: int
    high: int
    resolved: bool


class Seen(msgspec.Struct, frozen=True):
    """What one member tells: `value` in [`low`, `high`]; or only that it is above `at_least`."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    at_least: float | None = None


class Censored(msgspec.Struct, frozen=True):
    """Members known only to be later than the step they were seen to: the first and last of those.

    They are in no mean, standard deviation or quartile but those of survival.
    """

    members: int
    first: float | None
    last: float | None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """`members` have a value, others are `censored` or `unknown`; together they are `of`.

    `low` and `high` are the bracket of the mean, the means of the members' brackets.
    """

    members: int
    of: int
    censored: Censored
    unknown: int
    mean: float | None
    low: float | None
    high: float | None
    standard_deviation: float | None  # of a sample, ddof 1: null for fewer than two
    min: float | None
    quartiles: Quartiles
    max: float | None
    survival_quartiles: Quartiles


class SignedDistribution(Distribution, frozen=True, kw_only=True):
    """A distribution of differences: how many brackets lie below 0, above it, and around it."""

    before: int
    after: int
    unresolved: int


def delay(memorised: Held | Turn | None, generalised: Held | Turn | None) -> Delay | None:
    """The delay from memorised, or whatever came first, to generalised; None if either is None."""
    if memorised is None or generalised is None:
        return None
    low = _previous(generalised) - memorised.step
    high = generalised.step - _previous(memorised)
    return Delay(generalised.step - memorised.step, low, high, not low <= 0 <= high)


def seen_event(found: Held | None, latest_step: int | None, latest: float | None) -> Seen:
    """What a member tells of when it memorised or generalised, from the accuracy at its latest.

    Without an accuracy there it tells nothing.
    """
    if found is not None:
        return Seen(found.step, _previous(found), found.step)
    return Seen() if latest is None else Seen(at_least=latest_step)


def seen_delay(
    found: Delay | None, memorised: Held | None, latest_step: int | None, latest: float | None
) -> Seen:
    """What a member tells of its delay: one that memorised and never generalised, a lower bound."""
    if found is not None:
        return Seen(found.steps, found.low, found.high)
    if memorised is None or latest is None or latest_step is None:
        return Seen()
    return Seen(at_least=latest_step - memorised.step)


def seen_lag(found: Lag | None) -> Seen:
    """What a member tells of a lag: without a transition of both series, nothing."""
    return Seen() if found is None else Seen(found.steps, found.low, found.high)


def distribution(seen: Sequence[Seen]) -> Distribution:
    """The distribution of a quantity that only grows with the steps watched."""
    return Distribution(**_facts(seen))


def signed_distribution(seen: Sequence[Seen]) -> SignedDistribution:
    """The distribution of a difference of steps."""
    signs = [_sign(one) for one in seen if one.value is not None]
    return SignedDistribution(
        **_facts(seen),
        before=signs.count("before"),
        after=signs.count("after"),
        unresolved=signs.count("unresolved"),
    )


def kaplan_meier(
    values: Sequence[float], at_least: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kaplan and Meier's S: the distinct values, ascending, and S from each of them on.

    `at_least` are the bounds of members known only to be above them.
    """
    reached, bounds = np.asarray(values, float), np.asarray(at_least, float)
    times, counts = np.unique(reached, return_counts=True)
    # Who is censored at t was watched at t and had not got there.
    at_risk = np.array([(reached >= t).sum() + (bounds >= t).sum() for t in times])
    return times, np.cumprod(1 - counts / at_risk) if len(times) else np.empty(0)


def survival_quartiles(values: Sequence[float], at_least: Sequence[float]) -> Quartiles:
    """Kaplan-Meier quartiles of `values` and of members known only to be above `at_least`."""
    times, surviving = kaplan_meier(values, at_least)
    first, second, third = (_first(times, surviving <= 1 - q + NEGLIGIBLE) for q in QUARTILES)
    return first, second, third


def _first(times: NDArray[np.float64], there: NDArray[np.bool_]) -> float | None:
    return float(times[np.argmax(there)]) if there.any() else None


def _previous(found: Held | Turn) -> int:
    """The last step at which a property did not hold yet; training begins at 0."""
    return found.previous_step or 0


def _sign(seen: Seen) -> Literal["before", "after", "unresolved"]:
    if seen.high is not None and seen.high < 0:
        return "before"
    return "after" if seen.low is not None and seen.low > 0 else "unresolved"


def _facts(seen: Sequence[Seen]) -> dict[str, Any]:
    """The fields of a Distribution."""
    values = [one.value for one in seen if one.value is not None]
    bounds = [one.at_least for one in seen if one.value is None and one.at_least is not None]
    return {
        "members": len(values),
        "of": len(seen),
        "censored": Censored(len(bounds), min(bounds, default=None), max(bounds, default=None)),
        "unknown": len(seen) - len(values) - len(bounds),
        "mean": _mean(values),
        "low": _mean([one.low for one in seen if one.low is not None]),
        "high": _mean([one.high for one in seen if one.high is not None]),
        "standard_deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "min": min(values, default=None),
        "quartiles": tuple(map(float, np.quantile(values, QUARTILES))) if values else (None,) * 3,
        "max": max(values, default=None),
        "survival_quartiles": survival_quartiles(values, bounds),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
