"""When half of the pairs of each answer, difference or kind of mirror were learnt."""

from collections.abc import Mapping
from typing import Any

from grokprobe.colours import Theme
from service.charts.axes import WIDTH, drawn_at, names_axis, step_axis
from service.charts.frame import Answer, Spec, headline

HEIGHT, ROW = 300, 26  # pixels: of the plot, of one kind of mirror
OF = {"answer": "answer", "difference": "a - b", "mirror": "whether mirrors are train pairs"}
UNKNOWN = "all pairs"  # where the split is unknown
NONE = {
    "answer": "no pair has an answer",
    "difference": "there are none: a and b are no residues",
    "mirror": "there are none: the split is not known, or no pair has a mirror",
}


def sums(answer: Answer, theme: Theme, logarithmic: bool) -> Spec:
    """A point for each group in each part of the split, with its bracket; a triangle: not yet."""
    of, rows = OF[answer["by"]], _rows(answer, logarithmic)
    note = "each with the bracket that the checkpoints leave" if rows else NONE[answer["by"]]
    never = sum(not row["learnt"] for row in rows)
    note += f"; triangles: {never:,} not by the last step" if never else ""
    title = f"When half the pairs of {answer['run']} were learnt, by {of}"
    mirror, encoding = answer["by"] == "mirror", _encoding(answer, theme, rows, logarithmic)
    shape = {"condition": {"test": "datum.learnt", "value": "circle"}, "value": "triangle-up"}
    return {
        "title": headline(title, note, width=WIDTH),
        "width": WIDTH,
        "height": {"step": ROW} if mirror else HEIGHT,
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "opacity": 0.6},
                "encoding": encoding | {"x2" if mirror else "y2": {"field": "previous"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 36, "opacity": 1},
                "encoding": encoding | {"shape": shape},
            },
        ],
    }


def _rows(answer: Answer, logarithmic: bool) -> list[dict[str, Any]]:
    """What is drawn of each sum; one that is not learnt stands at the last step."""
    last, rows = answer["last_step"] or 0, []
    for row in answer["sums"]:
        step = last if row["half_step"] is None else row["half_step"]
        before = step if row["half_previous_step"] is None else row["half_previous_step"]
        rows.append(
            {
                "group": _mirrors(row) if answer["by"] == "mirror" else row["group"],
                "split": row["split"] or UNKNOWN,
                "step": drawn_at(step, logarithmic=logarithmic),
                "previous": drawn_at(before, logarithmic=logarithmic),
                "learnt": row["half_step"] is not None,
            }
        )
    return rows


def _mirrors(row: Mapping[str, Any]) -> str:
    return f"{row['split'] or UNKNOWN}, (b, a) is {'train' if row['group'] else 'test'}"


def _encoding(
    answer: Answer, theme: Theme, rows: list[dict[str, Any]], logarithmic: bool
) -> dict[str, Any]:
    """Steps along x where the groups are few and have names, else along y."""
    ends = [step for step in (answer["first_step"], answer["last_step"]) if step is not None]
    steps = step_axis(ends, logarithmic=logarithmic, title="step at which half are learnt")
    splits = {"train": theme.train, "test": theme.test, UNKNOWN: theme.ink}
    shown = {name: splits[name] for name in splits if any(row["split"] == name for row in rows)}
    colour = {
        "field": "split",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(shown), "range": list(shown.values())},
        "legend": {} if shown else None,
    }
    time = {"field": "step", **steps}
    if answer["by"] == "mirror":
        names = sorted({row["group"] for row in rows}) or [""]  # Vega has no place for none
        return {"x": time, "y": {"field": "group", **names_axis(names)}, "color": colour}
    place = {
        "field": "group",
        "type": "quantitative",
        "title": OF[answer["by"]],
        "scale": {"nice": False, "zero": False} | ({} if rows else {"domain": [0, 1]}),
    }
    return {"x": place, "y": time, "color": colour}
