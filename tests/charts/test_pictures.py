"""The test of pictures itself: planted faults are found, and nothing else is."""

import pytest

from tests.support.pictures import Faults

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100" viewBox="0 0 200 100">'


def text(words: str, x: float, y: float, more: str = "") -> str:
    """A text of 10 pixels that starts there."""
    return f'<text x="{x}" y="{y}" font-size="10px" font-family="Arial" {more}>{words}</text>'


SYMBOL = '<g class="role-legend-symbol"><path d="M{0},{1}h10v10h-10Z"/></g>'


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        (text("one", 10, 20) + text("two", 10, 34), []),
        (text("one", 10, 20) + text("two", 60, 20), []),
        (text("one", 10, 20) + text("hidden", 12, 20, 'opacity="0"'), []),
        (text("overlapping", 10, 20) + text("two", 40, 22), ["'overlapping' meets text 'two'"]),
        (text("turned down", 10, 50, 'transform="rotate(90 10 50)"'), ["is cut off"]),
        (text("a much longer line of words, which does not fit into it", 20, 20), ["is cut off"]),
        (text("over a symbol", 10, 20) + SYMBOL.format(30, 12), ["meets symbol"]),
        (text("beside one", 30, 20) + SYMBOL.format(10, 12), []),
        (text("beside one", 30, 20) + SYMBOL.format(195, 12), ["symbol '' is cut off"]),
        ("", ["no text at all"]),
    ],
)
def test_planted_faults(faults: Faults, marks: str, expected: list[str]) -> None:
    """In each of the fonts."""
    found = faults(f"{HEAD}{marks}</svg>")
    assert len(found) == 3 * len(expected)
    assert all(any(part in fault for part in expected) for fault in found)


def test_only_the_wide_fonts_do_not_fit(faults: Faults) -> None:
    """A text of 39 letters has 200 pixels' room in Arial's width, and not in DejaVu's."""
    found = faults(f"{HEAD}{text('the quick brown fox jumps over 01234567', 10, 20)}</svg>")
    assert {fault.partition(":")[0] for fault in found} == {"DejaVu Sans", "Verdana"}
