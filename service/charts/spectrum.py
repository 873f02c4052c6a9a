"""How a matrix's power is shared among frequencies, or among the irreps of S_5."""

from typing import Any

import numpy as np

from grokprobe.colours import Theme
from service.charts.frame import ANY_SIZE, WIDTH, Answer, Spec, headline
from service.charts.words import apart, figure, finite, label_width, matrix_of, plural

HEIGHT = 240
BAR, WIDEST = 0.8, 28  # of a frequency's place; pixels
LABEL = 10
Rows = list[dict[str, Any]]


def spectrum(answer: Answer, theme: Theme, *, top: float | None = None) -> Spec:
    """Bars of a `spectrum`: shares of power, or power itself where all of it is zero.

    Key frequencies are coloured and named. A null of the largest share is drawn at its largest
    draw; of another statistic it is told. `top` is where the axis of shares ends, for pictures on
    one scale.
    """
    rows, value = _rows(answer)
    title = f"Spectrum of the {matrix_of(answer)}"
    notes = _notes(answer)
    irreps = any("irrep" in row for row in rows)
    layers = _irreps(rows, value, theme) if irreps else _frequencies(answer, rows, value, theme)
    level = _level(answer) if value == "share" else None
    most = max([row[value] for row in rows] + [level or 0.0, *_chances(rows)])
    y = {
        "field": value,
        "type": "quantitative",
        "title": "share of power" if value == "share" else "power",
        "scale": {"domain": [0, top or 1.12 * most or 1.0], "nice": False},
        "axis": ANY_SIZE,
    }
    for layer in layers:
        layer["encoding"] = {"y": y} | layer["encoding"]
    return {
        "description": f"{title}. {' '.join(notes)}",
        "title": headline(title, *notes),
        "width": WIDTH,
        "height": HEIGHT,
        "layer": layers + ([_null(answer, theme, level, y)] if level is not None else []),
        "resolve": {"scale": {"stroke": "independent"}},
    }


def _rows(answer: Answer) -> tuple[Rows, str]:
    """The rows that have a number, and its name."""
    rows = [dict(row) for row in answer["spectrum"]]
    value = "share" if any(finite(row["share"]) is not None for row in rows) else "power"
    return [row for row in rows if finite(row[value]) is not None], value


def _frequencies(answer: Answer, rows: Rows, value: str, theme: Theme) -> list[Spec]:
    count = max([row["frequency"] for row in answer["spectrum"]] or [1])
    half = min(BAR, WIDEST * count / WIDTH) / 2
    named = "key, provisional" if answer["provisional"] else "key frequency"
    kinds = {True: named, False: "other", None: "frequency"}
    colours = {named: theme.key, "other": theme.norm, "frequency": theme.norm}
    values = [
        {"frequency": row["frequency"], value: row[value], "kind": kinds[row["key"]]}
        | {"from": row["frequency"] - half, "to": row["frequency"] + half}
        for row in rows
    ]
    shown = [kind for kind in colours if any(row["kind"] == kind for row in values)]
    x = {
        "type": "quantitative",
        "title": "frequency (turns around the group)",
        "scale": {"domain": [0.5, count + 0.5], "nice": False, "zero": False},
        "axis": {"tickMinStep": 1, "format": "d"},
    }
    legend = {"title": None, "symbolType": "square"} if len(shown) > 1 else None
    scale = {"domain": shown, "range": [colours[kind] for kind in shown]}
    bars = {
        "data": {"values": values},
        "mark": {"type": "bar", "binSpacing": 0},
        "encoding": {
            "x": {"field": "from", **x},
            "x2": {"field": "to"},
            "y2": {"datum": 0},
            "fill": {"field": "kind", "type": "nominal", "scale": scale, "legend": legend},
            "tooltip": [{"field": "frequency"}, {"field": value}, {"field": "kind"}],
        },
    }
    return [bars, _names(rows, value, x, count)]


def _names(rows: Rows, value: str, x: Spec, count: int) -> Spec:
    """The key frequencies' names above their bars, those of the strongest where two would meet."""
    keys = sorted((row for row in rows if row["key"]), key=lambda row: -row[value])
    texts = [str(row["frequency"]) for row in keys]
    pixels = [row["frequency"] * WIDTH / count for row in keys]
    fits = apart(pixels, np.zeros(len(keys)), label_width(texts, LABEL), 1)
    named = [row for row, fit in zip(keys, fits, strict=True) if fit]
    return {
        "data": {"values": [{"frequency": row["frequency"], value: row[value]} for row in named]},
        "mark": {"type": "text", "dy": -7, "fontSize": LABEL, "aria": False},
        "encoding": {"x": {"field": "frequency", **x}, "text": {"field": "frequency"}},
    }


def _chances(rows: Rows) -> list[float]:
    """The shares of noise by irrep: d^2 of the sum of all."""
    whole = sum(row["dimension"] ** 2 for row in rows if "irrep" in row)
    return [row["dimension"] ** 2 / whole for row in rows if "irrep" in row]


def _irreps(rows: Rows, value: str, theme: Theme) -> list[Spec]:
    names = [row["irrep"] for row in rows]
    x = {
        "field": "irrep",
        "type": "nominal",
        "sort": names,
        "title": "irreducible representation (partition of 5)",
        "axis": {"labelAngle": 0},
    }
    fields = ("irrep", "dimension", "power", "share")
    bars = {
        "data": {"values": [{name: row[name] for name in fields} for row in rows]},
        "mark": {"type": "bar", "fill": theme.test, "size": WIDEST},
        "encoding": {"x": x, "tooltip": [{"field": name} for name in fields]},
    }
    if value != "share":
        return [bars]
    chances = zip(names, _chances(rows), strict=True)
    ticks = {
        "data": {
            "values": [{"irrep": n, "share": c, "line": "share of noise"} for n, c in chances]
        },
        "mark": {"type": "tick", "thickness": 2, "size": WIDEST + 12, "aria": False},
        "encoding": {"x": x, "color": _line("share of noise", theme.ink, [])},
    }
    return [bars, ticks]


def _line(name: str, colour: str, dash: list[int]) -> Spec:
    """The colour of a line, and its legend."""
    legend = {"title": None, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolDash": dash}
    legend |= {"symbolStrokeColor": colour}  # a tick has a fill alone
    scale = {"domain": [name], "range": [colour]}
    return {"field": "line", "type": "nominal", "scale": scale, "legend": legend}


def _level(answer: Answer) -> float | None:
    """The largest draw of a null that is a share of power."""
    null = answer["null"]
    return finite(null["max"]) if null and null["statistic"] == "max_share" else None


def _null(answer: Answer, theme: Theme, level: float | None, y: Spec) -> Spec:
    name = f"best of {answer['null']['permutations']} permutations"
    return {
        "data": {"values": [{"level": level, "line": name}]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.25},
        "encoding": {
            "y": {**y, "field": "level"},
            "stroke": _line(name, theme.wrong, [4, 3]),
        },
    }


def _notes(answer: Answer) -> list[str]:
    basis, null = answer["basis"], answer["null"]
    notes = []
    if answer["gini_frequencies"] is not None:
        notes.append(f"Gini coefficient {figure(answer['gini_frequencies'])}")
    if null:
        name = {"max_share": "largest share", "gini_frequencies": "Gini coefficient"}
        notes.append(
            f"null of the {name.get(null['statistic'], null['statistic'])}: "
            f"{figure(null['observed'])} against {figure(null['mean'])} on average and "
            f"{figure(null['max'])} at most of {plural(null['permutations'], 'permutation')}, "
            f"p\u00a0=\u00a0{figure(null['p_value'])}"
        )
    if basis["group"] != "S_5" and answer["key_frequencies"] is None:
        notes.append("no key frequencies are known in this basis")
    if not any(finite(row["share"]) is not None for row in answer["spectrum"]):
        notes.append("no shares: there is no power at all")
    return notes
