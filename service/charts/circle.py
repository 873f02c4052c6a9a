"""The residues in a plane of an embedding: the circle that a model which generalises forms."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.colours import Theme
from grokprobe.errors import InvalidInput
from service.charts.frame import ANY_SIZE, Answer, Spec, cycle, headline
from service.charts.words import apart, figure, finite, label_width, matrix_of, percent, plural

SIDE = 400  # pixels of the plot: equal, so that a circle is a circle
ROOM = 1.2  # of the farthest point from the middle
LABEL, GAP = 9, 9  # pixels: the labels' font, and from a dot's middle to its label's edge
Points = list[dict[str, Any]]


def circle(answer: Answer, theme: Theme, *, lines: int = 0, reach: float | None = None) -> Spec:
    """The residues at the coordinates of an `embedding`, coloured by the angle due to each.

    The angle of group element i at frequency k is 2 pi k i / n; frequency 1 where the answer has
    none. `lines` joins element i to i + lines. `reach` is how far the axes go from the middle, for
    pictures on one scale; a fifth more than the farthest point where it is not given. Raises
    InvalidInput.
    """
    points, middle, half = _points(answer)
    half = half if reach is None else reach
    layers = [_ring(answer, theme, middle, half), _lines(answer, theme, points, lines)]
    layers += [_dots(answer, theme, points), _labels(theme, points, middle, half)]
    domains = [[m - half, m + half] for m in middle]
    x, y = (
        {
            "type": "quantitative",
            "title": title,
            "scale": {"domain": d, "nice": False, "zero": False},
            "axis": {"grid": False, **ANY_SIZE},
        }
        for title, d in zip(_axes(answer), domains, strict=True)
    )
    return {
        "description": f"{_title(answer)}. {' '.join(_notes(answer, points))}",
        "title": headline(_title(answer), *_notes(answer, points), width=SIDE),
        "width": SIDE,
        "height": SIDE,
        "layer": [_placed(layer, x, y) for layer in layers if layer],
    }


def reach_of(answer: Answer) -> float:
    """How far the axes of its circle go from the middle, in the weights' unit."""
    return _points(answer)[2]


def _cyclic(answer: Answer) -> bool:
    return bool(answer["basis"]["group"] != "S_5")


def _points(answer: Answer) -> tuple[Points, tuple[float, float], float]:
    """The rows that have coordinates, the middle of the plot, and half of its side."""
    order, frequency = answer["basis"]["order"], answer["frequency"] or 1
    points = []
    for element, row in enumerate(answer["coordinates"]):
        x, y = ([finite(v) for name, v in row.items() if name != "residue"] + [0.0])[:2]
        if x is not None and y is not None:
            angle = 2 * math.pi * (frequency * element % order) / order
            points.append(
                {"residue": int(row["residue"]), "element": element, "x": x, "y": y, "angle": angle}
            )
    at = np.array([[p["x"], p["y"]] for p in points] or [[0.0, 0.0]])
    low, high = at.min(axis=0), at.max(axis=0)
    middle = at.mean(axis=0) if answer["projection"] == "frequency" else (low + high) / 2
    half = ROOM * float(np.abs(at - middle).max()) or 1.0
    return points, (float(middle[0]), float(middle[1])), half


def _placed(layer: Spec, x: Spec, y: Spec) -> Spec:
    """The layer with the axes of the plot, where its data has a place."""
    encoding = layer["encoding"]
    return layer | {
        "encoding": {
            "x": {"field": "x", **x},
            "y": {"field": "y", **y},
            **encoding,
        }
    }


def _ring(answer: Answer, theme: Theme, middle: tuple[float, float], half: float) -> Spec | None:
    """The circle of the mean radius, faint."""
    found = answer["circle"]
    radius = finite(found["radius"]) if found else None
    if not radius or radius > half or answer["projection"] != "frequency":
        return None
    pixels = radius / half * SIDE / 2
    return {
        "data": {"values": [{"x": middle[0], "y": middle[1]}]},
        "mark": {
            "type": "point",
            "size": (2 * pixels) ** 2,
            "stroke": theme.norm,
            "opacity": 0.6,
            "strokeWidth": 1,
            "fill": None,
            "aria": False,
        },
        "encoding": {},
    }


def _lines(answer: Answer, theme: Theme, points: Points, lines: int) -> Spec | None:
    if not lines:
        return None
    if not _cyclic(answer):
        raise InvalidInput("lines", "the elements of S_5 stand in no circle: leave it out")
    order, at = answer["basis"]["order"], {point["element"]: point for point in points}
    ends = [(one, at.get((one["element"] + lines) % order)) for one in points]
    values = [
        {"x": one["x"], "y": one["y"], "x2": other["x"], "y2": other["y"]}
        for one, other in ends
        if other and other is not one
    ]
    mark: Spec = {"type": "rule", "stroke": theme.quiet, "strokeWidth": 0.75}
    mark |= {"strokeOpacity": 0.5, "aria": False}  # not opacity, which takes a layer of each
    return {
        "data": {"values": values},
        "mark": mark,
        "encoding": {"x2": {"field": "x2"}, "y2": {"field": "y2"}},
    }


def _dots(answer: Answer, theme: Theme, points: Points) -> Spec:
    size = max(16, min(80, 4800 // max(1, len(points))))
    mark: Spec = {"type": "circle", "size": size, "opacity": 1, "stroke": theme.background}
    mark |= {"strokeWidth": 0.75}
    tooltip = [{"field": name} for name in ("residue", "x", "y", "angle")]
    dots: Spec = {"data": {"values": points}, "mark": mark, "encoding": {"tooltip": tooltip}}
    if not _cyclic(answer):
        return dots | {"mark": {**mark, "fill": theme.test}}
    legend = {
        "title": ["angle due at", f"frequency {answer['frequency'] or 1} (rad)"],
        "values": [0, math.pi, 2 * math.pi],
        "labelExpr": "datum.value < 1 ? '0' : datum.value < 4 ? 'π' : '2π'",
        "gradientLength": 140,
    }
    colour = {"field": "angle", "type": "quantitative", "legend": legend}
    dots["encoding"]["fill"] = colour | {"scale": cycle(theme.cyclic, 2 * math.pi)}
    return dots


def _labels(theme: Theme, points: Points, middle: tuple[float, float], half: float) -> Spec | None:
    """The residues' names outside of their dots, as many as fit."""
    if not points:
        return None
    away = np.array([[p["x"], p["y"]] for p in points]) - middle
    away *= SIDE / 2 / half  # pixels from the middle
    texts = [str(point["residue"]) for point in points]
    wide = label_width(texts, LABEL)
    centre = away + _outward(away) * (GAP + np.stack([wide, np.full(len(wide), LABEL)], axis=1) / 2)
    # In the order of the dots around the middle, so that those left out alternate with the others.
    around = np.argsort(np.arctan2(away[:, 1], away[:, 0]), kind="stable")
    fits = np.zeros(len(points), dtype=np.bool_)
    fits[around] = apart(centre[around, 0], centre[around, 1], wide[around], LABEL + 2)
    fits &= ~_on_dots(centre, wide, away)
    place = np.array(middle) + centre * (2 * half / SIDE)
    values = [
        {"residue": texts[i], "x": float(place[i, 0]), "y": float(place[i, 1])}
        for i in np.flatnonzero(fits)
    ]
    return {
        "data": {"values": values},
        "mark": {"type": "text", "fontSize": LABEL, "fill": theme.quiet, "baseline": "middle"},
        "encoding": {"text": {"field": "residue", "type": "nominal"}},
    }


def _outward(away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors away from the middle (n, 2); up, of what lies in it."""
    length = np.hypot(*away.T)[:, None]
    up = np.array([[0.0, 1.0]])
    return np.where(length > 0, away / np.where(length > 0, length, 1), up)


def _on_dots(
    centre: NDArray[np.float64], wide: NDArray[np.float64], dots: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which labels (n, 2) lie on some dot."""
    apart_x = np.abs(centre[:, None, 0] - dots[None, :, 0]) > wide[:, None] / 2 + 3
    apart_y = np.abs(centre[:, None, 1] - dots[None, :, 1]) > LABEL / 2 + 3
    on: NDArray[np.bool_] = ~np.all(apart_x | apart_y, axis=1)
    return on


def _title(answer: Answer) -> str:
    places = {
        "frequency": f"plane of frequency\u00a0{answer['frequency']}",
        "pca": "principal components",
        "raw": "as it stands",
    }
    return f"{matrix_of(answer).capitalize()}, {places[answer['projection']]}"


def _axes(answer: Answer) -> Sequence[str]:
    names = {
        "frequency": ("along the cosine (weight units)", "along the sine (weight units)"),
        "pca": ("first component (weight units)", "second component (weight units)"),
        "raw": ("dimension 0 (weight units)", "dimension 1 (weight units)"),
    }
    return names[answer["projection"]]


def _notes(answer: Answer, points: Points) -> list[str]:
    notes = [f"{percent(answer['explained_share'])} of its variance"]
    found = answer["circle"]
    if found and finite(found["r_squared"]) is not None:
        told = f"circle: r² {figure(found['r_squared'])}"
        null = found["null"]
        if null:
            told += f" (best of {null['permutations']} permutations {figure(null['max'])})"
        notes.append(f"{told}; {notes.pop()}")
    elif found:
        notes.append("no circle: all points are one")
    if found and found["note"]:
        notes.append(found["note"])
    lacking = len(answer["coordinates"]) - len(points)
    if lacking:
        notes.append(f"{plural(lacking, 'residue')} without finite coordinates left out")
    return notes
