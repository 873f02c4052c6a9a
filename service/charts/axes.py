"""The axes that the charts of runs and groups share: of steps, and of names."""

import math
from collections.abc import Sequence
from typing import Any

from service.charts.frame import ADVANCE, LABEL_SIZE

WIDTH = 560  # pixels, of a panel over steps
STEP = "step"
FEW = 6  # whole numbers, each of which has its tick
LOGARITHM = " (logarithmic; 0 stands at 1)"


def span(steps: Sequence[float]) -> tuple[float, float]:
    """From the first to the last step; around a single one, or 0 to 1 without any."""
    if not steps:
        return 0, 1
    low, high = min(steps), max(steps)
    return (low, high) if low < high else (low - 1, high + 1)


def step_axis(
    steps: Sequence[float], *, logarithmic: bool = False, title: str | None = STEP
) -> dict[str, Any]:
    """The encoding of x over these steps, but for its field; without a title no labels either."""
    low, high = span([max(step, 1) for step in steps] if logarithmic else steps)
    kind = {"type": "log"} if logarithmic and low > 0 else {}
    axis: dict[str, Any] = {"grid": False, "format": ",d", "labelOverlap": True, "tickCount": 6}
    if len(set(steps)) == 1:
        axis["values"] = list(set(steps))
    elif high - low <= FEW:  # between them Vega would place halves
        axis["values"] = [*range(math.ceil(low), math.floor(high) + 1)]
    if title is None:
        axis |= {"labels": False, "ticks": False}
    if kind:
        axis["values"] = decades(low, high)
        title = title and title + LOGARITHM
    return {
        "type": "quantitative",
        "title": title,
        "scale": {"domain": [low, high], "nice": False, **kind},
        "axis": axis,
    }


def decades(low: float, high: float) -> list[float]:
    """The powers of ten from low to high, or just these two where there is no more than one."""
    found = [10.0**n for n in range(16) if low <= 10**n <= high]
    return found if len(found) > 1 else [low, high]


def drawn_at(step: float, *, logarithmic: bool = False) -> float:
    """Where a step stands on the axis: a logarithm has no place for 0."""
    return max(step, 1) if logarithmic else step


def names_axis(names: Sequence[str]) -> dict[str, Any]:
    """The encoding of y by names, one row each, but for its field: with room for wide letters."""
    room = ADVANCE * LABEL_SIZE * max(map(len, names), default=0)
    return {
        "type": "nominal",
        "title": None,
        "sort": list(names),
        "scale": {"domain": list(names), "padding": 0.2},
        "axis": {
            "ticks": False,
            "domain": False,
            "grid": False,
            "labelLimit": 0,
            "minExtent": room,
        },
    }
