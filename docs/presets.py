"""The picture of the presets, from a service that has their runs: docs/presets.svg.

python -m docs.presets [http://127.0.0.1:8000]

The runs are called as their presets; `clock` is pizza with `--set model.attention_rate=1`.
"""

import sys
import urllib.error
from pathlib import Path
from typing import Any

import vl_convert

from docs.picture import INK, QUIET, get
from grokprobe.settings import read_settings

TARGET = Path(__file__).with_name("presets.svg")
RUNS = {
    "mainline": "mainline: Nanda et al. 2023",
    "power": "power: Power et al. 2022",
    "gromov": "gromov: Gromov 2023",
    "pizza": "pizza, attention rate 0: Zhong et al. 2023",
    "clock": "pizza, attention rate 1",
}
CURVES = {"train_accuracy": ("train", QUIET), "test_accuracy": ("test", INK)}


def curve(url: str, title: str) -> dict[str, Any]:
    """Both accuracies of a run, over the logarithm of the step."""
    rows = [
        {"step": row["step"], "accuracy": row[name], "pairs": words}
        for row in get(f"{url}/trajectory")["trajectory"]
        for name, (words, _) in CURVES.items()
        if row["step"]
    ]
    words, colours = zip(*CURVES.values(), strict=True)
    return {
        "title": title,
        "width": 300,
        "height": 110,
        "data": {"values": rows},
        "mark": {"type": "line", "point": {"size": 6}},
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "scale": {"type": "log"}},
            "y": {"field": "accuracy", "type": "quantitative", "scale": {"domain": [0, 1]}},
            "color": {
                "field": "pairs",
                "type": "nominal",
                "scale": {"domain": list(words), "range": list(colours)},
            },
        },
    }


def facts(url: str) -> str:
    """A row of the table beside the picture."""
    run = get(url)
    last = get(f"{url}/checkpoints/latest")["measures"]
    found = last["gradient_symmetricity"]
    symmetricity = "none" if found is None else f"{found:.3f}"
    keys = ", ".join(map(str, run["key_frequencies"] or [])) or "none"
    steps = f"{run['memorised_step']} | {run['generalised_step']} | {run['latest_step']}"
    return f"| {run['run']} | {steps} | {last['test_accuracy']:.4f} | {keys} | {symmetricity} |"


def main() -> int:
    """Write the picture and print the table; exit code 2 if nobody answers."""
    settings = read_settings()
    base = sys.argv[1] if len(sys.argv) > 1 else f"http://{settings.host}:{settings.port}"
    urls = {run: f"{base}/v1/runs/{run}" for run in RUNS}
    try:
        charts = [curve(urls[run], title) for run, title in RUNS.items()]
        print(*(facts(url) for url in urls.values()), sep="\n")
    except urllib.error.URLError as error:
        print(f"error: {base} does not answer for all of {', '.join(RUNS)} ({error.reason})")
        return 2
    picture = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "columns": 2,
        "concat": charts,
        "resolve": {"scale": {"x": "independent"}},
    }
    TARGET.write_text(vl_convert.vegalite_to_svg(picture))
    print(f"wrote {TARGET}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
