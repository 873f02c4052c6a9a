"""The picture of when pairs are learnt, and lost again, from a service: docs/learning.svg.

python -m tools.learning [http://127.0.0.1:8000]

The runs are called as their presets. Beside the picture, the rows of the table under it.
"""

from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any

from grokprobe.colours import LIGHT
from service.charts.axes import step_axis
from service.charts.frame import headline
from service.charts.run.pairs import MIRRORED, OTHERS, TRAIN, part, shares
from tools.picture import get, write_charts

TARGET = Path(__file__).parents[1] / "docs" / "learning.svg"
RUNS = ("quickstart", "mainline", "power")
WIDTH = 360  # pixels
SIZE = {"width": WIDTH, "height": 130}


def held(url: str, run: str) -> dict[str, Any]:
    """Test accuracy over the run, the stretches in which it was at least 0.99 shaded."""
    rows = get(f"{url}/trajectory")["trajectory"]
    steps = [row["step"] for row in rows]
    last, x = steps[-1], step_axis(steps)
    stretches = [
        {"from": one["gained"]["step"], "to": (one["lost"] or {"step": last})["step"]}
        for one in get(f"{url}/emergence")["intervals"]
    ]
    return {
        "title": headline(f"{run}: test accuracy; shaded where it held .99", width=WIDTH),
        **SIZE,
        "layer": [
            {
                "data": {"values": stretches},
                "mark": {"type": "rect", "color": LIGHT.key, "opacity": 0.25},
                "encoding": {"x": {"field": "from", **x}, "x2": {"field": "to"}},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "line", "color": LIGHT.test},
                "encoding": {
                    "x": {"field": "step", **x},
                    "y": {"field": "test_accuracy", "type": "quantitative", "title": "accuracy"},
                },
            },
        ],
    }


def learnt(url: str, run: str) -> dict[str, Any]:
    """Share of the pairs of each part that are right from a step on, up to the end."""
    title = headline(f"{run}: share of pairs learnt for good", width=WIDTH)
    return shares(get(f"{url}/pairs"), LIGHT) | {"title": title, **SIZE}


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
    medians = " | ".join(f"{halves[name]:,}" for name in (TRAIN, MIRRORED, OTHERS))
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
