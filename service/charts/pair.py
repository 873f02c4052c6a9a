"""What a checkpoint thinks of one pair: a bar for every residue."""

from typing import Any

from grokprobe.colours import Theme
from service.charts.frame import ANY_SIZE, WIDTH, Answer, Spec, headline
from service.charts.words import figure, finite, percent

HEIGHT, BAR, WIDEST = 220, 0.8, 28


def pair(answer: Answer, theme: Theme) -> Spec:
    """The logits of the first of the `predictions`, else the probabilities of its `top`.

    Where it has neither, the probability of what is predicted is all that is known.
    """
    row, p = answer["predictions"][0], answer["modulus"]
    name, known = _bars(row)
    half = min(BAR, WIDEST * p / WIDTH) / 2
    values = [
        {"residue": c, name: v, "kind": _kind(row, c), "from": c - half, "to": c + half}
        for c, v in known.items()
    ]
    colours = {
        "predicted, the answer": theme.test,
        "predicted": theme.wrong if row["correct"] is False else theme.excluded,
        "the answer": theme.key,
        "other": theme.norm,
    }
    shown = [kind for kind in colours if any(value["kind"] == kind for value in values)]
    scale = {"domain": shown, "range": [colours[kind] for kind in shown]}
    title, notes = f"The pair ({row['a']}, {row['b']})", _notes(row)
    return {
        "description": f"{title}. {' '.join(notes)}",
        "title": headline(title, *notes),
        "width": WIDTH,
        "height": HEIGHT,
        "data": {"values": values},
        "mark": {"type": "bar", "binSpacing": 0},
        "encoding": {
            "x": {
                "field": "from",
                "type": "quantitative",
                "title": "answer c (residue)",
                "scale": {"domain": [-0.5, p - 0.5], "nice": False, "zero": False},
                "axis": {"tickMinStep": 1, "format": "d"},
            },
            "x2": {"field": "to"},
            "y": {
                "field": name,
                "type": "quantitative",
                "title": name,
                "scale": {"domain": [0, 1]} if name == "probability" else {},
                "axis": ANY_SIZE,
            },
            "y2": {"datum": 0},
            "fill": {
                "field": "kind",
                "type": "nominal",
                "scale": scale,
                "legend": {"title": None, "symbolType": "square"},
            },
            "tooltip": [{"field": "residue"}, {"field": name}, {"field": "kind"}],
        },
    }


def _bars(row: dict[str, Any]) -> tuple[str, dict[int, float]]:
    """What is drawn, and its value by residue."""
    if "logits" in row:
        found = {c: finite(value) for c, value in enumerate(row["logits"])}
        return "logit", {c: value for c, value in found.items() if value is not None}
    top = {one["residue"]: one["probability"] for one in row.get("top", [])}
    return "probability", {row["predicted"]: row["probability"]} | top


def _kind(row: dict[str, Any], residue: int) -> str:
    if residue == row["predicted"]:
        return "predicted, the answer" if residue == row["answer"] else "predicted"
    return "the answer" if residue == row["answer"] else "other"


def _notes(row: dict[str, Any]) -> list[str]:
    told = f"predicted: {row['predicted']}, with probability {percent(row['probability'])}"
    if row["answer"] is None:
        return [told, "no answer is defined"]
    part = f", of the {row['split']} part" if row["split"] else ""
    verdict = "right" if row["correct"] else f"wrong: the answer is {row['answer']}"
    return [told, f"{verdict}{part}; loss {figure(row['loss'])} nats"]
