"""The circle forming, as a file: a moving picture (gif, mp4) or a sheet of moments (png)."""

import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from grokprobe import Client
from grokprobe.cli.reports.asking import ask
from grokprobe.cli.reports.drawing import MOST_FRAMES, Circle, Story, frame, moments, sheet
from grokprobe.colours import THEMES
from grokprobe.errors import InvalidInput

FRAME_MS, LAST_MS = 120, 3000
PER_SECOND = 25  # of mp4, which shows each frame for a whole number of these
SIGNS = {"add": "a + b", "sub": "a - b", "mul": "a b", "div": "a / b"}
MOST_KEYS = 8  # that are named
FFMPEG_S = 600
SPLITS = ("train", "test")


def check_kind(kind: str) -> None:
    """Raise InvalidInput if a file of this kind cannot be made here."""
    if kind == ".mp4" and shutil.which("ffmpeg") is None:
        advice = "install it, or name a .gif, which needs nothing"
        raise InvalidInput("--output", f".mp4 needs ffmpeg, which is not on PATH; {advice}")


def story_of(client: Client, run: str, frequency: int | None) -> Story:
    """What is drawn of a run, from a service's answers. Raises InvalidInput, ClientError."""
    path = f"runs/{quote(run, safe='')}"
    facts = _answer(client, path, "RUN")
    names = ("train_accuracy", "test_accuracy", "accuracy")
    plane = _answer(
        client,
        f"{path}/coordinates" + ("" if frequency is None else f"?frequency={frequency}"),
        "RUN" if frequency is None else "--frequency",
    )
    rows = {row["step"]: row for row in plane["coordinates"]}
    if not rows:
        raise InvalidInput("RUN", f"{run} has no checkpoint yet")
    emergence = _answer(client, f"{path}/emergence", "RUN")
    measures = f"{path}/trajectory?measures={','.join(names)}"
    measured = _answer(client, measures, "RUN")["trajectory"]
    by_step = {row["step"]: row for row in measured if row["step"] in rows}
    steps = sorted(by_step)
    lines = {name: [by_step[step][name] for step in steps] for name in names}
    accuracies = {
        name: lines[f"{name}_accuracy"] for name in SPLITS if _known(lines[f"{name}_accuracy"])
    }
    if not accuracies and _known(lines["accuracy"]):
        accuracies = {"all pairs": lines["accuracy"]}
    order, k = plane["basis"]["order"], plane["frequency"]
    return Story(
        title=f"{run}: {_task(facts['task'])}",
        keys=_keys(facts["key_frequencies"] or [], emergence["provisional"]),
        steps=steps,
        residues=plane["residues"],
        turns=[k * element % order / order for element in range(len(plane["residues"]))],
        frequency=k,
        circles=[_circle(rows[step]) for step in steps],
        accuracies=accuracies,
        held={name: _bracket(emergence[name]) for name in ("memorised", "generalised")},
        words=_words(emergence, accuracies),
    )


def _bracket(found: dict[str, Any] | None) -> tuple[int | None, int] | None:
    return (found["previous_step"], found["step"]) if found else None


def _words(emergence: dict[str, Any], accuracies: dict[str, list[float | None]]) -> list[str]:
    """When the run memorised and generalised, or that nobody can know."""
    told = []
    for name, split in (("memorised", "train"), ("generalised", "test")):
        found, so_far = emergence[name], " so far" if emergence["provisional"] else ""
        if split not in accuracies:
            told.append(f"{split} accuracy is not known")
        elif found is None:
            told.append(f"not {name}{so_far}")
        elif name == "generalised" and emergence["lost"]:
            first = emergence["intervals"][0]["gained"]["step"]
            told.append(f"{name} at step {first:,}, for good at {found['step']:,}")
        else:
            told.append(f"{name} at step {found['step']:,}")
    return told


def _known(line: list[float | None]) -> bool:
    return any(value is not None for value in line)


def _answer(client: Client, path: str, about: str) -> Any:
    answer, why = ask(client, path)
    if answer is None:
        advice = "; its page can be had of every run: -o NAME.html" if "coordinates" in path else ""
        raise InvalidInput(about, f"{why}{advice}")
    return json.loads(answer)


def _task(task: dict[str, Any]) -> str:
    operation = task["operation"]
    return f"{SIGNS.get(operation, operation)} mod {task['modulus']}"


def _keys(keys: list[int], provisional: bool) -> str:
    named = ", ".join(map(str, keys[:MOST_KEYS]))
    more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
    none = "no key frequencies so far" if provisional else "no key frequencies"
    return f"key frequencies {named}{more}" if keys else none


def _circle(row: dict[str, Any]) -> Circle:
    points = [
        None if x is None or y is None else (x, y) for x, y in zip(row["x"], row["y"], strict=True)
    ]
    return Circle(points, row["explained_share"], row["r_squared"])


def film(story: Story, kind: str, theme: str) -> bytes:
    """The file's bytes; the same for the same run. Raises InvalidInput."""
    colours = THEMES[theme]
    if kind == ".png":
        return _png(sheet(story, colours))
    frames = [frame(story, at, colours) for at in moments(story, MOST_FRAMES)]
    return _gif(frames) if kind == ".gif" else _mp4(frames)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _gif(frames: list[Image.Image]) -> bytes:
    """All frames with one table of 128 colours, so that what stands still is written once.

    The background, which each frame has in its corner, is exact: a page around it has it, too.
    """
    both = Image.new("RGB", (frames[0].width, 2 * frames[0].height))
    both.paste(frames[0], (0, 0))
    both.paste(frames[-1], (0, frames[0].height))
    table = both.quantize(128, dither=Image.Dither.NONE)
    drawn = [one.quantize(palette=table, dither=Image.Dither.NONE) for one in frames]
    colours = table.getpalette() or []
    place = 3 * drawn[0].tobytes()[0]
    colours[place : place + 3] = frames[0].tobytes()[:3]
    for one in drawn:
        one.putpalette(colours)
    times = [FRAME_MS] * (len(drawn) - 1) + [LAST_MS]
    file = io.BytesIO()
    drawn[0].save(
        file, "GIF", save_all=True, append_images=drawn[1:], duration=times, loop=0, optimize=False
    )
    return file.getvalue()


def _mp4(frames: list[Image.Image]) -> bytes:
    size = f"{frames[0].width}x{frames[0].height}"
    times = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    raw = b"".join(
        one.tobytes() * round(PER_SECOND * time / 1000)
        for one, time in zip(frames, times, strict=True)
    )
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "film.mp4"
        command = [
            *("ffmpeg", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size),
            *("-r", str(PER_SECOND), "-i", "-", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
            *("-fflags", "+bitexact", "-map_metadata", "-1", str(target)),
        ]
        done = subprocess.run(
            command, input=raw, capture_output=True, check=False, timeout=FFMPEG_S
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise InvalidInput("--output", f"ffmpeg failed: {''.join(said)}; name a .gif")
        return target.read_bytes()
