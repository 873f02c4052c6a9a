"""The picture of the presets, from a service that has their runs: docs/presets.svg.

python -m tools.presets [http://127.0.0.1:8000]

The runs are called as their presets; `clock` is pizza with `--set model.attention_rate=1`.
"""

from pathlib import Path
from typing import Any

from grokprobe.colours import LIGHT
from tools.picture import get, write_charts

TARGET = Path(__file__).parents[1] / "docs" / "presets.svg"
RUNS = {
    "mainline": "mainline: Nanda et al. 2023",
    "power": "power: Power et al. 2022",
    "gromov": "gromov: Gromov 2023",
    "pizza": "pizza, attention rate 0: Zhong et al. 2023",
    "clock": "pizza, attention rate 1",
}


def chart(title: str, value: str, rows: list[dict[str, Any]], colours: dict[str, str]) -> Any:
    """Lines over the logarithm of the step; a colour for each series."""
    scale = {"domain": list(colours), "range": list(colours.values())}
    return {
        "title": title,
        "width": 300,
        "height": 110,
        "data": {"values": [row for row in rows if row["step"]]},
        "mark": "line",
        "encoding": {
            "x": {
                "field": "step",
                "type": "quantitative",
                "scale": {"type": "log", "nice": False},
                "axis": {"grid": False},
            },
            "y": {"field": value, "type": "quantitative", "scale": {"domain": [0, 1]}},
            "color": {"field": "series", "type": "nominal", "title": None, "scale": scale},
        },
    }


def accuracies(url: str, title: str) -> Any:
    """Train and test accuracy of a run."""
    names = {"train": "train_accuracy", "test": "test_accuracy"}
    rows = [
        {"step": row["step"], "accuracy": row[name], "series": words}
        for row in get(f"{url}/trajectory")["trajectory"]
        for words, name in names.items()
    ]
    return chart(title, "accuracy", rows, {"train": LIGHT.train, "test": LIGHT.test})


def symmetricities(urls: dict[str, str]) -> Any:
    """Gradient symmetricity of both ends of attention rate."""
    name = "gradient_symmetricity"
    rows = [
        {"step": row["step"], "symmetricity": row[name], "series": words}
        for words, run in (("rate 0", "pizza"), ("rate 1", "clock"))
        for row in get(f"{urls[run]}/trajectory?measures={name}")["trajectory"]
    ]
    colours = {"rate 0": LIGHT.key, "rate 1": LIGHT.restricted}
    return chart("gradient symmetricity by attention rate", "symmetricity", rows, colours)


def facts(url: str, _: str) -> str:
    """A row of the table beside the picture."""
    run = get(url)
    last = get(f"{url}/checkpoints/latest")["measures"]
    found = last["gradient_symmetricity"]
    symmetricity = "none" if found is None else f"{found:.3f}"
    keys = ", ".join(map(str, run["key_frequencies"] or [])) or "none"
    steps = f"{run['memorised_step']} | {run['generalised_step']} | {run['latest_step']}"
    return f"| {run['run']} | {steps} | {last['test_accuracy']:.4f} | {keys} | {symmetricity} |"


def charts(urls: dict[str, str]) -> list[Any]:
    """One of each run, and one of two of them."""
    return [*(accuracies(urls[run], title) for run, title in RUNS.items()), symmetricities(urls)]


if __name__ == "__main__":
    raise SystemExit(write_charts(TARGET, RUNS, charts, facts))
