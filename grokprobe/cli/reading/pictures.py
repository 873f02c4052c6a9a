"""What a terminal shows of a run: accuracy over steps, and the circle as it forms."""

from collections.abc import Sequence

import numpy as np
from rich.columns import Columns
from rich.console import Console, Group
from rich.text import Text

from grokprobe.cli.reading.braille import Canvas
from grokprobe.client.records import CoordinatesAnswer, RunAnswer, TrajectoryAnswer
from grokprobe.colours import LIGHT, blends

WIDTH, HEIGHT = 60, 8  # characters
CIRCLE = (22, 11)  # twice as many dots across as down are a square
AXIS = "─"


def drawable(console: Console) -> bool:
    """Whether the terminal has the characters."""
    return not console.options.ascii_only


def accuracy(about: RunAnswer, answer: TrajectoryAnswer) -> Group:
    """Train and test accuracy over the steps, which are further apart at the beginning."""
    steps = np.array([row["step"] for row in answer.trajectory], float)
    last = max(steps[-1], 1.0)
    places = np.log1p(steps) / np.log1p(last)
    canvas = Canvas(WIDTH, HEIGHT)
    for name, colour in (("train_accuracy", LIGHT.train), ("test_accuracy", LIGHT.test)):
        canvas.line(places, [_number(row.get(name)) for row in answer.trajectory], colour)
    named = (about.memorised_step, about.generalised_step, about.first_step, about.latest_step)
    marks = [step for step in named if step is not None]
    title = Text.assemble(
        "accuracy of ", ("train", LIGHT.train), " and ", ("test", LIGHT.test), " pairs by step"
    )
    rows = [
        Text.assemble(f"{label:>3} │", line)
        for label, line in zip(_labels(HEIGHT), canvas.lines(), strict=True)
    ]
    return Group(title, *rows, Text(f"    └{AXIS * WIDTH}"), _ticks(marks, last))


def _labels(rows: int) -> list[str]:
    return ["1", *[""] * (rows - 2), "0"]


def _ticks(steps: Sequence[int], last: float) -> Text:
    """The steps below their places; one that would touch another is left out."""
    line = [" "] * (WIDTH + 8)
    for step in steps:
        word = str(step)
        start = round(np.log1p(step) / np.log1p(last) * (WIDTH - 1)) + 5 - len(word) // 2
        start = max(start, 4)
        if all(c == " " for c in line[start - 1 : start + len(word) + 1]):
            line[start : start + len(word)] = word
    return Text("".join(line).rstrip())


def circles(answer: CoordinatesAnswer, steps: Sequence[tuple[str, int]]) -> Columns:
    """The residues in the plane of one frequency at some steps, in cyclic colours.

    All on the scale of the last: a small figure is a weak one.
    """
    rows = {row.step: row for row in answer.coordinates}
    shown = [(title, rows[step]) for title, step in steps if step in rows]
    count = len(answer.residues)
    colours = blends((*LIGHT.cyclic, LIGHT.cyclic[0]), np.arange(count) / count)
    reach = 1.1 * max((np.hypot(r.x, r.y).max() for _, r in shown[-1:]), default=1.0) or 1.0
    pictures = []
    for title, row in shown:
        canvas = Canvas(*CIRCLE)
        x, y = (0.5 + 0.5 * np.asarray(v, float) / reach for v in (row.x, row.y))
        canvas.draw(x, y, colours)
        heading = Text(f"{title}, step {row.step}".center(CIRCLE[0]))
        pictures.append(Group(heading, *canvas.lines()))
    return Columns(pictures, padding=(0, 2))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
