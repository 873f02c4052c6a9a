"""How long before generalisation each series of a group moved, and how often for nothing.

Judged on the half of the members that did not choose the thresholds.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from grokprobe.colours import Theme
from service.charts.axes import WIDTH, names_axis, step_axis
from service.charts.frame import Answer, Spec, headline

ROW = 15  # pixels, of a series
TEXT = 70  # pixels, of a column of counts


def precursors(answer: Answer, theme: Theme) -> Spec:
    """A row for each series that has a threshold: leads in steps, hits and false alarms."""
    rows = list(_rows(answer))
    refused = len(answer["series"]) - len(rows)
    ends = ("min", "max", "low", "high", "mean", "median")
    places = [0.0, *(row[end] for row in rows for end in ends if row[end] is not None)]
    names = [row["series"] for row in rows]
    y = {"field": "series", **names_axis(names)}
    y["axis"] |= {"grid": True}
    x = step_axis(places, title="lead before generalised, in steps")
    notes = [
        "leads of the members that judge: from least to most; bar: bracket of the mean; diamond: "
        "survival median",
        *([f"{refused:,} series have no threshold"] if refused else []),
    ]
    return {
        "title": headline(f"What moved first in {answer['group']}", *notes, width=WIDTH),
        "width": WIDTH,
        "height": {"step": ROW},
        "data": {"values": rows},
        "layer": [*_leads(theme, x, y), *_counts(theme, y, [{"series": n} for n in names[:1]])],
    }


def _rows(answer: Answer) -> Iterator[dict[str, Any]]:
    for one in answer["series"]:
        if one["judged"] is None:
            continue
        judged, lead = one["judged"], one["judged"]["lead"]
        yield {
            "series": one["series"],
            **{name: lead[name] for name in ("min", "low", "mean", "high", "max")},
            "median": lead["survival_quartiles"][1],
            "hits": _of(judged, "hits", "generalised"),
            "false alarms": _of(judged, "false_alarms", "never"),
            "alarmed": judged["false_alarms"] > 0,
        }


def _of(judged: Mapping[str, Any], part: str, whole: str) -> str:
    return f"{judged[part]:,} of {judged[whole]:,}"


def _leads(theme: Theme, x: Spec, y: Spec) -> list[Spec]:
    def between(mark: Spec, low: str, high: str) -> Spec:
        known = [{"filter": f"datum.{low} !== null"}]
        ends = {"x": {"field": low, **x}, "x2": {"field": high}, "y": y}
        return {"transform": known, "mark": mark, "encoding": ends}

    def at(mark: Spec, place: str) -> Spec:
        known = [{"filter": f"datum.{place} !== null"}]
        return {"transform": known, "mark": mark, "encoding": {"x": {"field": place, **x}, "y": y}}

    diamond: Spec = {"type": "point", "shape": "diamond", "filled": False, "size": 40}
    return [
        between({"type": "rule", "color": theme.norm}, "min", "max"),
        between({"type": "bar", "height": 6, "color": theme.test, "opacity": 0.45}, "low", "high"),
        at(
            {"type": "point", "filled": True, "size": 28, "color": theme.test, "opacity": 1}, "mean"
        ),
        at({**diamond, "color": theme.ink, "opacity": 1}, "median"),
    ]


def _counts(theme: Theme, y: Spec, first: list[dict[str, Any]]) -> list[Spec]:
    """Two columns of words at the right, with a head each."""
    alarmed = {"condition": {"test": "datum.alarmed", "value": theme.wrong}, "value": theme.ink}
    layers: list[Spec] = []
    for number, name in enumerate(("hits", "false alarms")):
        place = {"x": {"value": WIDTH + 16 + number * TEXT}}
        color = {"value": theme.ink} if name == "hits" else alarmed
        text: Spec = {"type": "text", "align": "left", "baseline": "middle"}
        layers += [
            {"mark": text, "encoding": {**place, "y": y, "text": {"field": name}, "color": color}},
            {
                "data": {"values": first},
                "mark": {**text, "color": theme.quiet, "text": name, "dy": -ROW - 2},
                "encoding": {**place, "y": y},
            },
        ]
    return layers
