"""When the pairs of a run were learnt for good: by the parts of the split, and of each pair.

A pair is learnt at the step from which it is right up to the last checkpoint.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from grokprobe.colours import Theme
from service.charts.axes import decades, drawn_at, span, step_axis
from service.charts.cells import SHADES, class_legend, grid_of_cells, shades
from service.charts.frame import Answer, Spec, cells_image, headline
from service.charts.run.pair_sums import sums

Row = Mapping[str, Any]

TRAIN, MIRRORED, OTHERS = "train", "test, (b, a) is train", "test, (b, a) is test"
TEST, ALL = "test", "all pairs"  # where pairs have no mirror, and where the split is unknown
NEVER, NO_ANSWER = "not right at the end", "no answer"
SIDE = 300  # pixels
TICKS = 5  # of an axis, about: each of its numbers costs the renderer a millisecond or two


def pairs(answer: Answer, theme: Theme, *, logarithmic: bool = True) -> Spec:
    """The learning order of all pairs, or of the answer's sums of them."""
    if "sums" in answer:
        return sums(answer, theme, logarithmic)
    title = f"When the pairs of {answer['run']} were learnt for good"
    return {
        "title": headline(title, _note(answer), width=2 * SIDE),
        "hconcat": [
            {**shares(answer, theme, logarithmic=logarithmic), "width": SIDE, "height": SIDE},
            _grid(answer, theme, logarithmic),
        ],
        "spacing": 40,
        "resolve": {"scale": {"color": "independent"}, "legend": {"color": "independent"}},
    }


def part(pair: Row) -> str:
    """Which line of the picture a pair belongs to."""
    if pair["split"] is None:
        return ALL
    if pair["split"] == "train":
        return TRAIN
    if pair["mirror_in_train"] is None:
        return TEST
    return MIRRORED if pair["mirror_in_train"] else OTHERS


def shares(answer: Answer, theme: Theme, *, logarithmic: bool = True) -> Spec:
    """A line for each part: the share of its pairs that are right from a step on."""
    colours = {
        TRAIN: theme.train,
        MIRRORED: theme.restricted,
        OTHERS: theme.test,
        TEST: theme.test,
        ALL: theme.ink,
    }
    ends = [step for step in (answer["first_step"], answer["last_step"]) if step is not None]
    rows, parts = [], defaultdict[str, list[float]](list)
    for pair in answer["pairs"]:
        parts[part(pair)].append(np.inf if pair["step"] is None else pair["step"])
    for name, found in sorted(parts.items()):
        steps = sorted({*found, *ends} - {np.inf})
        learnt = np.searchsorted(np.sort(found), steps, side="right") / len(found)
        rows += [
            {"step": drawn_at(step, logarithmic=logarithmic), "share": share, "pairs": name}
            for step, share in zip(steps, learnt.tolist(), strict=True)
        ]
    drawn = {row["pairs"] for row in rows}
    shown = {name: colour for name, colour in colours.items() if name in drawn}
    return {
        "data": {"values": rows},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.8},
        "encoding": {
            "x": {"field": "step", **step_axis(ends, logarithmic=logarithmic)},
            "y": {
                "field": "share",
                "type": "quantitative",
                "title": "share learnt for good",
                "scale": {"domain": [0, 1]},
                "axis": {"tickCount": TICKS},
            },
            "color": {
                "field": "pairs",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(shown), "range": list(shown.values())},
                "legend": {"orient": "bottom", "direction": "vertical"} if shown else None,
            },
        },
    }


def _grid(answer: Answer, theme: Theme, logarithmic: bool) -> Spec:
    """A cell for each pair: the step from which it is right, as a colour."""
    rows = answer["pairs"]
    a, b = ([pair[name] for pair in rows] for name in "ab")
    p = 1 + max(a, default=0)
    steps, absent = np.full((p, p), np.nan), np.zeros((p, p), np.bool_)
    steps[a, b] = np.array([pair["step"] for pair in rows], np.float64)  # NaN for None
    absent[a, b] = [pair["answer"] is None for pair in rows]
    if logarithmic:
        steps = np.maximum(steps, drawn_at(0, logarithmic=True))
    ends = [step for step in (answer["first_step"], answer["last_step"]) if step is not None]
    low, high = span([drawn_at(step, logarithmic=logarithmic) for step in ends])
    places = (np.log, (np.log(low), np.log(high))) if logarithmic and low > 0 else None
    scaled, (first, last) = (np.log(steps), places[1]) if places else (steps, (low, high))
    cells, palette = shades(scaled, theme.sequential, first, last, theme.wrong)
    cells[(cells == SHADES - 1)] = SHADES - 2  # its place is for pairs without an answer
    cells[absent], palette[SHADES - 1] = SHADES - 1, theme.undefined
    names = {NEVER: theme.wrong} if (cells == SHADES).any() else {}
    names |= {NO_ANSWER: theme.undefined} if absent.any() else {}
    axes = {
        name: {"domain": domain, "title": name, "axis": {"tickCount": TICKS}}
        for name, domain in (("b", [-0.5, p - 0.5]), ("a", [p - 0.5, -0.5]))
    }
    return {
        "width": SIDE,
        "height": SIDE,
        "layer": [
            grid_of_cells(cells_image(cells, palette), axes["b"], axes["a"], (SIDE, SIDE)),
            _steps_legend(theme, low, high, places is not None),
            *([class_legend(names, None, theme)] if names else []),
        ],
        "resolve": {"scale": {"fill": "independent"}, "legend": {"fill": "independent"}},
    }


def _steps_legend(theme: Theme, low: float, high: float, logarithmic: bool) -> Spec:
    """A layer that draws nothing but the legend of steps."""
    spaced = np.geomspace if logarithmic else np.linspace
    scale = {
        "type": "log" if logarithmic else "linear",
        "domain": spaced(low, high, len(theme.sequential)).tolist(),
        "range": list(theme.sequential),
    }
    legend = {
        "title": "learnt at step",
        "gradientOpacity": 1,
        "gradientLength": 140,
        "format": ",d",
        **({"values": decades(low, high)} if logarithmic else {}),
    }
    return {
        "data": {"values": [{"step": low}, {"step": high}]},
        "mark": {"type": "square", "opacity": 0, "size": 1, "aria": False},
        "encoding": {
            "fill": {"field": "step", "type": "quantitative", "scale": scale, "legend": legend}
        },
    }


def _note(answer: Answer) -> str:
    rows: Sequence[Row] = answer["pairs"]
    learnt = sum(pair["step"] is not None for pair in rows)
    ends = " so far" if answer["provisional"] else ""
    return f"{learnt:,} of {len(rows):,} pairs{ends}, each right from a step on up to the end"
