"""How a picture shall look: parameters that every resource takes which has pictures."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from grokprobe.errors import InvalidInput
from service.formats.pictures import Picture
from service.formats.registry import Format

Theme = Literal["light", "dark"]
SCALES = (0.25, 8.0)  # of what the chart measures, in pixels
WIDTHS = (16, 8192)  # pixels

PARAMETERS: dict[str, object] = {"theme": Theme, "scale": float, "width": int}

OF_CHARTS = ("lines", "chart")  # what some routes take for their pictures alone


class Look(NamedTuple):
    """What is asked of a picture beside its format; a width comes instead of a scale."""

    theme: Theme = "light"
    scale: float = 1.0
    width: int | None = None


def look_of(query: Mapping[str, str], chosen: Format) -> Look:
    """What a query, whose values are of the right kinds, asks of an answer in a format.

    Raises InvalidInput for what this format has not, and for sizes that are not drawn.
    """
    given = [name for name in (*PARAMETERS, *OF_CHARTS) if name in query]
    if not isinstance(chosen, Picture):
        for name in given:
            raise InvalidInput(name, f"is of pictures, such as format=svg; {chosen.name} has none")
        return Look()
    for name in given:
        if name in ("scale", "width") and not chosen.has_pixels:
            raise InvalidInput(name, f"counts the pixels of a png; {chosen.name} has none")
    if "scale" in query and "width" in query:
        raise InvalidInput("width", "stands instead of scale: give one of them")
    scale, width = float(query.get("scale", 1)), int(query.get("width", WIDTHS[0]))
    _check("scale", scale, SCALES)
    _check("width", width, WIDTHS)
    theme: Theme = "dark" if query.get("theme") == "dark" else "light"
    return Look(theme, scale, width if "width" in query else None)


def _check(name: str, value: float, bounds: tuple[float, float]) -> None:
    least, most = bounds
    if not least <= value <= most:
        raise InvalidInput(name, f"must be {least:g}..{most:g}, got {value:g}")
