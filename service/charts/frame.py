"""What all pictures share: the frame around a chart, and grids of cells as one image.

Vega measures texts with the fonts of the machine that draws, a reader sees them in the fonts of
another. So every text here is laid out for the widest of the usual fonts (DejaVu Sans, of Linux).
"""

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.colours import Theme

Answer = Mapping[str, Any]
Spec = dict[str, Any]

WIDTH = 480  # pixels of a plot, unless its chart says otherwise
FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"
TITLE_SIZE, SUBTITLE_SIZE, LABEL_SIZE, CAPTION_SIZE = 14, 11, 10, 9


def tick_text(kind: str) -> str:
    """What writes a tick's number, by an expression of its format, with a minus for a hyphen."""
    return f"replace(format(datum.value, {kind}), '-', '−')"


# Axes and legends of numbers that may be of any size: 40, 0.05, 120000, 1.2e+30. As `format` Vega
# would cut 40 to the digits in which ticks differ: 4e+1.
ANY_SIZE: Spec = {"labelExpr": tick_text("'~g'")}
# The mean advance of a letter in DejaVu Sans, in parts of the font's size.
ADVANCE, BOLD_ADVANCE = 0.58, 0.65
EXPLAINED = ("color", "fill", "stroke", "shape", "size", "opacity", "strokeDash")
# So many pixels has the longer side of an image at least: enlarged, its cells stay sharp.
IMAGE_SIDE = 512


def wrap(
    text: str, width: float, size: float = SUBTITLE_SIZE, advance: float = ADVANCE
) -> list[str]:
    """The lines of a text that are at most so many pixels wide."""
    return textwrap.wrap(text, max(8, int(width / (advance * size)))) or [""]


def headline(title: str, *notes: str, width: float = WIDTH) -> Spec:
    """A title above a plot of so many pixels, with each note on lines of its own below it."""
    return {
        "text": wrap(title, width, TITLE_SIZE, BOLD_ADVANCE),
        "subtitle": [line for note in notes for line in wrap(note, width)],
    }


def ramp(colours: Sequence[str], low: float, high: float) -> Spec:
    """The scale of numbers from low to high in a theme's colours."""
    high = high if high > low else low + 1.0
    stops = np.linspace(low, high, len(colours)).tolist()
    return {"type": "linear", "domain": stops, "range": list(colours), "interpolate": "rgb"}


def cycle(colours: Sequence[str], period: float) -> Spec:
    """The scale of angles from 0 to a period in a theme's cyclic colours."""
    return ramp((*colours, colours[0]), 0.0, period)


def frame(chart: Spec, theme: Theme, caption: Sequence[str], schema: str = "v5") -> Spec:
    """A chart in its theme, with the lines of a caption below it."""
    width = chart.get("width", WIDTH)
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/{schema}.json",
        "background": theme.background,
        "padding": {"left": 16, "top": 16, "right": 36, "bottom": 14},
        "title": {
            "text": [line for text in caption for line in wrap(text, width, CAPTION_SIZE)],
            "orient": "bottom",
            "anchor": "start",
            "fontSize": CAPTION_SIZE,
            "fontWeight": "normal",
            "color": theme.quiet,
            "lineHeight": CAPTION_SIZE + 4,
            "offset": 14,
        },
        "vconcat": [chart],
        "resolve": own_legends(),
        "config": _config(theme),
    }


def own_legends() -> Spec:
    """The `resolve` of several plots, by which each has its legends beside it."""
    return {"scale": dict.fromkeys(EXPLAINED, "independent")}


def _config(theme: Theme) -> Spec:
    label = {"labelColor": theme.quiet, "labelFontSize": LABEL_SIZE}
    title = {"titleColor": theme.ink, "titleFontSize": SUBTITLE_SIZE, "titleFontWeight": "normal"}
    axis = {"domainColor": theme.quiet, "tickColor": theme.quiet, "tickSize": 4}
    # The title of a vertical axis lies above it: whatever the labels' width, they do not meet.
    above = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom"}
    return {
        "font": FONT,
        "view": {"stroke": None, "continuousWidth": WIDTH, "continuousHeight": 280},
        "title": {
            "anchor": "start",
            "frame": "group",
            "color": theme.ink,
            "fontSize": TITLE_SIZE,
            "lineHeight": TITLE_SIZE + 4,
            "subtitleColor": theme.quiet,
            "subtitleFontSize": SUBTITLE_SIZE,
            "subtitleLineHeight": SUBTITLE_SIZE + 4,
            "subtitlePadding": 5,
            "offset": 14,
        },
        "axis": {**label, **title, **axis, "gridColor": theme.grid, "titlePadding": 8},
        "axisY": {**above, "titleX": 0, "titleY": -8},
        "axisX": {"grid": False, "labelFlush": False},
        "legend": {**label, **title, "columns": 1, "rowPadding": 4, "symbolSize": 70, "offset": 18},
        "text": {"color": theme.ink, "fontSize": LABEL_SIZE},
        "range": {"category": list(theme.series)},
    }


def cells_image(colours: NDArray[np.integer[Any]], palette: Sequence[str]) -> str:
    """The data URL of a PNG of indices (rows, columns) into a palette of at most 256 colours.

    Each cell is a square of whole pixels, many enough that no renderer blurs its edges.
    """
    from PIL import Image  # an extra, and slow to import

    side = -(-IMAGE_SIDE // max(colours.shape))
    large = colours.astype(np.uint8).repeat(side, axis=0).repeat(side, axis=1)
    image = Image.fromarray(large, mode="P")
    image.putpalette(bytes.fromhex("".join(colour.removeprefix("#") for colour in palette)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
