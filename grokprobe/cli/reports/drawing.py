"""The circle forming beside accuracy, as a moving picture or a sheet of moments.

Pure drawing: what is told of a run in, images out.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from grokprobe.cli.reports.pen import Box, Pen, Point
from grokprobe.colours import Theme, blend

WIDTH, HEIGHT = 720, 372  # pixels of a frame
SHEET = (3, 2)  # columns and rows of a sheet's moments
LABELLED = 61  # so many residues at most are named in their dots
MOST_FRAMES = 60
PALE = 0.25


@dataclass(frozen=True)
class Circle:
    """The residues in one plane at one checkpoint."""

    points: Sequence[Point | None]  # of each residue, in the order of `Story.residues`
    explained: float | None  # share of the embedding's variance
    r_squared: float | None


@dataclass(frozen=True)
class Story:
    """What is drawn of a run."""

    title: str
    keys: str
    steps: Sequence[int]
    residues: Sequence[int]
    turns: Sequence[float]  # of each residue: the angle due to it, in turns
    frequency: int
    circles: Sequence[Circle]  # one for each step
    accuracies: Mapping[str, Sequence[float | None]]  # by name of the split
    held: Mapping[str, tuple[int | None, int] | None]  # by word: the last step before it, and it
    words: Sequence[str]  # when that was


def moments(story: Story, most: int) -> list[int]:
    """At most so many places in `steps`: both ends, where something held, others evenly between."""
    last = len(story.steps) - 1
    held = [found[1] for found in story.held.values() if found and found[1] in story.steps]
    wanted = {0, last} | {story.steps.index(step) for step in held}
    if most < len(wanted):
        return sorted(wanted)[-most:]
    while len(wanted) < min(most, last + 1):
        ends = sorted(wanted)
        widest = max(itertools.pairwise(ends), key=lambda gap: gap[1] - gap[0])
        wanted.add(sum(widest) // 2)
    return sorted(wanted)


def frame(story: Story, at: int, theme: Theme) -> Image.Image:
    """The circle at one checkpoint, beside accuracies over all of them with a mark at this one."""
    pen = Pen(WIDTH, HEIGHT, theme)
    side = HEIGHT - 62
    _head(pen, story)
    draw_circle(pen, story, at, (24, 36, 24 + side, 36 + side))
    pen.text((24, 40 + side), _of_circle(story, at), 11, theme.quiet)
    left = 24 + side + 62
    pen.text((left, 36), f"step {story.steps[at]:,}", 24, theme.ink)
    draw_accuracies(pen, story, [at], (left, 98, WIDTH - 28, HEIGHT - 62))
    for number, words in enumerate(story.words):
        pen.text((left, 24 + side + 16 * number), words, 11, theme.quiet)
    return pen.done()


def sheet(story: Story, theme: Theme) -> Image.Image:
    """Accuracies over the run, and below them the circle at some moments."""
    columns, rows = SHEET
    chosen = moments(story, columns * rows)
    rows = math.ceil(len(chosen) / columns)
    side, top = 216, 220
    pen = Pen(WIDTH, top + rows * (side + 40) + 20, theme)
    _head(pen, story)
    draw_accuracies(pen, story, chosen, (66, 66, WIDTH - 28, top - 34))
    for number, at in enumerate(chosen):
        x, y = 18 + number % columns * (side + 18), top + number // columns * (side + 40)
        draw_circle(pen, story, at, (x, y + 24, x + side, y + 24 + side))
        name = "test" if "test" in story.accuracies else "all pairs"
        value = story.accuracies.get(name, [None] * (at + 1))[at]
        beside = "" if value is None else f", {name} {percent(value)}"
        pen.text((x + 6, y + 4), f"step {story.steps[at]:,}{beside}", 12, theme.ink)
    words = f"{'; '.join(story.words)}; plane of frequency {story.frequency}"
    pen.text((24, pen.height - 22), words, 11, theme.quiet)
    return pen.done()


def draw_circle(pen: Pen, story: Story, at: int, box: Box) -> None:
    """The residues at one checkpoint, in the hues due to them.

    On the scale of the last checkpoint, or a smaller one where they do not fit.
    """
    theme, (left, top, right, bottom) = pen.theme, box
    reach = max(_reach(story.circles[at]), _reach(story.circles[-1])) or 1.0
    middle, scale = ((left + right) / 2, (top + bottom) / 2), (right - left) / 2.16 / reach
    pen.line([(left, middle[1]), (right, middle[1])], theme.grid, 1)
    pen.line([(middle[0], top), (middle[0], bottom)], theme.grid, 1)
    points = story.circles[at].points
    known = [point for point in points if point]
    if known:
        radius = sum(math.hypot(*point) for point in known) / len(known)
        pen.ring(middle, scale * radius, theme.grid)
    named = len(points) <= LABELLED and right - left > 250
    size = 7.5 if named else max(2.5, min(5.0, 400 / max(1, len(points))))
    for residue, turn, point in zip(story.residues, story.turns, points, strict=True):
        if point:
            place = (middle[0] + scale * point[0], middle[1] - scale * point[1])
            pen.dot(place, size, _hue(theme, turn))
            if named:
                pen.text(place, str(residue), 8, "#ffffff", "mm")


def _reach(circle: Circle) -> float:
    return max((abs(value) for point in circle.points if point for value in point), default=0.0)


def draw_accuracies(pen: Pen, story: Story, marked: Sequence[int], box: Box) -> None:
    """Accuracy of each split over the steps, and a mark at some checkpoints."""
    theme, (left, top, right, bottom) = pen.theme, box
    first, last = story.steps[0], story.steps[-1]

    def x(step: float) -> float:
        return left + (right - left) * ((step - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value

    for found, colour in zip(story.held.values(), (theme.train, theme.test), strict=True):
        if found:
            begin = first if found[0] is None else found[0]
            pen.bar((x(begin), top, x(found[1]), bottom), blend((theme.background, colour), PALE))
    for value in (0.0, 0.5, 1.0):
        pen.line([(left, y(value)), (right, y(value))], theme.grid, 1)
        pen.text((left - 8, y(value)), f"{100 * value:.0f} %", 10, theme.quiet, "rm")
    ends = ((first, "la"), (last, "ra")) if last > first else ()
    for step, anchor in ends:
        pen.text((x(step), bottom + 6), f"{step:,}", 10, theme.quiet, anchor)
    middle = "step" if ends else f"step {first:,}"
    pen.text(((left + right) / 2, bottom + 6), middle, 10, theme.quiet, "ma")
    colours = {"train": theme.train, "test": theme.test, "all pairs": theme.test}
    for name, values in story.accuracies.items():
        for line in _unbroken(story.steps, values):
            pen.line([(x(step), y(value)) for step, value in line], colours[name], 2)
    for at in marked:
        step = story.steps[at]
        pen.line([(x(step), top - 4), (x(step), bottom)], theme.ink, 1.5 if len(marked) == 1 else 1)
        for name, values in story.accuracies.items():
            if (reached := values[at]) is not None:
                pen.dot((x(step), y(reached)), 4, colours[name])
    for number, (name, values) in enumerate(story.accuracies.items()):
        place = (left + 18 + 120 * number, top - 24)
        pen.bar((place[0] - 18, place[1] + 6, place[0] - 5, place[1] + 8), colours[name])
        now = values[marked[0]] if len(marked) == 1 else None
        pen.text(place, name if now is None else f"{name} {percent(now)}", 12, theme.quiet)
    if not story.accuracies:
        pen.text((left, top - 24), "accuracy is not known", 12, theme.quiet)


def _head(pen: Pen, story: Story) -> None:
    pen.text((24, 10), story.title, 15, pen.theme.ink)
    pen.text((WIDTH - 28, 13), story.keys, 11, pen.theme.quiet, "ra")


def _unbroken(
    steps: Sequence[int], values: Sequence[float | None]
) -> list[list[tuple[int, float]]]:
    """The stretches of a line that have all their values, of two points at least."""
    lines: list[list[tuple[int, float]]] = [[]]
    for step, value in zip(steps, values, strict=True):
        if value is None:
            lines.append([])
        else:
            lines[-1].append((step, value))
    return [line for line in lines if len(line) > 1]


def _of_circle(story: Story, at: int) -> str:
    circle = story.circles[at]
    words = [f"frequency {story.frequency}"]
    if circle.explained is not None:
        words.append(f"{percent(circle.explained)} of the embedding")
    if circle.r_squared is not None:
        words.append(f"a circle explains {percent(circle.r_squared)}")
    return ", ".join(words)


def percent(value: float) -> str:
    """Never 100 % for what falls short of it, nor 0 % for what is more."""
    shown = f"{100 * value:.1f}".removesuffix(".0")
    if shown == "100" and value < 1:
        shown = "99.9"
    return f"{'0.1' if shown == '0' and value > 0 else shown} %"


def _hue(theme: Theme, turn: float) -> str:
    """A colour around the theme's cycle."""
    return blend((*theme.cyclic, theme.cyclic[0]), turn % 1)
