"""What all pictures share: colours, captions, images of cells."""

import itertools

import numpy as np
import pytest

from grokprobe.colours import DARK, LIGHT, THEMES, Theme, blend
from service.charts.cells import SHADES, shades, side_of
from service.charts.frame import ANY_SIZE, Spec, cells_image, frame, ramp, wrap
from service.charts.words import figure
from tests.support.charted import cells, rgb
from tests.support.specs import picture

SPEC = {"mark": {"type": "image"}, "encoding": {}}


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = np.array(rgb(colour)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_texts_and_marks_stand_out(theme: Theme) -> None:
    """Texts at 4.5 and marks at 3 or better; light orange and pink, which are of lines, at 2."""
    assert all(contrast(c, theme.background) >= 4.5 for c in (theme.ink, theme.quiet))
    marks = (theme.train, theme.test, theme.key, theme.norm, theme.wrong)
    assert all(contrast(colour, theme.background) >= 3 for colour in marks)
    assert all(contrast(c, theme.background) >= 2 for c in (theme.restricted, theme.excluded))


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_ramps_rise(theme: Theme) -> None:
    """Sequential colours go one way in luminance; diverging ones away from the middle, to both."""
    away = [abs(luminance(colour) - luminance(theme.background)) for colour in theme.sequential]
    assert away == sorted(away)
    far = [contrast(colour, theme.background) for colour in theme.diverging]
    assert far[:4] == sorted(far[:4], reverse=True)
    assert far[3:] == sorted(far[3:])


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_right_and_wrong_differ_for_the_colour_blind(theme: Theme) -> None:
    """Blue does not take part in what red and green blindness confuse, and tells them apart."""
    right, wrong = (rgb(colour) for colour in (theme.test, theme.wrong))
    assert right[2] - wrong[2] > 128


@pytest.mark.parametrize("schema", ["v5", "v6"])
def test_a_frame_names_its_schema_and_caption(schema: str) -> None:
    """The caption's lines are no wider than the plot; the chart itself is as it was."""
    chart = {"width": 200, "mark": "bar", "encoding": {}}
    found = frame(chart, DARK, ["a line " * 20, "sha256:" + "ab" * 32], schema)
    assert found["$schema"] == f"https://vega.github.io/schema/vega-lite/{schema}.json"
    assert found["background"] == DARK.background
    assert found["vconcat"] == [chart]
    lines = found["title"]["text"]
    assert "".join(lines).replace(" ", "").endswith("ab" * 32)
    assert max(map(len, lines)) < 200 / (0.5 * 9)


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (59, 59), (113, 113), (509, 509), (40, 400)])
def test_an_image_has_a_square_of_whole_pixels_for_each_cell(shape: tuple[int, int]) -> None:
    """And each has its own colour."""
    indices = np.random.default_rng(0).integers(0, 7, shape)
    url = cells_image(indices, LIGHT.diverging)
    found = cells(SPEC | {"encoding": {"url": {"value": url}}}, shape)
    palette = np.array([rgb(colour) for colour in LIGHT.diverging])
    assert (found == palette[indices]).all()


def test_shades_of_numbers() -> None:
    """The ends, the middle, beyond the ends, and what is no number."""
    indices, palette = shades([-1, 0, 1, 5, -5, np.nan], LIGHT.diverging, -1, 1, "#123456")
    assert indices.tolist() == [0, 127, 254, 254, 0, SHADES]
    assert palette[0] == LIGHT.diverging[0]
    assert palette[127] == LIGHT.diverging[3]
    assert palette[254] == LIGHT.diverging[-1]
    assert palette[SHADES] == "#123456"
    assert shades([3.0, 3.0], LIGHT.sequential, 3.0, 3.0, "#000000")[0].tolist() == [0, 0]


def test_blends() -> None:
    """Halfway between black and white is grey."""
    assert blend(("#000000", "#ffffff"), 0.5) == "#808080"
    assert blend(LIGHT.cyclic, 0) == LIGHT.cyclic[0]


def test_sides_and_ramps() -> None:
    """Cells have whole pixels; a ramp of one number still has a domain."""
    sides = [side_of(p) for p in (2, 3, 59, 113, 509)]
    assert sides == [420, 420, 413, 452, 509]
    stops = ramp(LIGHT.sequential, 0, 0)["domain"]
    assert all(a < b for a, b in itertools.pairwise(stops))
    assert stops[-1] == 1.0


def test_long_words_are_broken() -> None:
    """As names of runs may be."""
    assert max(map(len, wrap("r" * 500, 100))) <= 100 / (0.5 * 11)
    assert wrap("", 100) == [""]


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "none"), (-0.25, "−0.25"), (1.349e-7, "1.35e−7"), (-2e30, "−2e+30"), (1234, "1.23e+3")],
)
def test_numbers_in_words(value: float | None, words: str) -> None:
    """Three digits, and nothing that the renderer's own font lacks."""
    assert figure(value) == words


@pytest.mark.parametrize(
    ("axis", "most", "words"),
    [
        (ANY_SIZE, 49.5, ["40", "−40"]),
        (ANY_SIZE, 4e30, ["4e+30", "−4e+30"]),
        (ANY_SIZE, 5e-9, ["4e−9", "−4e−9"]),
    ],
)
def test_ticks_of_any_size(axis: Spec, most: float, words: list[str]) -> None:
    """As they are said, not cut to the digits in which they differ."""
    x = {"field": "x", "type": "quantitative", "axis": axis}
    values = [{"x": -most}, {"x": most}]
    svg = picture({"data": {"values": values}, "mark": "point", "encoding": {"x": x}}, DARK)
    assert all(f">{word}</text>" in svg for word in words)
