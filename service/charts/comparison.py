"""Two checkpoints at one look: what they answer, their key frequencies, how far weights moved."""

from typing import Any

from grokprobe.colours import Theme
from service.charts.frame import ANY_SIZE, WIDTH, Answer, Spec, headline, own_legends
from service.charts.words import figure, finite, plural

ROW = 22  # pixels of a row
MOST = 16  # matrices that are shown, those farthest apart
NAME = 95  # pixels that a row's name may take
HOLLOW, FULL = "○", "●"
Rows = list[dict[str, Any]]


def comparison(answer: Answer, theme: Theme) -> Spec:
    """Accuracies by part, shares of the key frequencies and distances of weights of a `compare`.

    A hollow mark is a's, a full one b's.
    """
    title, notes = "Two checkpoints compared", _notes(answer)
    plots = [_accuracies(answer, theme), _keys(answer, theme), _weights(answer, theme)]
    return {
        "description": f"{title}. {' '.join(notes)}",
        "title": headline(title, *notes),
        "spacing": 30,
        "vconcat": [plot for plot in plots if plot],
        "resolve": own_legends(),
    }


def _plot(rows: Rows, layers: list[Spec]) -> Spec:
    """Layers over rows by `name`, from above in their order."""
    axis: Spec = {
        "labelLimit": NAME,
        "grid": False,
        "ticks": False,
        "domain": False,
        "labelPadding": 8,
    }
    names = [row["name"] for row in rows]
    y: Spec = {"field": "name", "type": "nominal", "sort": names, "title": None, "axis": axis}
    y["scale"] = {"domain": names}
    for layer in layers:
        layer["encoding"]["y"] = y
    plot: Spec = {"width": WIDTH, "height": ROW * max(1, len(rows))}
    return plot | {"layer": layers}


def _ends(rows: Rows, x: Spec, colour: Spec, background: str) -> list[Spec]:
    """A hollow mark at a, a full one at b, and a line between; a row may lack either."""
    both = [row for row in rows if row["a"] is not None and row["b"] is not None]
    line = {
        "data": {"values": both},
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.45, "aria": False},
        "encoding": {"x": {"field": "a", **x}, "x2": {"field": "b"}, "stroke": colour},
    }
    marks = [
        {
            "data": {"values": [row for row in rows if row[end] is not None]},
            "mark": mark | {"opacity": 1},
            "encoding": {"x": {"field": end, **x}, **shown},
        }
        for end, mark, shown in (
            (
                "a",
                {"type": "point", "size": 70, "strokeWidth": 2, "fill": background},
                {"stroke": colour},
            ),
            (
                "b",
                {"type": "point", "size": 70, "strokeWidth": 2},
                {"stroke": colour, "fill": colour},
            ),
        )
    ]
    return [line, *marks]


def _accuracies(answer: Answer, theme: Theme) -> Spec:
    rows = [
        {
            "name": _part(part),
            "a": finite(part["accuracy_a"]),
            "b": finite(part["accuracy_b"]),
            "pairs": part["pairs"],
        }
        for part in answer["parts"]
    ]
    x: Spec = {"type": "quantitative", "title": "accuracy (share of pairs)"}
    x |= {"scale": {"domain": [0, 1]}, "axis": {"grid": True}}
    return _plot(rows, _ends(rows, x, {"value": theme.test}, theme.background))


def _part(part: dict[str, Any]) -> str:
    a, b = part["split_a"], part["split_b"]
    if a == b:
        return str(a or "all pairs")
    return f"{a or 'any'} of a, {b or 'any'} of b"


def _keys(answer: Answer, theme: Theme) -> Spec | None:
    """The shares of power of all key frequencies of either, by what became of them."""
    rows = [
        {
            "name": str(key["frequency"]),
            "a": finite(key["share_a"]),
            "b": finite(key["share_b"]),
            "key": key["change"],
        }
        for key in answer["keys"] or []
    ]
    shown = [row for row in rows if row["a"] is not None or row["b"] is not None]
    if not shown:
        return None
    every = {"kept": theme.test, "gained": theme.key, "lost": theme.train}
    colours = {name: every[name] for name in every if any(row["key"] == name for row in shown)}
    colour = {
        "field": "key",
        "type": "nominal",
        "scale": {"domain": list(colours), "range": list(colours.values())},
        "legend": {"title": "key frequencies", "symbolType": "circle"},
    }
    x: Spec = {"type": "quantitative", "title": "share of the embedding's power, by key frequency"}
    x["axis"] = {"grid": True, "tickCount": 8, **ANY_SIZE}
    return _plot(shown, _ends(shown, x, colour, theme.background))


def _weights(answer: Answer, theme: Theme) -> Spec | None:
    """The distance of each matrix as a bar, between the marks of both norms."""
    rows = [
        {
            "name": matrix["name"],
            "a": finite(matrix["norm_a"]),
            "b": finite(matrix["norm_b"]),
            "distance": finite(matrix["distance"]),
        }
        for matrix in answer["weights"] or []
    ]
    rows = [row for row in rows if row["distance"] is not None]
    rows = sorted(rows, key=lambda row: -row["distance"])[:MOST]
    if not rows:
        return None
    x = {
        "type": "quantitative",
        "title": f"Frobenius norm: distance (bar), {HOLLOW} of a, {FULL} of b",
        "axis": {"grid": True, "tickCount": 8, **ANY_SIZE},
    }
    bars = {
        "data": {"values": rows},
        "mark": {"type": "bar", "size": 8, "fill": theme.norm, "opacity": 0.55},
        "encoding": {
            "x": {"field": "distance", **x},
            "tooltip": [{"field": name} for name in ("name", "distance", "a", "b")],
        },
    }
    marks = _ends(rows, x, {"value": theme.test}, theme.background)[1:]
    return _plot(rows, [bars, *marks])


def _notes(answer: Answer) -> list[str]:
    a, b = (f"{answer[end]['run']}, step\u00a0{answer[end]['step']:,}" for end in "ab")
    notes = [f"{HOLLOW} a: {a}", f"{FULL} b: {b}"]
    if answer["identical"]:
        notes.append(
            {"bytes": "one and the same file", "weights": "the same weights"}[answer["identical"]]
        )
    lost, won = (len(answer["changed"][name]) for name in ("right_to_wrong", "wrong_to_right"))
    notes.append(f"{plural(won, 'pair')} became right, {plural(lost, 'pair')} wrong")
    for name in ("embedding", "neurons"):
        if answer[name]:
            cka, chance = (figure(answer[name][part]) for part in ("cka", "null_mean"))
            notes.append(f"linear CKA of the {name}: {cka}, by chance {chance}")
    if answer["all_weights"] and finite(answer["all_weights"]["cosine"]) is not None:
        notes.append(f"cosine of all weights {figure(answer['all_weights']['cosine'])}")
    more = len(answer["weights"] or []) - MOST
    if more > 0:
        notes.append(f"{plural(more, 'matrix').replace('xs', 'ces')} that moved less left out")
    notes += [
        f"no {name}: {answer['absent'][name]}"
        for name in ("keys", "weights")
        if name in answer["absent"]
    ]
    return notes
