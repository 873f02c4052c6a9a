"""`grokprobe report -o NAME.gif`, .png and .mp4: the circle forming beside accuracy."""

import io
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from grokprobe import Client
from grokprobe.cli.reports.drawing import Circle, Story, frame, moments, percent, sheet
from grokprobe.cli.reports.film import film, story_of
from grokprobe.colours import THEMES
from tests.cli.test_report import ROOT, report
from tests.support.served import PATIENCE_S, Served, environment, eventually
from tests.support.trained import TINY_STEPS, Trained


def told(steps: list[int], **changes: Any) -> Story:
    """A run whose four residues turn by one place at each checkpoint."""
    corners = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]
    circles = [
        Circle([corners[(place + at) % 4] for place in range(4)], 0.5, 0.9)
        for at in range(len(steps))
    ]
    known: dict[str, Any] = {
        "title": "told: a + b mod 4",
        "keys": "key frequencies 1",
        "steps": steps,
        "residues": list(range(4)),
        "turns": [0.0, 0.25, 0.5, 0.75],
        "frequency": 1,
        "circles": circles,
        "accuracies": {"train": [1.0] * len(steps), "test": [0.5] * len(steps)},
        "held": {"memorised": (None, steps[0]), "generalised": None},
        "words": ["memorised at step 0", "not generalised"],
    }
    return Story(**known | changes)


def colours(image: Image.Image) -> set[str]:
    """All of an image."""
    found = image.convert("RGB").getcolors(2**24)
    assert found is not None
    return {"#" + bytes(colour).hex() for _, colour in found if isinstance(colour, tuple)}


def test_a_moving_picture_and_a_sheet(trained: Trained, served: Served, tmp_path: Path) -> None:
    """One frame for each checkpoint, the last one held; the same bytes each time; both themes."""
    files = [tmp_path / name for name in ("a.gif", "b.gif", "sheet.png")]
    for path in files:
        done = report(trained.settings, "tiny", "-o", str(path), "--url", served.url)
        assert (done.returncode, done.stderr) == (0, "")
    assert files[0].read_bytes() == files[1].read_bytes()
    with Image.open(files[0]) as gif:
        times = [one.info["duration"] for one in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert sum(times) > (len(TINY_STEPS) - 1) * times[0]
    assert times[-1] == max(times) > times[0]
    dark = tmp_path / "dark.png"
    asked = ("--theme", "dark", "--frequency", "1", "--url", served.url)
    assert report(trained.settings, "tiny", "-o", str(dark), *asked).returncode == 0
    for path, theme in ((files[2], "light"), (dark, "dark")):
        with Image.open(path) as image:
            assert {THEMES[theme].background, THEMES[theme].test} <= colours(image)


def test_what_is_drawn_is_what_the_api_answers(served: Served) -> None:
    """Coordinates, accuracies and what held when, at every step."""
    base = f"{served.url}/v1/runs/tiny"
    with Client(served.url, cache=False) as client:
        story = story_of(client, "tiny", 2)
    plane = httpx.get(f"{base}/coordinates?frequency=2").json()
    measured = httpx.get(f"{base}/trajectory?measures=train_accuracy,test_accuracy").json()
    facts = httpx.get(base).json()
    assert list(story.steps) == [row["step"] for row in plane["coordinates"]] == TINY_STEPS
    for circle, row in zip(story.circles, plane["coordinates"], strict=True):
        assert circle.points == list(zip(row["x"], row["y"], strict=True))
        assert (circle.explained, circle.r_squared) == (row["explained_share"], row["r_squared"])
    for name in ("train", "test"):
        assert story.accuracies[name] == [r[f"{name}_accuracy"] for r in measured["trajectory"]]
    for name, found in story.held.items():
        step = facts[f"{name}_step"]
        assert found == (step and (found[0] if found else None, step))
        assert (f"{name} at step {step:,}" if step is not None else f"not {name}") in "; ".join(
            story.words
        )
    assert story.frequency == 2


@pytest.mark.parametrize("theme", THEMES)
def test_each_residue_stands_where_it_is_told_in_its_hue(theme: str) -> None:
    """Right, above, left, below; a checkpoint later a quarter turn on."""
    hues = [THEMES[theme].cyclic[0]]
    story = told([0, 10, 20])
    for at, place in enumerate([(0.94, 0.5), (0.5, 0.06), (0.06, 0.5)]):
        image = frame(story, at, THEMES[theme])
        side = image.height - 62
        x = 24 + side * (0.5 + (place[0] - 0.5) / 0.44 * 0.5 / 1.08)
        y = 36 + side * (0.5 + (place[1] - 0.5) / 0.44 * 0.5 / 1.08)
        beside = image.crop((int(x) - 6, int(y) - 6, int(x) + 7, int(y) + 7))
        assert set(hues) <= colours(beside), (at, x, y)


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=200, unique=True).map(sorted),
    st.integers(2, 60),
    st.data(),
)
def test_moments(steps: list[int], most: int, data: st.DataObject) -> None:
    """In order, each once, as many as there may be; both ends and what held are among them."""
    step = data.draw(st.none() | st.sampled_from(steps))
    held = {"memorised": None if step is None else (None, step), "generalised": None}
    chosen = moments(told(steps, held=held), most)
    assert all(a < b for a, b in pairwise(chosen))
    assert len(chosen) == min(most, len(steps))
    assert chosen[-1] == len(steps) - 1
    if most > 2:
        assert chosen[0] == 0
        assert step is None or steps.index(step) in chosen


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "changes",
    [
        {"accuracies": {}},
        {"accuracies": {"all pairs": [None, 0.5, None]}},
        {"accuracies": {"train": [1.0, None, 1.0], "test": [None, 0.5, 0.0]}},
        {"circles": [Circle([None] * 4, None, None)] * 3},
        {"circles": [Circle([(0.0, 0.0)] * 4, 0.0, None)] * 3},
        {"keys": "no key frequencies", "held": {"memorised": None, "generalised": None}},
    ],
    ids=["no accuracy", "of all pairs", "gaps", "no coordinates", "all in one point", "never"],
)
def test_what_a_run_lacks_is_left_out(changes: dict[str, Any], theme: str) -> None:
    """Every kind of file is made all the same, also of one checkpoint."""
    story = told([0, 10, 20], **changes)
    assert film(story, ".gif", theme).startswith(b"GIF89a")
    with Image.open(io.BytesIO(film(story, ".png", theme))) as image:
        assert image.format == "PNG"
    for one in (told([7]), told([0])):
        assert frame(one, 0, THEMES[theme]).size == frame(story, 0, THEMES[theme]).size
        assert sheet(one, THEMES[theme]).width == sheet(story, THEMES[theme]).width


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0 %"),
        (1e-9, "0.1 %"),
        (0.5, "50 %"),
        (0.796, "79.6 %"),
        (0.99999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_percent(value: float, words: str) -> None:
    """All is told of all alone, nothing of nothing alone."""
    assert percent(value) == words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody", "-o", "x.gif"), "nobody"),
        (("tiny", "-o", "x.webm"), ".html, .gif, .png or .mp4"),
        (("tiny", "-o", "x"), ".html, .gif, .png or .mp4"),
        (("tiny", "-o", "no/such/x.gif"), "no such folder"),
        (("tiny", "-o", "/proc/x.gif"), "cannot be written"),
        (("tiny", "-o", "x.png", "--frequency", "0"), "frequency"),
        (("tiny", "-o", "x.gif", "--frequency", "999"), "frequency"),
        (("tiny", "-o", "x.html", "--theme", "dark"), "--theme"),
        (("tiny", "-o", "x.html", "--frequency", "1"), "--frequency"),
    ],
)
def test_what_it_cannot_do(
    trained: Trained, served: Served, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """One line, exit status 2, and no file."""
    run, option, name, *rest = arguments
    given = (run, option, str(tmp_path / name), *rest, "--url", served.url)
    done = report(trained.settings, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_mp4(trained: Trained, served: Served, tmp_path: Path) -> None:
    """By ffmpeg where it is there; else one line that says what to do."""
    target = tmp_path / "x.mp4"
    done = report(trained.settings, "tiny", "-o", str(target), "--url", served.url)
    if shutil.which("ffmpeg"):
        assert (done.returncode, done.stderr) == (0, "")
        assert target.read_bytes()[4:8] == b"ftyp"
    else:
        assert done.returncode == 2
        assert "ffmpeg" in done.stderr
        assert not target.exists()


def test_the_background_is_the_page_s() -> None:
    """Exactly, in both themes: no box is seen around a moving picture."""
    for name, theme in THEMES.items():
        with Image.open(io.BytesIO(film(told([0, 10, 20]), ".gif", name))) as gif:
            for one in ImageSequence.Iterator(gif):
                pixel = one.convert("RGB").getpixel((0, 0))
                assert isinstance(pixel, tuple)
                assert "#" + bytes(pixel).hex() == theme.background


def test_ended_by_a_signal_it_leaves_nothing(
    trained: Trained, scratch: Path, tmp_path: Path
) -> None:
    """Neither its service nor a folder nor half a file."""
    command = [sys.executable, "-m", "grokprobe", "report", "tiny", "-o", str(tmp_path / "x.gif")]
    given = environment(trained.settings) | {"TMPDIR": str(scratch)}
    with subprocess.Popen(command, env=given, cwd=ROOT) as process:
        assert eventually(lambda: any(scratch.glob("*/service.log")))
        process.terminate()
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "x.gif").exists()
