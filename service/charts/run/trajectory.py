"""How a run went: losses, accuracies and what else was measured, over one step axis.

Above them and behind them what emerged when.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from grokprobe.colours import Theme
from service.charts.axes import WIDTH, drawn_at, step_axis
from service.charts.frame import Answer, Spec, headline, tick_text
from service.charts.run.emerged import behind, emerged, notes

# What is drawn of a run where no measures are named.
DRAWN = (
    *("train_loss", "test_loss", "restricted_loss", "excluded_loss"),
    *("train_accuracy", "test_accuracy", "restricted_accuracy", "key_share", "weight_norm"),
)
# A panel is of one unit, known by a word in the measure's name; whatever has none is a share.
UNITS = {
    "log_probability": "log-probability (nats)",
    "loss": "loss (nats)",
    "weight_norm": "sum of squared weights",
    "weight_l2": "norm of the weights",
    "participation_ratio": "participation ratio",
    "effective_rank": "effective rank",
    "phase_misalignment": "phase (radians)",
}
LOSS, SHARE = UNITS["loss"], "accuracy, share"
TALL, LOW = 120, 80  # pixels, of panels of losses and shares, and of others
MOST_LINES = 7  # of one panel: as many colours as a theme has for them
FEW = 60  # checkpoints that have points beside the lines

# 0.01 and 100, but 1e−4 and 1e+5; nothing on an axis of no losses at all.
_KIND = "datum.value < 1e-3 || datum.value >= 1e5 ? '~e' : '~g'"
LOSSES = f"isValid(datum.value) ? {tick_text(_KIND)} : ''"

# The values of a line by step.
Line = Mapping[float, float | None]


def trajectory(
    answer: Answer, theme: Theme, *, emergence: Answer | None = None, logarithmic: bool = False
) -> Spec:
    """Panels of measures by unit, below what the emergence of the same run tells.

    Without an emergence, which a run of an unknown split has not, the title says so.
    A measure without a value leaves a gap, and so does a loss of 0, which has no logarithm.
    """
    rows = answer["trajectory"]
    steps, panels = [row["step"] for row in rows], list(_panels(rows)) or [(SHARE, {})]
    known = emergence if steps else None
    drawn = [emerged(known, theme, steps, logarithmic)] if known else []
    for number, (unit, lines) in enumerate(panels, start=1):
        title = "step" if number == len(panels) else None
        x = step_axis(steps, logarithmic=logarithmic, title=title)
        shaded = behind(known, theme, x, logarithmic) if known else []
        drawn.append(
            {
                "width": WIDTH,
                "height": TALL if unit in (LOSS, SHARE) else LOW,
                "layer": [*shaded, *_lines(unit, lines, theme, x, logarithmic)],
            }
        )
    return {
        "title": headline(
            f"Training of {answer['run']}", *(notes(known) if steps else []), width=WIDTH
        ),
        "vconcat": drawn,
        "spacing": 24,
        "resolve": {"scale": {"color": "independent"}, "legend": {"color": "independent"}},
    }


def _panels(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Line]]]:
    """The unit and the lines of each panel, losses and shares first."""
    units: dict[str, dict[str, Line]] = {LOSS: {}, SHARE: {}}
    for name, line in _measured(rows).items():
        word = next((word for word in UNITS if word in name), None)
        units.setdefault(UNITS[word] if word else SHARE, {})[name.replace("_", " ")] = line
    for unit, lines in units.items():
        for start in range(0, len(lines), MOST_LINES):
            yield unit, dict(islice(lines.items(), start, start + MOST_LINES))


def _measured(rows: Sequence[Mapping[str, Any]]) -> dict[str, Line]:
    """Each measure that is known anywhere; one that has parts, a line for each of them."""
    found: dict[str, dict[float, float | None]] = {}
    names = [name for name in (rows[0] if rows else ()) if name != "step"]
    for name in names:
        for row in rows:
            value = row[name]
            parts = value if isinstance(value, Mapping) else {"": value}
            for part, number in parts.items():
                found.setdefault(f"{name} {part}".strip(), {})[row["step"]] = number
    steps = [row["step"] for row in rows]
    return {
        name: {step: line.get(step) for step in steps}
        for name, line in found.items()
        if any(number is not None for number in line.values())
    }


def _lines(
    unit: str, lines: Mapping[str, Line], theme: Theme, x: Spec, logarithmic: bool
) -> list[Spec]:
    """The lines of one unit, and points where checkpoints are few or stand alone."""
    rows: list[dict[str, Any]] = [
        {
            "step": drawn_at(step, logarithmic=logarithmic),
            "value": None if unit == LOSS and value is not None and value <= 0 else value,
            "series": name,
            "marked": marked,
        }
        for name, line in lines.items()
        for (step, value), marked in zip(line.items(), _marked(line), strict=True)
    ]
    colours = _colours(lines, theme)
    scale: Spec = {"type": "log"} if unit == LOSS else {"zero": unit == SHARE}
    if unit == SHARE and all(0 <= row["value"] <= 1 for row in rows if row["value"] is not None):
        scale = {"domain": [0, 1]}
    encoding = {
        "x": {"field": "step", **x},
        "y": {
            "field": "value",
            "type": "quantitative",
            "title": unit,
            "scale": scale,
            "axis": {"tickCount": 5, "minExtent": 36, **_format(unit)},
        },
        "color": {
            "field": "series",
            "type": "nominal",
            "title": None,
            "sort": list(colours),
            "scale": {"domain": list(colours), "range": list(colours.values())},
            "legend": {} if colours else None,  # an empty one has no size in Vega, nor the picture
        },
    }
    points: Spec = {"type": "point", "filled": True, "size": 12, "opacity": 1}
    line: Spec = {"type": "line", "strokeWidth": 1.6}
    return [
        {"data": {"values": rows}, "mark": line, "encoding": encoding},
        {
            "data": {"values": [row for row in rows if row["marked"]]},
            "mark": points,
            "encoding": encoding,
        },
    ]


def _format(unit: str) -> Spec:
    """Losses by their size, thousands as k."""
    return {"labelExpr": LOSSES} if unit == LOSS else {"format": "~s"}


def _marked(line: Line) -> list[bool]:
    """Where a line needs a point: where it has few, or where neither neighbour has a value."""
    known = [value is not None for value in line.values()]
    beside = zip([False, *known], known, [*known[1:], False], strict=False)
    return [here and (len(known) <= FEW or not (left or right)) for left, here, right in beside]


def _colours(lines: Mapping[str, Line], theme: Theme) -> dict[str, str]:
    """The colour of each line: that of its meaning, else the next that is free."""
    meanings = {
        "restricted": theme.restricted,
        "excluded": theme.excluded,
        "key share": theme.key,
        "weight": theme.norm,
        "train": theme.train,
        "test": theme.test,
    }
    found: dict[str, str] = {}
    for name in lines:
        meant = next((meanings[word] for word in meanings if word in name), None)
        if meant and meant not in found.values():
            found[name] = meant
    free = (one for one in theme.series if one not in set(found.values()))
    return {name: found[name] if name in found else next(free) for name in lines}
