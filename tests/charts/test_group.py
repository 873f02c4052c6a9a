"""The charts of a group: each member is drawn as the answer has it, and the censored are shown."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokprobe.analysis.distributions import delay, survival_quartiles
from grokprobe.analysis.emergence import Held, Lag, Transition
from grokprobe.colours import LIGHT, THEMES, Theme
from grokprobe.store.backends import open_backends
from service.charts.group.distributions import distribution
from service.charts.group.members import ALL, QUANTITIES, colouring_field, levels, told
from service.charts.group.precursors import precursors
from service.charts.group.survival import curve, survival
from service.runs.emergence import STRUCTURE
from service.runs.groups import MemberRow
from service.v1.group_answer import answer_group
from tests.service.test_api import get
from tests.support.grouped import GROUP, publish_group, silent_member
from tests.support.pictures import Faults
from tests.support.served import serving
from tests.support.specs import picture, rows, texts
from tests.support.studied import publish_studied
from tests.support.trained import settings_at

themes = st.sampled_from(list(THEMES.values()))
steps = st.integers(0, 10**6)
few = settings(max_examples=15)


@st.composite
def helds(draw: st.DrawFn) -> Held:
    """A property that holds from a step on."""
    step = draw(steps)
    before = draw(st.none() | st.integers(0, step))
    return Held(step, before, draw(st.integers(1, 9)), draw(st.booleans()))


@st.composite
def lags(draw: st.DrawFn) -> Lag:
    """A lag within its bracket."""
    low, middle, high = sorted(draw(st.tuples(*[st.integers(-(10**6), 10**6)] * 3)))
    return Lag(float(middle), low, high, not low <= 0 <= high, None)


@st.composite
def members(draw: st.DrawFn, number: int) -> MemberRow:
    """What one run tells: nothing, that it was watched in vain, or a value."""
    memorised, generalised = draw(st.none() | helds()), draw(st.none() | helds())
    latest = draw(st.none() | steps)
    values = st.sampled_from([0.0, 0.3, 1.0, None, "auto", [1, 2]])
    return MemberRow(
        run=f"r{number}",
        seed=number,
        status=draw(st.sampled_from(["running", "complete", "failed"])),
        checkpoint_count=9,
        latest_step=latest,
        config={"training.seed": number, "optimiser.weight_decay": draw(values)},
        train_accuracy=draw(st.none() | st.just(0.5)),
        test_accuracy=draw(st.none() | st.just(0.5)),
        memorised=memorised,
        generalised=generalised,
        lost=None,
        delay=delay(memorised, generalised),
        transition=Transition(rise=None),
        lags={name: draw(st.none() | lags()) for name in STRUCTURE},
    )


groups = st.integers(1, 6).flatmap(
    lambda count: st.tuples(*(members(number) for number in range(count)))
)


def answer_of(found: tuple[MemberRow, ...]) -> dict[str, Any]:
    """The answer as JSON has it."""
    answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer_group("g", [*found])))
    return answer


@few
@given(groups, themes)
def test_any_distribution(found: tuple[MemberRow, ...], theme: Theme) -> None:
    """Every value with its bracket, every bound of the censored, the answer's quartiles."""
    answer = answer_of(found)
    chart = distribution(answer, theme)
    picture(chart, theme)
    facts = {**answer["distribution"], **answer["distribution"]["lags"]}
    for name, panel in zip(QUANTITIES, chart["vconcat"], strict=True):
        _, brackets, points, arrows, box, _, diamonds = (
            layer["data"]["values"] for layer in panel["layer"]
        )
        fact = facts[name]
        assert points == brackets
        assert len(points) == fact["members"]
        assert len(arrows) == fact["censored"]["members"]
        assert sorted(row["value"] for row in points)[:1] == [fact["min"]][: len(points)]
        bounds = [row["at_least"] for row in arrows]
        assert min(bounds, default=None) == fact["censored"]["first"]
        assert [[row["q1"], row["median"], row["q3"]] for row in box] == (
            [fact["quartiles"]] if fact["members"] else []
        )
        if bounds:
            known = [one for one in fact["survival_quartiles"] if one is not None]
            assert [row["survival"] for row in diamonds] == known
        unknown = f"{fact['unknown']} unknown"
        assert (unknown in " ".join(panel["title"]["text"])) == (fact["unknown"] > 0)


@few
@given(groups, themes)
def test_any_survival(found: tuple[MemberRow, ...], theme: Theme) -> None:
    """The curve of all members falls to each quartile at the step that the answer gives."""
    answer = answer_of(found)
    chart = survival(answer, theme)
    picture(chart, theme)
    for name, panel in zip(("memorised", "generalised"), chart["vconcat"], strict=True):
        curves, ticks = (layer["data"]["values"] for layer in panel["layer"])
        corners = [row for row in curves if row["members"] == ALL]
        fallen = [
            next((row["step"] for row in corners if row["share"] <= 1 - q + 1e-9), None)
            for q in (0.25, 0.5, 0.75)
        ]
        facts = answer["distribution"][name]
        assert fallen == facts["survival_quartiles"]
        bounds = {one.seen.at_least for one in told(answer, name) if one.seen.value is None}
        assert {row["step"] for row in ticks if row["members"] == ALL} == bounds - {None}
        drawn = {row["members"] for row in curves}
        assert drawn <= {ALL, *levels(answer, theme)}


def test_the_estimate_by_hand() -> None:
    """One gets there at 10, one is watched up to 20 in vain, one gets there at 30."""
    answer = answer_of(
        tuple(
            msgspec.structs.replace(row, generalised=found, latest_step=latest, test_accuracy=0.5)
            for row, found, latest in [
                (bare("a"), Held(10, 5, 3, confirmed=True), 40),
                (bare("b"), None, 20),
                (bare("c"), Held(30, 25, 3, confirmed=True), 40),
            ]
        )
    )
    seen = [one.seen for one in told(answer, "generalised")]
    assert [(row["step"], round(row["share"], 9)) for row in curve(seen)] == [
        (0, 1),
        (10, round(2 / 3, 9)),
        (30, 0),
    ]
    assert survival_quartiles([10, 30], [20]) == (10, 30, 30)
    assert "unknown: 3 memorised, 0 generalised" in texts(survival(answer, LIGHT))


def bare(run: str, **config: Any) -> MemberRow:
    """A member that has ended and tells nothing."""
    return silent_member(run, config, "complete")


@pytest.mark.parametrize(
    ("values", "field", "names"),
    [
        ([1.0, 0.0, 0.3], "wd", ["0.0", "0.3", "1.0"]),
        (["sgd", "adamw"], "wd", ["adamw", "sgd"]),
        ([None, 2, 10], "wd", ["2", "10", "null"]),
        ([1.0, 1.0], None, [ALL]),
        (list(range(8)), None, [ALL]),
        (["a" * 25, "b"], None, [ALL]),
    ],
)
def test_the_field_that_colours(values: list[Any], field: str | None, names: list[str]) -> None:
    """The first that differs and has few and short values, in their order; never a seed."""
    rows = tuple(bare(str(i), seed=i, wd=value) for i, value in enumerate(values))
    answer = answer_of(rows)
    assert colouring_field(answer) == field
    assert list(levels(answer, LIGHT)) == names


@pytest.fixture(scope="module")
def groups_served(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a service answers of a group and of one that is studied."""
    found = []
    for what, publish in (("emergence", publish_group), ("precursors", publish_studied)):
        settings = settings_at(tmp_path_factory.mktemp(what))

        async def published(publish: Any = publish, settings: Any = settings) -> None:
            async with open_backends(settings) as backends:
                await publish(backends)

        asyncio.run(published())
        with serving(settings, tmp_path_factory.mktemp("served")) as served:
            client: httpx.Client = served.client
            found.append(get(client, f"/v1/groups/{GROUP}/{what}"))
    return found


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_the_charts_of_a_real_group(
    groups_served: list[dict[str, Any]], theme: Theme, faults: Faults
) -> None:
    """In a browser no text is cut off or meets another; leads and alarms are the answer's."""
    emergence, study = groups_served
    charts = [distribution(emergence, theme), survival(emergence, theme), precursors(study, theme)]
    assert [fault for chart in charts for fault in faults(picture(chart, theme))] == []
    judged = {one["series"]: one["judged"] for one in study["series"] if one["judged"]}
    drawn = rows(charts[2], "alarmed")
    assert [row["series"] for row in drawn] == list(judged)
    for row in drawn:
        fact = judged[row["series"]]
        assert [row[name] for name in ("min", "low", "mean", "high", "max")] == [
            fact["lead"][name] for name in ("min", "low", "mean", "high", "max")
        ]
        assert row["median"] == fact["lead"]["survival_quartiles"][1]
        assert row["false alarms"] == f"{fact['false_alarms']} of {fact['never']}"
        assert row["alarmed"] == (fact["false_alarms"] > 0)


@pytest.mark.parametrize("known", [True, False])
def test_a_study_without_thresholds(groups_served: list[dict[str, Any]], known: bool) -> None:
    """Where nothing could be chosen, or none of a series led, there is nothing but words."""
    empty = dict.fromkeys(("min", "low", "mean", "high", "max"))
    series = []
    for one in groups_served[1]["series"]:
        judged = one["judged"] and {
            **one["judged"],
            "lead": {**one["judged"]["lead"], **empty, "survival_quartiles": [None] * 3},
        }
        series.append({**one, "judged": judged if known else None})
    chart = precursors({**groups_served[1], "series": series}, LIGHT)
    picture(chart, LIGHT)
    assert known or f"{len(series)} series have no threshold" in texts(chart)
