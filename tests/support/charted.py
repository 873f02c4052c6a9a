"""Specifications of pictures, read: what Vega-Lite says of them, and the numbers they carry."""

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.colours import THEMES
from service.charts.frame import Spec, frame
from tests.support.specs import image

SCHEMAS = {"v5": "5.21", "v6": "6.4"}
CAPTION = ["run quickstart, step 3,000; keys by the rule logits, 12 of 30", f"sha256:{'9a' * 32}"]


def warnings_of(spec: Spec, version: str) -> str:
    """What Vega-Lite has to say against a specification; it raises where it cannot compile it."""
    import vl_convert

    with tempfile.TemporaryFile() as said:  # it writes past Python
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            vl_convert.vegalite_to_vega(spec, vl_version=version, show_warnings=True)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        said.seek(0)
        return said.read().decode()


def framed(chart: Spec, theme: str = "light", schema: str = "v5") -> Spec:
    """A chart in its frame, with a caption as long as they get."""
    return frame(chart, THEMES[theme], CAPTION, schema)


def check(chart: Spec) -> None:
    """Vega-Lite 5 and 6 both take a chart, and have nothing to say against it."""
    for schema, version in SCHEMAS.items():
        assert warnings_of(framed(chart, schema=schema), version) == ""


def drawn(chart: Spec, theme: str = "light") -> str:
    """The chart as SVG."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(framed(chart, theme)))


def layers(spec: Spec) -> Iterator[Spec]:
    """Every plot and layer of a specification, itself first."""
    yield spec
    for part in ("layer", "vconcat", "hconcat"):
        for inner in spec.get(part, []):
            yield from layers(inner)


def rows(spec: Spec, mark: str, number: int = 0) -> list[dict[str, Any]]:
    """The data of the layer with a mark; the first of them unless said otherwise."""
    found = [one for one in layers(spec) if _mark(one) == mark]
    values: list[dict[str, Any]] = found[number]["data"]["values"]
    return values


def _mark(spec: Spec) -> str | None:
    mark = spec.get("mark")
    return mark["type"] if isinstance(mark, dict) else mark


def subtitle(spec: Spec) -> str:
    """The notes below a title, in one line."""
    return " ".join(spec["title"]["subtitle"]).replace("\u00a0", " ")


def cells(spec: Spec, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The colours of the image of a heat map, (rows, columns, 3): one of each cell."""
    pixels = image(spec)
    side = pixels.shape[0] // shape[0]
    assert pixels.shape == (side * shape[0], side * shape[1], 3)
    assert (pixels == pixels[::side, ::side].repeat(side, 0).repeat(side, 1)).all()
    return np.asarray(pixels[::side, ::side])


def rgb(colour: str) -> list[int]:
    """A colour's channels."""
    return list(bytes.fromhex(colour.removeprefix("#")))
