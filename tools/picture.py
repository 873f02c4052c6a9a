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

from grokprobe.colours import LIGHT
from grokprobe.settings import read_settings
from service.charts.circle import circle, reach_of
from service.charts.frame import Spec, frame, headline, own_legends
from service.charts.run.trajectory import DRAWN, trajectory
from service.charts.spectrum import spectrum

TARGET = Path(__file__).parents[1] / "docs" / "emergence.svg"
WIDTH = 930  # pixels, of the panels over steps: those of two charts below them


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
    independent = {"scale": {"x": "independent", "color": "independent"}}
    picture = {"columns": 2, "concat": drawn, "resolve": independent}
    target.write_text(vl_convert.vegalite_to_svg(frame(picture, LIGHT, [])))
    print(f"wrote {target}")
    return 0


def over_steps(run: str) -> Spec:
    """Losses, accuracies and key share over the run, and what emerged when."""
    names = ",".join(name for name in DRAWN if name != "weight_norm")
    answer = get(f"{run}/trajectory?measures={names}")
    chart = trajectory(answer, LIGHT, emergence=get(f"{run}/emergence"))
    panels = [panel | {"width": WIDTH} for panel in chart["vconcat"]]
    return chart | {"vconcat": panels}


def at_step(step: int, drawn: Spec) -> Spec:
    """A chart of one checkpoint, whose title says which."""
    title = drawn["title"]
    named = headline(f"Step {step:,}: {' '.join(title['text'])}", width=drawn["width"])
    return drawn | {"title": {**named, "subtitle": title["subtitle"]}}


def picture(run: str) -> Spec:
    """The run over its steps; circle and spectrum when it had memorised, and at its end.

    Both circles have one scale, and so have both spectra.
    """
    about = get(run)
    steps = [about["memorised_step"], about["latest_step"]]
    frequency = get(f"{run}/checkpoints/latest/embedding")["frequency"]
    planes, spectra = (
        [get(f"{run}/checkpoints/{step}/{what}") for step in steps]
        for what in (f"embedding?frequency={frequency}", "spectrum")
    )
    reach = max(map(reach_of, planes))
    top = max(row["share"] or 0 for answer in spectra for row in answer["spectrum"])
    drawn = [circle(answer, LIGHT, reach=reach) for answer in planes]
    drawn += [spectrum(answer, LIGHT, top=1.12 * top) for answer in spectra]
    below = [at_step(step, chart) for step, chart in zip(steps * 2, drawn, strict=True)]
    charts = {"columns": 2, "concat": below, "spacing": 30, "resolve": own_legends()}
    whole = {"vconcat": [over_steps(run), charts], "spacing": 30, "resolve": own_legends()}
    keys = ", ".join(map(str, about["key_frequencies"] or [])) or "none"
    return frame(whole, LIGHT, [f"run {about['run']}; key frequencies {keys}"])


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
