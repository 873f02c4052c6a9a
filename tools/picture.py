"""The README's picture, from a running service: `make picture` while `make demo` serves.

python -m tools.picture [http://127.0.0.1:8000/v1/runs/quickstart]
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import vl_convert

from grokprobe.settings import read_settings

TARGET = Path(__file__).parents[1] / "docs" / "emergence.svg"
INK, QUIET = "#1f4e79", "#c8553d"
# Room on the right: the reader's letters may be wider than those that the legend was measured by.
PADDING = {"left": 5, "top": 5, "right": 25, "bottom": 5}
CURVES = {
    "train_accuracy": ("train accuracy", QUIET),
    "restricted_accuracy": ("restricted accuracy", "#e0a030"),
    "test_accuracy": ("test accuracy", INK),
    "key_share": ("key share", "#7fa650"),
}


def get(url: str) -> Any:
    """The JSON at a URL."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def write_charts(
    target: Path,
    runs: Iterable[str],
    charts: Callable[[dict[str, str]], list[Any]],
    facts: Callable[[str, str], str],
) -> int:
    """Charts of some runs in two columns, and a row of facts printed for each.

    Both are given URLs by run. Exit code 2 if the service, the first argument or that of the
    settings, does not answer for all of them.
    """
    base = sys.argv[1] if len(sys.argv) > 1 else read_settings().url
    urls = {run: f"{base}/v1/runs/{run}" for run in runs}
    try:
        drawn = charts(urls)
        print(*(facts(url, run) for run, url in urls.items()), sep="\n")
    except urllib.error.URLError as error:
        print(f"error: {base} does not answer for all of {', '.join(urls)} ({error.reason})")
        return 2
    picture = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "padding": PADDING,
        "columns": 2,
        "concat": drawn,
        "resolve": {"scale": {"x": "independent", "color": "independent"}},
    }
    target.write_text(vl_convert.vegalite_to_svg(picture))
    print(f"wrote {target}")
    return 0


def curve(run: str) -> dict[str, Any]:
    """Accuracy over the run, and the two ways in which structure emerges beside it."""
    names = ",".join(CURVES)
    rows = [
        {"step": row["step"], "value": row[name], "series": words}
        for row in get(f"{run}/trajectory?measures={names}")["trajectory"]
        for name, (words, _) in CURVES.items()
    ]
    words, colours = zip(*CURVES.values(), strict=True)
    return {
        "title": "Memorised first, generalised later; the function before the embedding",
        "width": 660,
        "height": 130,
        "data": {"values": rows},
        "mark": {"type": "line", "point": {"size": 8}},
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "title": "step"},
            "y": {"field": "value", "type": "quantitative", "title": "accuracy, share"},
            "color": {
                "field": "series",
                "type": "nominal",
                "title": None,
                "sort": list(words),
                "scale": {"domain": list(words), "range": list(colours)},
            },
        },
    }


def circle(run: str, step: int, frequency: int, reach: float) -> dict[str, Any]:
    """The residues in the plane of a frequency; colour follows the angle they should have."""
    answer = get(f"{run}/checkpoints/{step}/embedding?frequency={frequency}")
    report, p = answer["circle"], answer["basis"]["order"]
    rows = [{**row, "turn": row["residue"] * frequency % p / p} for row in answer["coordinates"]]
    best = report["null"]["max"]
    fit = f"r² {report['r_squared']:.2f}; the best of 200 permutations reaches {best:.2f}"
    axis = {"type": "quantitative", "scale": {"domain": [-reach, reach]}}
    return {
        "title": {"text": f"Step {step}: the plane of frequency {frequency}", "subtitle": fit},
        "width": 300,
        "height": 300,
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "circle", "size": 170, "opacity": 0.75}},
            {
                "mark": {"type": "text", "fontSize": 8, "color": "white"},
                "encoding": {"text": {"field": "residue"}, "color": {"value": "white"}},
            },
        ],
        "encoding": {
            "x": {"field": "x", "title": None, **axis},
            "y": {"field": "y", "title": None, **axis},
            "color": {
                "field": "turn",
                "type": "quantitative",
                "scale": {"scheme": "rainbow"},
                "legend": None,
            },
        },
    }


def spectrum(run: str, step: int) -> dict[str, Any]:
    """The share of each frequency."""
    answer = get(f"{run}/checkpoints/{step}/spectrum")
    return {
        "title": {"text": f"Step {step}: share of the embedding's power by frequency"},
        "width": 300,
        "height": 130,
        "data": {"values": answer["spectrum"]},
        "mark": {"type": "bar", "color": INK},
        "encoding": {
            "x": {
                "field": "frequency",
                "type": "ordinal",
                "axis": {"labelOverlap": True, "labelAngle": 0},
            },
            "y": {
                "field": "share",
                "type": "quantitative",
                "title": "share",
                "scale": {"domain": [0, 0.35]},
            },
        },
    }


def picture(run: str) -> dict[str, Any]:
    """Accuracy over the run; circle and spectrum when it had memorised, and at its end."""
    about = get(run)
    steps = [about["memorised_step"], about["latest_step"]]
    last = get(f"{run}/checkpoints/latest/embedding")
    reach = 1.15 * max(abs(row[axis]) for row in last["coordinates"] for axis in "xy")
    planes = [circle(run, step, last["frequency"], reach) for step in steps]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "padding": PADDING,
        "vconcat": [
            curve(run),
            {"hconcat": planes},
            {"hconcat": [spectrum(run, step) for step in steps]},
        ],
        "resolve": {"scale": {"color": "independent"}},
    }


def main() -> int:
    """Write the picture; exit code 2 if nobody answers."""
    settings = read_settings()
    default = f"{settings.url}/v1/runs/quickstart"
    run = sys.argv[1] if len(sys.argv) > 1 else default
    try:
        TARGET.write_text(vl_convert.vegalite_to_svg(picture(run)))
    except urllib.error.URLError as error:
        print(
            f"error: {run} does not answer ({error.reason}); start `make demo` first, or name a run"
        )
        return 2
    print(f"wrote {TARGET}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
