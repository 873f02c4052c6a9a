"""Precursors: thresholds by definition, leads with brackets, censored members and false alarms."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.analysis.lasting import Turn
from grokprobe.analysis.measures_table import MEASURES
from grokprobe.analysis.precursors.cost import cost
from grokprobe.analysis.precursors.members import Direction, Member, Threshold, member
from grokprobe.analysis.precursors.study import (
    Judgement,
    Precursor,
    Study,
    fisher,
    judge,
    study,
)
from grokprobe.analysis.precursors.thresholds import choose

STEPS = (0, 100, 200, 300, 400, 500)
GROKS, NEVER = (0.1, 0.1, 0.2, 0.5, 1.0, 1.0), (0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
COLLAPSES = (0.1, 0.1, 0.2, 0.5, 1.0, 0.3)


def made(
    run: str,
    test: Sequence[float | None],
    gini: Sequence[float | None],
    seed: int | None = 0,
    status: str = "complete",
    steps: Sequence[int] = STEPS,
) -> Member:
    """A member of two series, the test accuracy and `gini_embedding`."""
    rows = zip(steps, test, gini, strict=True)
    found = {s: {"test_accuracy": t, "gini_embedding": g} for s, t, g in rows}
    return member(run, seed, 7, status, found)


def gini(found: Study) -> Precursor:
    """The row of `gini_embedding`."""
    return next(one for one in found.series if one.series == "gini_embedding")


def four_seeds() -> list[Member]:
    """Of each of four seeds one that groks and one that does not; gini rises 200 steps before."""
    rises, stays = (0.1, 0.1, 0.5, 0.6, 0.7, 0.8), (0.1, 0.1, 0.2, 0.2, 0.2, 0.1)
    return [
        one
        for seed in (3, 5, 8, 9)
        for one in (
            made(f"groks-{seed}", GROKS, rises, seed),
            made(f"never-{seed}", NEVER, stays, seed),
        )
    ]


def test_a_study_by_hand() -> None:
    """The threshold lies half way between .2 and .6, the largest before step 400."""
    found = study("g", four_seeds())
    assert (found.chosen_on.seeds, found.judged_on.seeds) == ([3, 8], [5, 9])
    assert found.judged_on.runs == ["groks-5", "never-5", "groks-9", "never-9"]
    one = gini(found)
    assert one.threshold is not None
    assert one.threshold.direction == "above"
    assert one.threshold.value == pytest.approx(0.4)
    assert one.threshold.margin == pytest.approx(0.2)
    judged = one.judged
    assert judged is not None
    assert (judged.generalised, judged.hits, judged.late, judged.missed) == (2, 2, 0, 0)
    assert (judged.never, judged.false_alarms, judged.unknown) == (2, 0, 0)
    assert judged.p_value == pytest.approx(1 / 6)
    # Crossed in (100, 200], generalised in (300, 400]: 200 steps, between 100 and 300.
    lead = judged.lead
    assert (lead.members, lead.mean, lead.low, lead.high) == (2, 200, 100, 300)
    assert (lead.unknown, lead.censored.members) == (2, 0)


def test_a_false_alarm_is_a_censored_lead() -> None:
    """It crossed at 300 and was watched for 200 steps more; one that goes on tells nothing yet."""
    late = made("alarm", NEVER, (0.1, 0.1, 0.2, 0.5, 0.6, 0.6), 9)
    goes_on = made("on", NEVER, (0.1, 0.1, 0.2, 0.5, 0.6, 0.6), 9, "running")
    found = study("g", [*four_seeds(), late, goes_on])
    judged = gini(found).judged
    assert judged is not None
    assert (judged.never, judged.false_alarms) == (3, 1)
    assert judged.lead.censored.members == 1
    assert judged.lead.censored.first == 200
    assert found.provisional
    assert [(one.run, "goes on" in one.reason) for one in found.left_out] == [("on", True)]


def test_a_run_that_collapses_has_generalised() -> None:
    """Its lead is to where it generalised first, whatever it lost afterwards."""
    collapsed = made("collapses", COLLAPSES, (0.1, 0.9, 0.9, 0.9, 0.9, 0.1), 5)
    judged = gini(study("g", [*four_seeds(), collapsed])).judged
    assert judged is not None
    assert (judged.generalised, judged.hits, judged.lead.max) == (3, 3, 300)


def test_late_and_missed() -> None:
    """At the checkpoint of generalisation it is no warning; never is a miss."""
    threshold = Threshold("above", 0.4, 0.1)
    late = made("late", GROKS, (0.1, 0.1, 0.1, 0.1, 0.5, 0.5))
    after = made("after", GROKS, (0.1, 0.1, 0.1, 0.1, 0.1, 0.5))
    missed = made("missed", GROKS, [0.1] * 6)
    none = made("none", GROKS, [None] * 6)
    found = judge("gini_embedding", threshold, [late, after, missed, none])
    assert (found.hits, found.late, found.missed, found.unknown) == (0, 2, 1, 1)
    assert (found.lead.min, found.lead.max, found.p_value) == (-100, 0, None)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([made("a", GROKS, GROKS)], "1 members with it generalised, 0 never"),
        ([made("a", NEVER, NEVER)], "0 members with it generalised, 1 never"),
        ([made("a", GROKS, [0.3] * 6), made("b", NEVER, [0.3] * 6)], "no threshold"),
    ],
)
def test_no_threshold(members: list[Member], words: str) -> None:
    """Members of one kind alone, or a series that is the same in both: it says why."""
    one = gini(study("g", members))
    assert (one.threshold, one.chosen, one.judged) == (None, None, None)
    assert words in (one.refused or "")


def test_who_is_left_out() -> None:
    """No seed, no known test accuracy, no checkpoint: named with the reason, in no half."""
    unfit = [
        made("seedless", GROKS, GROKS, None),
        made("unsplit", [None] * 6, GROKS),
        made("empty", [], [], steps=[]),
    ]
    found = study("g", unfit)
    assert [one.run for one in found.left_out] == ["seedless", "unsplit", "empty"]
    assert (found.chosen_on.runs, found.judged_on.runs, found.series) == ([], [], [])
    assert study("g", []).left_out == []


@pytest.mark.parametrize(
    ("status", "words"),
    [("running", "goes on"), ("failed", "it failed"), ("stopped", "it was stopped")],
)
def test_who_was_not_trained_to_the_end_is_no_run_that_never_does(status: str, words: str) -> None:
    """It may have generalised later: left out by name. One that has before it ended counts."""
    alarm = (0.1, 0.1, 0.2, 0.5, 0.6, 0.6)
    early = [made(f"short-{seed}", NEVER, alarm, seed, status) for seed in (3, 5)]
    groks = [made(f"short-groks-{seed}", GROKS, alarm, seed, status) for seed in (3, 5)]
    found, without = study("g", [*four_seeds(), *early, *groks]), study("g", four_seeds())
    assert [one.run for one in found.left_out] == ["short-3", "short-5"]
    assert all(words in one.reason and "generalised" in one.reason for one in found.left_out)
    assert found.provisional == (status == "running")
    for half in ("chosen", "judged"):
        now, before = getattr(gini(found), half), getattr(gini(without), half)
        assert (now.never, now.false_alarms) == (before.never, before.false_alarms)
        assert now.generalised == before.generalised + 1


def test_the_first_checkpoint_and_unknown_values() -> None:
    """On it from the first: no checkpoint before; an unknown value widens the bracket."""
    threshold = Threshold("below", 0.2, 0.1)
    falls = made("falls", NEVER, (0.9, 0.5, None, 0.2, 0.1, 0.9))
    assert falls.crossing("gini_embedding", threshold) == Turn(300, 100)
    assert made("low", NEVER, NEVER).crossing("gini_embedding", threshold) == Turn(0, None)
    assert made("high", NEVER, [0.9] * 6).crossing("gini_embedding", threshold) is None


some = st.lists(st.floats(-10, 10), min_size=1, max_size=5).map(np.array)
halves = st.tuples(st.lists(some, max_size=6), st.lists(some, max_size=6))


def youden(ours: Sequence[Any], theirs: Sequence[Any], direction: Direction, value: float) -> int:
    """J times P N, counted member by member."""

    def crosses(values: Any) -> bool:
        return any(v >= value if direction == "above" else v <= value for v in values)

    return sum(map(crosses, ours)) * len(theirs) - sum(map(crosses, theirs)) * len(ours)


@given(halves)
def test_thresholds_equal_their_definition(both: tuple[list[Any], list[Any]]) -> None:
    """Of all thresholds at and between all values none has a larger J, nor a wider gap."""
    ours, theirs = both
    found = choose(ours, theirs)
    values = sorted({v for of in (*ours, *theirs) for v in of.tolist()})
    tried = [*values, *((a + b) / 2 for a, b in pairwise(values))]
    directions: tuple[Direction, Direction] = ("above", "below")
    scores = {(d, t): youden(ours, theirs, d, t) for d in directions for t in tried}
    best = max(scores.values(), default=0)
    if not ours or not theirs or best <= 0:
        assert found is None
        return
    assert found is not None
    assert youden(ours, theirs, found.direction, found.value) == best
    widths = []
    for direction in directions:
        tops = [max(of) if direction == "above" else -min(of) for of in (*ours, *theirs)]
        for low, high in pairwise(sorted({float(top) for top in tops})):
            value = high if direction == "above" else -high
            if youden(ours, theirs, direction, value) == best:
                widths.append(high - low)
    assert 2 * found.margin == pytest.approx(max(widths), rel=1e-6, abs=1e-300)


@given(halves)
def test_the_other_sign_is_the_other_direction(both: tuple[list[Any], list[Any]]) -> None:
    """Of -y the threshold is the negative; where both directions do alike `above` is taken."""
    ours, theirs = both
    found = choose(ours, theirs)
    other = choose([-v for v in ours], [-v for v in theirs])
    if found is None or other is None:
        assert found is other is None
        return
    assert found.margin == other.margin
    if found.direction != other.direction:
        assert found.value == -other.value


@given(halves, st.randoms())
def test_the_order_of_members_does_not_matter(
    both: tuple[list[Any], list[Any]], random: Any
) -> None:
    """The threshold is of sets of members."""
    ours, theirs = both
    assert choose(random.sample(ours, len(ours)), random.sample(theirs, len(theirs))) == choose(
        ours, theirs
    )


@pytest.mark.parametrize("pair", [(1.0, np.nextafter(1.0, 2)), (0.0, 5e-324), (-1e308, 1e308)])
def test_neighbouring_and_far_floats(pair: tuple[float, float]) -> None:
    """A threshold is above the lower one, and its margin is a number."""
    low, high = pair
    found = choose([np.array([high])], [np.array([low])])
    assert found is not None
    assert low < found.value <= high
    assert np.isfinite(found.margin)


def random_group(seed: int, count: int) -> list[Member]:
    """Members of few seeds, with ties, gaps, and series that tell nothing or all."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        test = rng.choice([0.1, 0.5, 0.99, 1.0], size=6, p=[0.5, 0.2, 0.1, 0.2]).tolist()
        own = np.round(rng.normal(size=6), 1) + rng.integers(0, 2) * np.array(test)
        of = [None if rng.random() < 0.2 else float(value) for value in own]
        found.append(made(f"r{i}", test, of, int(rng.integers(0, 6))))
    return found


groups = st.builds(random_group, st.integers(0, 2**32 - 1), st.integers(0, 12))


def slow_judgement(name: str, threshold: Threshold, members: Sequence[Member]) -> dict[str, Any]:
    """Hits, leads and all else, walked checkpoint by checkpoint."""
    counts = dict.fromkeys(("hits", "late", "missed", "false_alarms", "unknown"), 0)
    leads, censored = [], []
    for one in members:
        rows = [
            (int(step), float(value))
            for step, value in zip(one.steps, one.series.get(name, []), strict=False)
            if not np.isnan(value)
        ]
        if not rows:
            counts["unknown"] += 1
            continue
        tests = zip(one.steps, one.series["test_accuracy"], strict=True)
        groks = next((int(step) for step, value in tests if value >= 0.99), None)
        crossed = None
        for step, value in rows:
            on = (
                value >= threshold.value
                if threshold.direction == "above"
                else value <= threshold.value
            )
            if on:
                crossed = step
                break
        if groks is None:
            if crossed is not None:
                counts["false_alarms"] += 1
                censored.append(STEPS[-1] - crossed)
        elif crossed is None:
            counts["missed"] += 1
        else:
            counts["hits" if crossed < groks else "late"] += 1
            leads.append(groks - crossed)
    return {**counts, "leads": sorted(leads), "censored": sorted(censored)}


@given(groups)
def test_judgements_equal_their_definition(members: list[Member]) -> None:
    """Counts, leads and censored leads of both halves; everybody is counted once."""
    found = study("g", members)
    for one in found.series:
        for half, judged in ((found.chosen_on, one.chosen), (found.judged_on, one.judged)):
            if judged is None or one.threshold is None:
                continue
            of = [m for m in members if m.run in half.runs]
            slow = slow_judgement(one.series, one.threshold, of)
            for name in ("hits", "late", "missed", "false_alarms", "unknown"):
                assert getattr(judged, name) == slow[name]
            assert judged.generalised + judged.never + judged.unknown == len(of)
            assert judged.hits + judged.late + judged.missed == judged.generalised
            lead = judged.lead
            assert (lead.members, lead.of) == (len(slow["leads"]), len(of))
            assert (lead.min, lead.max) == (
                (slow["leads"][0], slow["leads"][-1]) if slow["leads"] else (None, None)
            )
            assert lead.censored.members == len(slow["censored"])
            assert lead.censored.first == min(slow["censored"], default=None)
            if lead.members:
                assert lead.low <= lead.mean <= lead.high  # type: ignore[operator]


def _without(one: Member) -> Member:
    """The same with a series that is 9 throughout."""
    nines = np.full(len(one.steps), 9.0)
    series = {**one.series, "gini_embedding": nines}
    return Member(one.run, one.seed, one.modulus, one.status, one.steps, series)


@given(groups)
def test_halves_share_no_seed_and_the_judging_one_chooses_nothing(members: list[Member]) -> None:
    """Without it every threshold is the same; a threshold has more hits than false alarms."""
    found = study("g", members)
    assert not set(found.chosen_on.seeds) & set(found.judged_on.seeds)
    assert len(found.chosen_on.seeds) - len(found.judged_on.seeds) in (0, 1)
    changed = [_without(m) if m.run in found.judged_on.runs else m for m in members]
    other = {one.series: one.threshold for one in study("g", changed).series}
    assert all(other.get(one.series) == one.threshold for one in found.series)
    for one in found.series:
        if one.chosen:
            chosen: Judgement = one.chosen
            assert chosen.hits * chosen.never > chosen.false_alarms * chosen.generalised


@given(groups, st.sampled_from([0.5, 2.0, 4.0]), st.sampled_from([0, 7]))
def test_units_do_not_matter(members: list[Member], scale: float, shift: int) -> None:
    """A series in other units has its threshold in those, and the same leads."""

    def other(one: Member) -> Member:
        changed = {n: v * scale if n == "gini_embedding" else v for n, v in one.series.items()}
        return Member(one.run, one.seed, one.modulus, one.status, one.steps + shift, changed)

    first, second = study("g", members), study("g", [other(one) for one in members])
    for a, b in zip(first.series, second.series, strict=True):
        if a.series != "gini_embedding" or a.threshold is None:
            continue
        assert b.threshold is not None
        assert b.threshold.value == a.threshold.value * scale
        assert a.judged
        assert b.judged
        assert (a.judged.lead.quartiles, a.judged.hits) == (b.judged.lead.quartiles, b.judged.hits)


@given(st.integers(0, 5), st.integers(0, 5), st.data())
def test_fisher_by_its_definition(generalised: int, never: int, data: Any) -> None:
    """Of all ways in which so many members can have crossed, those with as many hits or more."""
    hits, alarms = data.draw(st.integers(0, generalised)), data.draw(st.integers(0, never))
    found = fisher(hits, generalised, alarms, never)
    if not generalised or not never:
        assert found is None
        return
    ways = list(combinations(range(generalised + never), hits + alarms))
    extreme = [way for way in ways if sum(i < generalised for i in way) >= hits]
    assert found == pytest.approx(len(extreme) / len(ways))


def test_thresholds_on_noise_are_no_better_than_chance_where_they_are_judged() -> None:
    """On series that tell nothing the chosen half looks good, and p-values of the other do not."""
    rng = np.random.default_rng(0)
    chosen, p_values = [], []
    for _ in range(100):
        members = [
            made(f"r{i}", GROKS if i % 2 else NEVER, rng.normal(size=6).tolist(), i // 2)
            for i in range(32)
        ]
        one = gini(study("g", members))
        if one.chosen and one.judged:
            chosen.append(one.chosen.p_value)
            p_values.append(one.judged.p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.1
    assert np.mean(np.array(chosen) <= 0.05) > np.mean(np.array(p_values) <= 0.05)


def test_what_a_series_costs() -> None:
    """Parameters alone take no inference, outputs all pairs, keys wait for the end."""
    found = {m.name: cost(m, 7) for m in MEASURES}
    assert (found["gini_embedding"].pairs, found["weight_norm"].pairs) == (0, 0)
    assert (found["loss"].pairs, found["neurons_clustered"].pairs) == (49, 49)
    assert found["phase_misalignment"].pairs == 49  # of parameters, at the activations' frequency
    assert found["gradient_symmetricity"].pairs == 100
    assert (found["key_share"].stored, found["key_share"].pairs) == ("end", 0)
    assert found["restricted_loss"].stored == "end"
    assert msgspec.to_builtins(found["train_loss"]) == {
        "needs": ["split"],
        "pairs": 49,
        "stored": "publication",
    }
