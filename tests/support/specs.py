"""Reading specifications of charts: the data that they draw, and whether Vega understands them."""

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from grokprobe.colours import Theme
from service.charts.frame import Spec, frame

# What the charts' own words are of, and the renderer's own font (Liberation Sans) has; it lacks
# ⁰, ⁶, ⁹ and ⁻, which a machine without other fonts draws as boxes.
LETTERS = {*map(chr, range(128)), *"\u00a0²µ×…π−○●"}
LARGEST = 8192  # pixels


def picture(chart: Spec, theme: Theme) -> str:
    """The chart as SVG, in its frame; its text has no number that is none."""
    vl_convert = pytest.importorskip("vl_convert")
    framed = frame(chart, theme, ["run r, step 1"])
    vl_convert.vegalite_to_vega(framed)
    svg: str = vl_convert.vegalite_to_svg(framed)
    assert not [word for word in ("NaN", "Infinity", "undefined") if word in svg]
    assert not (set(svg) - LETTERS)
    assert float(svg.partition('width="')[2].partition('"')[0]) < LARGEST
    return svg


def rows(chart: Any, *fields: str) -> list[dict[str, Any]]:
    """The inline rows that have all of these fields, wherever in the chart, each list once."""
    return [row for data in _data(chart) for row in data if all(name in row for name in fields)]


def _data(chart: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(chart, Mapping):
        if "values" in chart.get("data", {}):
            yield chart["data"]["values"]
        for value in chart.values():
            yield from _data(value)
    elif isinstance(chart, list):
        for value in chart:
            yield from _data(value)


def image(chart: Any) -> NDArray[np.uint8]:
    """The pixels (rows, columns, 3) of the chart's one image."""
    from PIL import Image

    [url] = set(_urls(chart))
    data = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _urls(chart: Any) -> Iterator[str]:
    if isinstance(chart, Mapping):
        if "url" in chart.get("encoding", {}):
            yield chart["encoding"]["url"]["value"]
        chart = list(chart.values())
    if isinstance(chart, list):
        for value in chart:
            yield from _urls(value)


def texts(chart: Spec) -> str:
    """The title's words."""
    title = chart["title"]
    return " ".join([*title["text"], *title["subtitle"]])
