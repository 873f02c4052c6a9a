"""The picture of when pairs are learnt, and lost again, from a service: docs/learning.svg.

python -m tools.learning [http://127.0.0.1:8000]

The runs are called as their presets. Beside the picture, the rows of the table under it.
"""

from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any

from tools.picture import INK, QUIET, get, write_charts

TARGET = Path(__file__).parents[1] / "docs" / "learning.svg"
RUNS = ("quickstart", "mainline", "power")
TRAIN, MIRRORED, OTHERS = "train", "test, (b, a) is train", "test, (b, a) is test"
COLOURS = {TRAIN: QUIET, MIRRORED: "#e0a030", OTHERS: INK}
LINEAR = {
    "type": "quantitative",
    "title": "step",
    "scale": {"nice": False},
    "axis": {"grid": False},
}
LOGARITHM = LINEAR | {"scale": {"type": "log", "nice": False}}


def held(url: str, run: str) -> dict[str, Any]:
    """Test accuracy over the run, the stretches in which it was at least 0.99 shaded."""
    rows = get(f"{url}/trajectory")["trajectory"]
    last = rows[-1]["step"]
    stretches = [
        {"from": one["gained"]["step"], "to": (one["lost"] or {"step": last})["step"]}
        for one in get(f"{url}/emergence")["intervals"]
    ]
    return {
        "title": f"{run}: test accuracy; shaded where it held .99",
        "width": 300,
        "height": 110,
        "layer": [
            {
                "data": {"values": stretches},
                "mark": {"type": "rect", "color": "#7fa650", "opacity": 0.35},
                "encoding": {"x": {"field": "from", **LINEAR}, "x2": {"field": "to"}},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "line", "color": INK},
                "encoding": {
                    "x": {"field": "step", **LINEAR},
                    "y": {"field": "test_accuracy", "type": "quantitative", "title": "accuracy"},
                },
            },
        ],
    }


def part(pair: dict[str, Any]) -> str:
    """Which of the three parts of the table a pair belongs to."""
    if pair["split"] == "train":
        return TRAIN
    return MIRRORED if pair["mirror_in_train"] else OTHERS


def learnt(url: str, run: str) -> dict[str, Any]:
    """Share of the pairs of each part that are right from a step on, up to the end."""
    rows, answer = [], get(f"{url}/pairs")
    for name, members in groupby(sorted(answer["pairs"], key=part), part):
        found = [pair["step"] for pair in members]
        steps = sorted({step for step in found if step is not None} | {answer["last_step"]})
        rows += [
            {
                "step": max(step, 1),
                "share": sum(one is not None and one <= step for one in found) / len(found),
                "pairs": name,
            }
            for step in steps
        ]
    return {
        "title": f"{run}: share of pairs learnt for good",
        "width": 300,
        "height": 110,
        "data": {"values": rows},
        "mark": {"type": "line", "interpolate": "step-after"},
        "encoding": {
            "x": {"field": "step", **LOGARITHM},
            "y": {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1]}},
            "color": {
                "field": "pairs",
                "type": "nominal",
                "title": None,
                "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())},
            },
        },
    }


def facts(url: str, run: str) -> str:
    """A row of the table beside the picture."""
    answer, emergence = get(f"{url}/pairs"), get(f"{url}/emergence")
    mirror = answer["mirror"]
    then = mirror["memorised"]
    pairs = sorted(answer["pairs"], key=part)
    halves = {}
    for name, members in groupby(pairs, part):
        steps = sorted(inf if one["step"] is None else one["step"] for one in members)
        halves[name] = steps[(len(steps) + 1) // 2 - 1]
    share = f"{then['step']:,}: {then['right_mirrored']:,} of {then['right']:,}"
    medians = " | ".join(f"{halves[name]:,}" for name in COLOURS)
    stretches = ", ".join(
        f"{one['gained']['step']:,} to {one['lost']['step']:,}"
        if one["lost"]
        else f"{one['gained']['step']:,} to the end"
        for one in emergence["intervals"]
    )
    whole = f"{mirror['mirrored']:,} of {mirror['test_pairs']:,}"
    return f"| `{run}` | {whole} | {share} | {medians} | {stretches} |"


def charts(urls: dict[str, str]) -> list[Any]:
    """Two of each run."""
    return [draw(url, run) for run, url in urls.items() for draw in (held, learnt)]


if __name__ == "__main__":
    raise SystemExit(write_charts(TARGET, RUNS, charts, facts))
