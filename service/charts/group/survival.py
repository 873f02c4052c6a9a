"""The share of a group's members that has not memorised, or generalised, by each step.

Kaplan and Meier's estimate (grokprobe.analysis.distributions), which counts the members that are
watched no longer: a tick stands where such a member was last seen.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from grokprobe.analysis.distributions import Seen, kaplan_meier
from grokprobe.colours import Theme
from service.charts.axes import WIDTH, step_axis
from service.charts.frame import Answer, Spec, headline
from service.charts.group.members import ALL, Told, colouring_field, levels, name_of, told

HEIGHT = 170
DRAWN = {"memorised": "share not yet memorised", "generalised": "share not yet generalised"}
QUARTERS = [0, 0.25, 0.5, 0.75, 1]


def survival(answer: Answer, theme: Theme) -> Spec:
    """A panel each of memorised and generalised: all members, and each value of a field."""
    members = {name: told(answer, name) for name in DRAWN}
    steps = [0.0, *(_end(one.seen) or 0 for rows in members.values() for one in rows)]
    panels = [
        _panel(answer, theme, members[name], title, step_axis(steps))
        for name, title in DRAWN.items()
    ]
    for panel in panels[:-1]:
        for layer in panel["layer"]:
            layer["encoding"]["x"] |= step_axis(steps, title=None)
    field = name_of(colouring_field(answer))
    by = f"by {field}; ticks" if field else "ticks"
    note = f"Kaplan-Meier estimate {by}: members that had not by then and are watched no longer"
    unknown = [f"{sum(_end(one.seen) is None for one in members[name]):,} {name}" for name in DRAWN]
    counts = [f"unknown: {', '.join(unknown)}"] if any(n[0] != "0" for n in unknown) else []
    return {
        "title": headline(f"Time to grok in {answer['group']}", note, *counts, width=WIDTH),
        "vconcat": panels,
        "spacing": 28,
    }


def _end(seen: Seen) -> float | None:
    """Up to where a member was watched; None for one that tells nothing."""
    return seen.at_least if seen.value is None else seen.value


def curve(seen: Sequence[Seen]) -> list[dict[str, float]]:
    """The estimate from step 0 up to the last step that was watched, as corners of a curve."""
    ends = [end for one in seen if (end := _end(one)) is not None]
    if not ends:
        return []
    times, shares = _estimate(seen)
    corners = {0.0: 1.0, **dict(zip(times, shares, strict=True))}
    corners.setdefault(max(ends), list(corners.values())[-1])
    return [{"step": step, "share": share} for step, share in sorted(corners.items())]


def _estimate(seen: Sequence[Seen]) -> tuple[list[float], list[float]]:
    values = [one.value for one in seen if one.value is not None]
    bounds = [one.at_least for one in seen if one.value is None and one.at_least is not None]
    times, shares = kaplan_meier(values, bounds)
    return times.tolist(), shares.tolist()


def censored(seen: Sequence[Seen]) -> list[dict[str, float]]:
    """Where members were last seen that had not got there, with the estimate there."""
    times, shares = _estimate(seen)
    bounds = sorted(
        {one.at_least for one in seen if one.value is None and one.at_least is not None}
    )
    at = np.searchsorted(times, bounds, side="right")
    return [{"step": b, "share": [1.0, *shares][i]} for b, i in zip(bounds, at, strict=True)]


def _panel(answer: Answer, theme: Theme, members: Sequence[Told], title: str, x: Spec) -> Spec:
    colours = {ALL: theme.ink, **levels(answer, theme)}
    if colouring_field(answer) is None:
        colours = {ALL: theme.test}
    seen = {name: [one.seen for one in members if name in (ALL, one.level)] for name in colours}
    encoding: dict[str, Any] = {
        "x": {"field": "step", **x},
        "y": {
            "field": "share",
            "type": "quantitative",
            "title": title,
            "scale": {"domain": [0, 1]},
            "axis": {"values": QUARTERS, "format": ".2~f", "minExtent": 30},
        },
        "color": {
            "field": "members",
            "type": "nominal",
            "title": name_of(colouring_field(answer)),
            "scale": {"domain": list(colours), "range": list(colours.values())},
            "legend": {"symbolType": "stroke", "symbolSize": 300, "symbolOpacity": 1},
        },
    }
    dashes = {"strokeDash": {**encoding["color"], "scale": _dashes(colours)}}
    curves = [{**row, "members": name} for name, of in seen.items() for row in curve(of)]
    ticks = [{**row, "members": name} for name, of in seen.items() for row in censored(of)]
    line: Spec = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.8}
    tick: Spec = {"type": "tick", "orient": "vertical", "size": 11, "thickness": 1.6}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "layer": [
            {"data": {"values": curves}, "mark": line, "encoding": encoding | dashes},
            {"data": {"values": ticks}, "mark": tick, "encoding": {**encoding}},
        ],
    }


def _dashes(colours: Collection[str]) -> Spec:
    """Every curve after the first in dashes of its own: curves that coincide show through."""
    dashes = [[1, 0], *([9 - n, 4] for n in range(len(colours) - 1))]
    return {"domain": list(colours), "range": dashes}
