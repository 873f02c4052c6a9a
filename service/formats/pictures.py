"""Pictures of answers: a Vega-Lite specification, or what the renderer draws of it."""

from dataclasses import dataclass

import msgspec

from service.formats.registry import Format, Formats
from service.formats.tables import Encoder, Table

# Raised with every change of what a chart draws: pictures are kept for a year by their ETag.
CHARTS_VERSION = 4


def _no_table(_answer: msgspec.Struct, _table: Table, _length: int) -> Encoder:
    raise TypeError("a picture is drawn of an answer, not written from its table")


@dataclass(frozen=True, eq=False)
class Picture(Format):
    """A format that shows an answer; `service/charts` says how."""

    schema: str = "v5"  # of Vega-Lite
    is_drawn: bool = True  # by the renderer, so that it is on offer only where there is one
    has_pixels: bool = False


VEGA_LITE = Picture(
    "vega-lite", "application/vnd.vegalite.v5+json", _no_table, is_text=True, is_drawn=False
)
# Of the same name: Accept tells which of the two is meant.
VEGA_LITE_6 = Picture(
    "vega-lite",
    "application/vnd.vegalite.v6+json",
    _no_table,
    is_text=True,
    schema="v6",
    is_drawn=False,
)
SVG = Picture("svg", "image/svg+xml", _no_table, is_text=True)
PNG = Picture("png", "image/png", _no_table, has_pixels=True)
PDF = Picture("pdf", "application/pdf", _no_table)

PICTURES: Formats = (VEGA_LITE, VEGA_LITE_6, SVG, PNG, PDF)


def on_offer(formats: Formats, is_there: bool) -> Formats:
    """Which of a resource's formats can be had, with a renderer or without."""
    if is_there:
        return formats
    return tuple(f for f in formats if not (isinstance(f, Picture) and f.is_drawn))


def has_pictures(formats: Formats) -> bool:
    """Whether a resource offers any."""
    return any(isinstance(known, Picture) for known in formats)


def names_of(formats: Formats) -> list[str]:
    """Their names, each once, in their order."""
    return list(dict.fromkeys(known.name for known in formats))
