"""Which frequencies the neurons compute with, and how much of each is explained by its own."""

from typing import Any

from grokprobe.analysis.neurons import CLUSTERED
from grokprobe.colours import Theme
from service.charts.frame import WIDTH, Answer, Spec, headline, own_legends
from service.charts.words import finite, plural

COUNTS, SHARES = 120, 170  # pixels: the heights of both plots
BAR, WIDEST = 0.8, 28


def neurons(answer: Answer, theme: Theme) -> Spec:
    """Above, how many `neurons` have each frequency as their strongest; below, the share of each
    neuron's variance that its frequency explains, with the threshold of a cluster.
    """
    live = _live(answer)
    most = (answer["basis"]["order"] // 2) or 1
    x = {
        "type": "quantitative",
        "scale": {"domain": [0.5, most + 0.5], "nice": False, "zero": False},
        "axis": {"tickMinStep": 1, "format": "d"},
    }
    title, notes = "Neurons by frequency", _notes(answer)
    return {
        "description": f"{title}. {' '.join(notes)}",
        "title": headline(title, *notes),
        "spacing": 30,
        "vconcat": [_counts(live, most, x, theme), _shares(live, x, theme)],
        "resolve": own_legends(),
    }


def _live(answer: Answer) -> list[dict[str, Any]]:
    rows = [
        {"neuron": row["neuron"], "frequency": row["frequency"], "fve": finite(row["fve"])}
        for row in answer["neurons"]
        if row["frequency"]
    ]
    return [row | {"kind": _kind(row["fve"])} for row in rows]


def _kind(fve: float | None) -> str:
    return "clustered" if fve is not None and fve >= CLUSTERED else "unclustered"


def _colour(theme: Theme, legend: bool) -> Spec:
    scale = {"domain": ["clustered", "unclustered"], "range": [theme.key, theme.norm]}
    shown = {"title": None, "symbolType": "square"} if legend else None
    return {"field": "kind", "type": "nominal", "scale": scale, "legend": shown}


def _counts(live: list[dict[str, Any]], most: int, x: Spec, theme: Theme) -> Spec:
    """Bars, the clustered below the others."""
    half = min(BAR, WIDEST * most / WIDTH) / 2
    bars = []
    for frequency in sorted({row["frequency"] for row in live}):
        own = [row["kind"] for row in live if row["frequency"] == frequency]
        base = 0
        for kind in ("clustered", "unclustered"):
            count = own.count(kind)
            place = {"from": frequency - half, "to": frequency + half}
            stack = {"base": base, "top": base + count, "neurons": count}
            bars += [{"frequency": frequency, "kind": kind} | place | stack] if count else []
            base += count
    return {
        "width": WIDTH,
        "height": COUNTS,
        "data": {"values": bars},
        "mark": {"type": "bar", "binSpacing": 0},
        "encoding": {
            "x": {"field": "from", **x, "title": None},
            "x2": {"field": "to"},
            "y": {
                "field": "top",
                "type": "quantitative",
                "title": "neurons",
                "axis": {"tickMinStep": 1, "format": "d", "tickCount": 5},
            },
            "y2": {"field": "base"},
            "fill": _colour(theme, legend=True),
            "tooltip": [{"field": name} for name in ("frequency", "kind", "neurons")],
        },
    }


def _shares(live: list[dict[str, Any]], x: Spec, theme: Theme) -> Spec:
    known = [row for row in live if row["fve"] is not None]
    y = {
        "field": "fve",
        "type": "quantitative",
        "title": "share of a neuron's variance at its frequency",
        "scale": {"domain": [0, 1]},
    }
    dots = {
        "data": {"values": known},
        "mark": {"type": "point", "size": 22, "opacity": 0.55, "strokeWidth": 1},
        "encoding": {
            "x": {"field": "frequency", **x, "title": "frequency (turns around the group)"},
            "y": y,
            "stroke": _colour(theme, legend=False),
            "tooltip": [{"field": name} for name in ("neuron", "frequency", "fve")],
        },
    }
    threshold = {
        "data": {"values": [{"fve": CLUSTERED, "line": f"clustered from {CLUSTERED}"}]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.25},
        "encoding": {
            "y": y,
            "color": {
                "field": "line",
                "type": "nominal",
                "scale": {"range": [theme.quiet]},
                "legend": {"title": None, "symbolType": "stroke", "symbolDash": [4, 3]},
            },
        },
    }
    return {"width": WIDTH, "height": SHARES, "layer": [dots, threshold]}


def _notes(answer: Answer) -> list[str]:
    count = len(answer["neurons"])
    clustered = sum(cluster["neurons"] for cluster in answer["clusters"])
    strongest = sorted(answer["clusters"], key=lambda cluster: -cluster["neurons"])
    named = ", ".join(str(cluster["frequency"]) for cluster in strongest[:8])
    more = ", …" if len(strongest) > 8 else ""
    told = f"{clustered} of {plural(count, 'neuron')} in {plural(len(strongest), 'cluster')}"
    if named:
        told += f" ({named}{more})"
    return [f"{told}; {answer['unclustered']} unclustered, {answer['dead']} dead"]
