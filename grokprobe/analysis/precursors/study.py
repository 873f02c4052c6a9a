"""How long before generalisation each series moves, over the members of a group.

Members are halved by seed: of the ascending seeds the first, third, .. choose thresholds, the
others judge them, and all members of one seed are in one half. The lead of a member that crossed
at C and generalised at G is G - C, in steps, with the bracket of both; without G it is known to be
more than latest - C: censored. Source: docs/maths.md, "Precursors".
"""

from collections.abc import Sequence
from math import comb

import msgspec

from grokprobe.analysis.distributions import Distribution, Seen, delay, distribution
from grokprobe.analysis.measures_table import MEASURES
from grokprobe.analysis.measuring.definitions import MeasureDefinition
from grokprobe.analysis.precursors.cost import Cost, cost
from grokprobe.analysis.precursors.members import GENERALISATION, Member, Threshold
from grokprobe.analysis.precursors.thresholds import choose

# Where a run stands that tells nothing unless it has generalised: it was not trained to its end.
UNFINISHED = {
    "running": "it goes on and has not generalised yet",
    "failed": "it failed before it had generalised",
    "stopped": "it was stopped before it had generalised",
}


class Half(msgspec.Struct, frozen=True):
    """The seeds of a half, and the runs that have them."""

    seeds: list[int]
    runs: list[str]


class LeftOut(msgspec.Struct, frozen=True):
    """A member that is in neither half."""

    run: str
    reason: str


class Judgement(msgspec.Struct, frozen=True):
    """A threshold over the members of a half: together they are generalised + never + unknown.

    Of those that generalised, `hits` crossed at an earlier checkpoint, `late` at that one or
    afterwards, `missed` not at all; of those that never did, `false_alarms` crossed. `p_value` is
    Fisher's, one-sided: of so many hits or more by chance. `lead` is in steps.
    """

    generalised: int
    hits: int
    late: int
    missed: int
    never: int
    false_alarms: int
    unknown: int  # without a value of the series
    p_value: float | None
    lead: Distribution


class Precursor(msgspec.Struct, frozen=True):
    """A series with its threshold; without one, why it is `refused`."""

    series: str
    cost: Cost
    threshold: Threshold | None
    refused: str | None
    chosen: Judgement | None  # by the half that chose it: too good to be believed
    judged: Judgement | None


class Study(msgspec.Struct, frozen=True):
    """Every series of a group, in the order of the table of measures."""

    group: str
    provisional: bool  # a member goes on
    chosen_on: Half
    judged_on: Half
    left_out: list[LeftOut]
    series: list[Precursor]


def study(group: str, members: Sequence[Member]) -> Study:
    """Thresholds chosen on one half of the members and judged on the other."""
    reasons = {one.run: reason for one in members if (reason := _unfit(one))}
    fit = [one for one in members if one.run not in reasons]
    seeds = sorted({one.seed for one in fit if one.seed is not None})
    choosing, judging = ([o for o in fit if o.seed in seeds[i::2]] for i in (0, 1))
    there = {name for one in fit for name in one.series}
    return Study(
        group=group,
        provisional=any(one.status == "running" for one in members),
        chosen_on=Half(seeds[::2], [one.run for one in choosing]),
        judged_on=Half(seeds[1::2], [one.run for one in judging]),
        left_out=[LeftOut(run, reason) for run, reason in reasons.items()],
        series=[_precursor(m, choosing, judging) for m in MEASURES if m.name in there],
    )


def _unfit(member: Member) -> str | None:
    """Why a member tells nothing; None if it does."""
    if member.seed is None:
        return "it has no seed, by which members are halved"
    if GENERALISATION not in member.series:
        return "its test accuracy is not known"
    return None if member.generalised else UNFINISHED.get(member.status)


def _precursor(
    measure: MeasureDefinition, choosing: Sequence[Member], judging: Sequence[Member]
) -> Precursor:
    name = measure.name
    price = cost(measure, max(one.modulus for one in (*choosing, *judging)))
    known = [(one, values) for one in choosing if (values := one.values(name)) is not None]
    generalised = [values for one, values in known if one.generalised]
    never = [values for one, values in known if not one.generalised]
    found = choose(generalised, never)
    if found is None:
        why = _refusal(len(generalised), len(never))
        return Precursor(name, price, None, why, None, None)
    chosen, judged = (judge(name, found, half) for half in (choosing, judging))
    return Precursor(name, price, found, None, chosen, judged)


def _refusal(generalised: int, never: int) -> str:
    if not generalised or not never:
        return (
            f"of the half that chooses {generalised} members with it generalised, {never} never "
            "did: one of each is needed"
        )
    return "no threshold tells more hits than false alarms in the half that chooses"


def judge(name: str, threshold: Threshold, members: Sequence[Member]) -> Judgement:
    """How a threshold of a series does over these members."""
    known = [one for one in members if name in one.series]
    leads = [_lead(one, name, threshold) for one in known]
    of_generalised = [s for one, s in zip(known, leads, strict=True) if one.generalised]
    of_never = [s for one, s in zip(known, leads, strict=True) if not one.generalised]
    hits = sum(seen.value is not None and seen.value > 0 for seen in of_generalised)
    missed = sum(seen.value is None for seen in of_generalised)
    alarms = sum(seen.at_least is not None for seen in of_never)
    return Judgement(
        generalised=len(of_generalised),
        hits=hits,
        late=len(of_generalised) - hits - missed,
        missed=missed,
        never=len(of_never),
        false_alarms=alarms,
        unknown=len(members) - len(known),
        p_value=fisher(hits, len(of_generalised), alarms, len(of_never)),
        lead=distribution(leads),
    )


def _lead(member: Member, name: str, threshold: Threshold) -> Seen:
    """What a member tells of the lead; without a crossing nothing."""
    crossed = member.crossing(name, threshold)
    if crossed is None:
        return Seen()
    found = delay(crossed, member.generalised)
    if found is None:
        return Seen(at_least=int(member.steps[-1]) - crossed.step)
    return Seen(found.steps, found.low, found.high)


def fisher(hits: int, generalised: int, alarms: int, never: int) -> float | None:
    """Fisher's exact p-value, one-sided: of `hits` or more, were crossing the same in both.

    None without members of both kinds.
    """
    if not generalised or not never:
        return None
    crossed, everybody = hits + alarms, generalised + never
    most = min(generalised, crossed)
    ways = sum(comb(generalised, k) * comb(never, crossed - k) for k in range(hits, most + 1))
    return ways / comb(everybody, crossed)
