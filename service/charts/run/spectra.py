"""The spectra of a run's embedding as a heat map: steps along x, frequencies along y.

The step axis is true: a column of pixels shows the checkpoint whose step is nearest.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grokprobe.colours import Theme
from service.charts.axes import FEW, WIDTH, span, step_axis
from service.charts.cells import grid_of_cells, ramp_legend, shades
from service.charts.frame import Answer, Spec, cells_image, headline
from service.charts.words import plural

HEIGHT = 280  # pixels, about: every frequency is as many whole ones high
KEYS_WIDTH = 60  # pixels, of the marks and numbers at the right
BESIDE = 11  # pixels from one key's number to the next
TITLES = {"share": "share of the power", "power": "power"}


def spectra(answer: Answer, theme: Theme, *, keys: Sequence[int] = ()) -> Spec:
    """The heat map, the run's key frequencies marked at its right edge."""
    names, rows = answer["frequencies"], answer["spectra"]
    steps, count = [row["step"] for row in rows], max(1, len(names))
    values = np.array([row["values"] for row in rows], float).reshape(-1, count)
    most, row = float(np.nanmax(values, initial=0)), max(1, round(HEIGHT / count))
    columns = columns_of_steps(steps, values, WIDTH)
    cells, palette = shades(columns.T[::-1], theme.sequential, 0, most, theme.undefined)
    image = cells_image(cells.repeat(row, axis=0), palette)
    across, words = step_axis(steps), any(isinstance(name, str) for name in names)
    x = {"domain": list(span(steps)), "title": across["title"], "axis": across["axis"]}
    y = {
        "domain": [0.5, count + 0.5],
        "title": "irrep" if words else "frequency",
        "axis": _irreps(names) if words else _frequencies(count),
    }
    title, height = TITLES[answer["value"]], row * count
    legend = ramp_legend(theme.sequential, 0, most, title)
    legend["encoding"]["fill"]["legend"]["offset"] = KEYS_WIDTH
    whose = f"Spectra of the {answer['of']} of {answer['run']}"
    return {
        "title": headline(whose, *_notes(rows, values, keys), width=WIDTH),
        "width": WIDTH,
        "height": height,
        "layer": [
            grid_of_cells(image, x, y, (WIDTH, height)),
            *_keys(keys, count, height, theme),
            legend,
        ],
        "resolve": {"scale": {"color": "independent"}},
    }


def columns_of_steps(
    steps: Sequence[float], values: NDArray[np.float64], width: int
) -> NDArray[np.float64]:
    """So many columns of even steps, each with the row of `values` of the nearest checkpoint."""
    if not steps:
        return np.full((width, values.shape[1]), np.nan)
    low, high = span(steps)
    at = low + (np.arange(width) + 0.5) * (high - low) / width
    middles = (np.array(steps[1:], float) + np.array(steps[:-1], float)) / 2
    return values[np.searchsorted(middles, at)]


def _frequencies(count: int) -> Spec:
    """The axis of frequencies; a few have a tick each, for Vega would place halves."""
    return {"values": list(range(1, count + 1))} if count <= FEW else {}


def _irreps(names: Sequence[str]) -> Spec:
    """The axis of rows that have names."""
    quoted = ", ".join(f"'{name}'" for name in names)
    return {
        "values": list(range(1, len(names) + 1)),
        "labelExpr": f"[{quoted}][datum.value - 1]",
    }


def _keys(keys: Sequence[int], count: int, height: int, theme: Theme) -> list[Spec]:
    """A mark at the height of each key and its number beside it, kept apart from the others."""
    shown = sorted((key for key in keys if 1 <= key <= count), reverse=True)
    labels = apart(shown, BESIDE * count / height, 0.5)
    rows = [{"key": key, "label_at": at} for key, at in zip(shown, labels, strict=True)]
    beside = {"field": "label_at", "type": "quantitative"}
    return [
        {
            "data": {"values": rows},
            "mark": {"type": "rule", "color": theme.key, "strokeWidth": 1.5},
            "encoding": {
                "x": {"value": WIDTH + 2},
                "x2": {"value": WIDTH + 12},
                "y": {"field": "key", "type": "quantitative"},
                "y2": {"field": "label_at"},
            },
        },
        {
            "data": {"values": rows},
            "mark": {
                "type": "text",
                "align": "left",
                "baseline": "middle",
                "color": theme.key,
                "clip": False,
            },
            "encoding": {"x": {"value": WIDTH + 15}, "y": beside, "text": {"field": "key"}},
        },
    ]


def apart(places: Sequence[float], gap: float, least: float) -> list[float]:
    """Places, the largest first, moved so that each lies a gap or more below the last.

    As long as there is room none lies below `least`.
    """
    found: list[float] = []
    for place in places:
        found.append(min(place, found[-1] - gap) if found else place)
    for i in reversed(range(len(found))):
        found[i] = max(found[i], least + gap * (len(found) - 1 - i))
    return found


def _notes(rows: Sequence[Answer], values: NDArray[np.float64], keys: Sequence[int]) -> list[str]:
    """What the picture shows in words."""
    unknown = int(np.isnan(values).all(axis=1).sum())
    notes = [f"{plural(len(rows), 'checkpoint')}, each up to half way to its neighbours"]
    notes += [f"{unknown:,} of them without a spectrum"] if unknown else []
    notes += ["key frequencies are marked at the right"] if keys else []
    return ["; ".join(notes)]
