"""How what emerged is spread over the members of a group: every member's value, with its bracket.

Members that were watched up to a step without getting there are open arrows at that step.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from grokprobe.colours import Theme
from service.charts.axes import WIDTH, names_axis, step_axis
from service.charts.frame import SUBTITLE_SIZE, Answer, Spec, headline, wrap
from service.charts.group.members import QUANTITIES, Told, colouring_field, levels, name_of, told

SPREAD = "quartiles"  # the row of all members
ROWS = range(22, 64)  # pixels of one row, by how many members it has
EACH = 4  # pixels, of a member


def distribution(answer: Answer, theme: Theme) -> Spec:
    """A panel for each quantity, over one axis of steps, with a row for each value of a field."""
    members = {name: told(answer, name) for name in QUANTITIES}
    facts = _facts(answer)
    places = [0.0, *(place for name in QUANTITIES for place in _places(members[name], facts[name]))]
    panels = []
    for name in QUANTITIES:
        last = name == list(QUANTITIES)[-1]
        x = step_axis(places, title="steps" if last else None)
        panels.append(_panel(answer, theme, name, members[name], facts[name], x))
    notes = [
        "a point a member, with its bracket; open arrows: later than that step",
        "quartiles of the points; diamonds: survival quartiles, which count the arrows",
    ]
    return {
        "title": headline(f"What emerged in {answer['group']}", *notes, width=WIDTH),
        "vconcat": panels,
        "spacing": 16,
    }


def _facts(answer: Answer) -> Mapping[str, Any]:
    """The distribution of each quantity as the answer has it."""
    found = answer["distribution"]
    return {
        **{name: found[name] for name in ("memorised", "generalised", "delay")},
        **found["lags"],
    }


def _places(members: list[Told], facts: Mapping[str, Any]) -> Iterator[float]:
    """Every place on the axis that a panel draws at."""
    for one in members:
        yield from (place for place in _numbers(one).values() if place is not None)
    yield from (place for place in _quartiles(facts) if place is not None)


def _quartiles(facts: Mapping[str, Any]) -> list[float | None]:
    return [*facts["quartiles"], *facts["survival_quartiles"]]


def _numbers(one: Told) -> dict[str, float | None]:
    seen = one.seen
    return {
        "value": seen.value,
        "low": seen.low,
        "high": seen.high,
        "at_least": seen.at_least if seen.value is None else None,
    }


def _panel(
    answer: Answer, theme: Theme, name: str, members: list[Told], facts: Mapping[str, Any], x: Spec
) -> Spec:
    colours, field = levels(answer, theme), name_of(colouring_field(answer))
    labels = {level: f"{field} {level}" if field else level for level in colours}
    rows = [
        {"run": one.run, "row": labels[level], "place": (number + 0.5) / len(group), **numbers}
        for level in colours
        for group in [[one for one in members if one.level == level]]
        for number, one in enumerate(group)
        for numbers in [_numbers(one)]
    ]
    most = max((sum(row["row"] == label for row in rows) for label in labels.values()), default=1)
    height = min(max(EACH * most, ROWS.start), ROWS.stop)
    zero = {"data": {"values": [{"zero": 0}]}, "mark": {"type": "rule", "color": theme.quiet}}
    return {
        "title": {
            "text": wrap(f"{QUANTITIES[name]}: {_counts(facts)}", WIDTH),
            "fontSize": SUBTITLE_SIZE,
            "fontWeight": "normal",
            "offset": 6,
        },
        "width": WIDTH,
        "height": (len(labels) + 1) * height,
        "layer": [
            {**zero, "encoding": {"x": {"field": "zero", **x}}},
            *_members(rows, labels, colours, x),
            *_spread(facts, theme, labels, x),
        ],
    }


def _row(labels: Mapping[str, str]) -> Spec:
    """The encoding of y: a row for each value of the field, and one of all members."""
    return {"field": "row", **names_axis([*labels.values(), SPREAD])}


def _members(
    rows: list[dict[str, Any]], labels: Mapping[str, str], colours: Mapping[str, str], x: Spec
) -> list[Spec]:
    y = {
        "y": _row(labels),
        "yOffset": {"field": "place", "type": "quantitative", "scale": {"domain": [0, 1]}},
        "color": {
            "field": "row",
            "type": "nominal",
            "legend": None,
            "scale": {"domain": list(labels.values()), "range": list(colours.values())},
        },
    }
    reached = [row for row in rows if row["value"] is not None]
    later = [row for row in rows if row["at_least"] is not None]
    arrow: Spec = {"type": "point", "shape": "triangle-right", "filled": False, "size": 34}
    return [
        {
            "data": {"values": reached},
            "mark": {"type": "rule", "opacity": 0.6},
            "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, **y},
        },
        {
            "data": {"values": reached},
            "mark": {"type": "point", "filled": True, "size": 26, "opacity": 0.9},
            "encoding": {"x": {"field": "value", **x}, **y},
        },
        {
            "data": {"values": later},
            "mark": {**arrow, "opacity": 0.9},
            "encoding": {"x": {"field": "at_least", **x}, **y},
        },
    ]


def _spread(
    facts: Mapping[str, Any], theme: Theme, labels: Mapping[str, str], x: Spec
) -> list[Spec]:
    """The row of all members: the quartiles of those with a value, and those of survival."""
    first, median, third = facts["quartiles"]
    box = [] if median is None else [{"row": SPREAD, "q1": first, "median": median, "q3": third}]
    survival = [
        {"row": SPREAD, "survival": place}
        for place in facts["survival_quartiles"]
        if place is not None and facts["censored"]["members"]  # else the bar tells it
    ]
    y = {"y": _row(labels)}
    diamonds: Spec = {"type": "point", "shape": "diamond", "filled": False, "size": 60}
    return [
        {
            "data": {"values": box},
            "mark": {"type": "bar", "height": 8, "color": theme.quiet, "opacity": 0.5},
            "encoding": {"x": {"field": "q1", **x}, "x2": {"field": "q3"}, **y},
        },
        {
            "data": {"values": box},
            "mark": {"type": "tick", "size": 14, "thickness": 2, "color": theme.ink},
            "encoding": {"x": {"field": "median", **x}, **y},
        },
        {
            "data": {"values": survival},
            "mark": {**diamonds, "color": theme.ink},
            "encoding": {"x": {"field": "survival", **x}, **y},
        },
    ]


def _counts(facts: Mapping[str, Any]) -> str:
    """How many members got there, in words."""
    censored, words = facts["censored"], [f"{facts['members']:,} of {facts['of']:,} members"]
    if censored["members"]:
        first, last = censored["first"], censored["last"]
        until = f"{first:,}" if first == last else f"{first:,} to {last:,}"
        words.append(f"{censored['members']:,} later than {until}")
    if facts["unknown"]:
        words.append(f"{facts['unknown']:,} unknown")
    return "; ".join(words)
