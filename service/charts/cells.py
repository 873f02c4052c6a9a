"""Heat maps: one image of cells in shades of a theme's ramp, and the legends that explain them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grokprobe.colours import Theme, blends
from service.charts.frame import Spec, ramp, tick_text

SIDE = 420  # pixels, about, of a square grid
SHADES = 255  # of a ramp; one more is of cells that have no number


def shades(
    values: ArrayLike, colours: Sequence[str], low: float, high: float, undefined: str
) -> tuple[NDArray[np.uint8], list[str]]:
    """Indices (like values) and the palette of numbers from low to high; NaN is undefined."""
    numbers = np.asarray(values, dtype=np.float64)
    span = high - low if high > low else 1.0
    place = np.clip((numbers - low) / span, 0, 1) * (SHADES - 1)
    indices = np.where(np.isnan(place), SHADES, np.rint(np.nan_to_num(place))).astype(np.uint8)
    return indices, [*blends(colours, np.linspace(0, 1, SHADES)), undefined]


def side_of(cells: int) -> int:
    """The pixels of a side with so many cells, each of whole pixels."""
    return cells * max(1, round(SIDE / cells))


def ramp_legend(colours: Sequence[str], low: float, high: float, title: str) -> Spec:
    """A layer that draws nothing but the legend of a ramp."""
    legend = {"title": title, "gradientOpacity": 1, "gradientLength": 140}
    legend |= {"labelExpr": tick_text("'.3~g'")}
    return _legend([low, high], "quantitative", ramp(colours, low, high), legend)


def class_legend(colours: Mapping[str, str], title: str | None, theme: Theme) -> Spec:
    """A layer that draws nothing but the legend of cells by their names."""
    legend = {
        "title": title,
        "symbolType": "square",
        "symbolSize": 120,
        "symbolOpacity": 1,
        "symbolStrokeColor": theme.quiet,
        "symbolStrokeWidth": 0.5,
    }
    scale = {"domain": list(colours), "range": list(colours.values())}
    return _legend(list(colours), "nominal", scale, legend)


def _legend(values: Sequence[Any], kind: str, scale: Spec, legend: Spec) -> Spec:
    return {
        "data": {"values": [{"shown": value} for value in values]},
        "mark": {"type": "square", "opacity": 0, "size": 1, "aria": False},
        "encoding": {"fill": {"field": "shown", "type": kind, "scale": scale, "legend": legend}},
    }


def grid_of_cells(url: str, x: Spec, y: Spec, size: tuple[int, int]) -> Spec:
    """The layer of an image over a whole plot of a size (width, height) in pixels.

    x and y have `title`, `domain` (left and right edge, lower and upper edge) and what else an
    axis takes in `axis`.
    """
    axes = {"x": x, "y": y}
    return {
        "data": {"values": [{"x": x["domain"][0], "y": y["domain"][1]}]},
        "mark": {
            "type": "image",
            "width": size[0],
            "height": size[1],
            "align": "left",
            "baseline": "top",
            "aspect": False,
            "smooth": False,
            "aria": False,
        },
        "encoding": {"url": {"value": url}}
        | {
            name: {
                "field": name,
                "type": "quantitative",
                "title": axis["title"],
                "scale": _edge_to_edge(*axis["domain"]),
                "axis": {"grid": False, "tickMinStep": 1, **axis.get("axis", {})},
            }
            for name, axis in axes.items()
        },
    }


def _edge_to_edge(first: float, last: float) -> Spec:
    domain = [min(first, last), max(first, last)]  # of one that falls Vega draws no ticks
    return {"domain": domain, "reverse": first > last, "nice": False, "zero": False}
