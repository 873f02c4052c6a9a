"""When the pairs of a run were learnt for good: by the parts of the split, and of each pair.

A pair is learnt at the step from which it is right up to the last checkpoint.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
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
    rows = []
    for name, members in groupby(sorted(answer["pairs"], key=part), part):
        found = sorted(_or_never(pair["step"]) for pair in members)
        steps = sorted({*(step for step in found if step < np.inf), *ends})
        learnt = np.searchsorted(found, steps, side="right") / len(found)
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
            },
            "color": {
                "field": "pairs",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(shown), "range": list(shown.values())},
                "legend": {"orient": "bottom", "direction": "vertical"},
            },
        },
    }


def _or_never(step: float | None) -> float:
    """A step, or infinity for what is not right at the end."""
    return np.inf if step is None else step


def _grid(answer: Answer, theme: Theme, logarithmic: bool) -> Spec:
    """A cell for each pair: the step from which it is right, as a colour."""
    rows = answer["pairs"]
    p = 1 + max((pair["a"] for pair in rows), default=0)
    steps, absent = np.full((2, p, p), np.nan)
    for pair in rows:
        at = pair["a"], pair["b"]
        step = pair["step"]
        steps[at] = np.nan if step is None else drawn_at(step, logarithmic=logarithmic)
        absent[at] = pair["answer"] is None
    ends = [step for step in (answer["first_step"], answer["last_step"]) if step is not None]
    low, high = span([drawn_at(step, logarithmic=logarithmic) for step in ends])
    places = (np.log, (np.log(low), np.log(high))) if logarithmic and low > 0 else None
    scaled, (first, last) = (np.log(steps), places[1]) if places else (steps, (low, high))
    cells, palette = shades(scaled, theme.sequential, first, last, theme.wrong)
    cells[(cells == SHADES - 1)] = SHADES - 2  # its place is for pairs without an answer
    cells[absent == 1], palette[SHADES - 1] = SHADES - 1, theme.undefined
    names = {NEVER: theme.wrong} if (cells == SHADES).any() else {}
    names |= {NO_ANSWER: theme.undefined} if (absent == 1).any() else {}
    across, down = [-0.5, p - 0.5], [p - 0.5, -0.5]
    return {
        "width": SIDE,
        "height": SIDE,
        "layer": [
            grid_of_cells(
                cells_image(cells, palette),
                {"domain": across, "title": "b"},
                {"domain": down, "title": "a"},
                (SIDE, SIDE),
            ),
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
