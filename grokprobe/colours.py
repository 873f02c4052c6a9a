"""What pictures are drawn with, wherever they are drawn: in charts, on the page, in a report."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import ArrayLike


class Theme(msgspec.Struct, frozen=True):
    """Colours of the pictures; those of meanings can be told apart by the colour-blind.

    The explorer's are the same (explorer/src/draw/colours.ts), which a test holds.
    """

    background: str
    ink: str  # text and marks that carry no other meaning
    quiet: str  # axes, captions, what stands back
    grid: str
    train: str
    test: str
    key: str  # key frequencies and their share
    restricted: str
    excluded: str
    norm: str
    wrong: str  # an answer; who is right has the colour of test
    undefined: str  # cells that have no answer
    series: tuple[str, ...]  # of what has no colour of its own
    sequential: tuple[str, ...]  # from nothing, close to the background, to the most
    diverging: tuple[str, ...]  # from the least over zero, close to the background, to the most
    cyclic: tuple[str, ...]  # once around, of equal lightness; the last is followed by the first


LIGHT = Theme(
    background="#ffffff",
    ink="#1b1f24",
    quiet="#626b76",
    grid="#e6e9ed",
    train="#d55e00",
    test="#0072b2",
    key="#009e73",
    restricted="#e69f00",
    excluded="#cc79a7",
    norm="#7f8791",
    wrong="#d55e00",
    undefined="#d5d9de",
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f8791"),
    sequential=(
        *("#f8fcf9", "#c7ecd2", "#7fd5b1", "#40b7ad"),
        *("#348fa7", "#37659e", "#413d7b", "#2e1e3b"),
    ),
    diverging=("#0b4f8a", "#3f8ec5", "#9cc8e6", "#f7f8f8", "#f6b993", "#de6f2c", "#a03d00"),
    cyclic=(
        *("#d0566b", "#bd7028", "#8d8a1d", "#459c4c", "#009d8b"),
        *("#0094bd", "#5f80d2", "#a069c0", "#c65a9c"),
    ),
)
DARK = Theme(
    background="#14171c",
    ink="#e8eaed",
    quiet="#9aa3ad",
    grid="#2a3038",
    train="#f07a2b",
    test="#56b4e9",
    key="#2fc798",
    restricted="#f0b03a",
    excluded="#dd9fc0",
    norm="#a6adb6",
    wrong="#f07a2b",
    undefined="#3a414a",
    series=("#56b4e9", "#f07a2b", "#2fc798", "#dd9fc0", "#f0b03a", "#2e86c1", "#a6adb6"),
    sequential=(
        *("#1a1e26", "#322c5a", "#413d7b", "#37659e"),
        *("#348fa7", "#40b7ad", "#8bdab2", "#def5e5"),
    ),
    diverging=("#a6d5ff", "#4a9fe0", "#235f92", "#1d2229", "#8a4413", "#e2742f", "#ffc39b"),
    cyclic=(
        *("#d0566b", "#bd7028", "#8d8a1d", "#459c4c", "#009d8b"),
        *("#0094bd", "#5f80d2", "#a069c0", "#c65a9c"),
    ),
)
THEMES = {"light": LIGHT, "dark": DARK}


def blend(colours: Sequence[str], place: float) -> str:
    """The colour at a place from 0, the first, to 1, the last."""
    return blends(colours, [place])[0]


def blends(colours: Sequence[str], places: ArrayLike) -> list[str]:
    """The colours at places from 0, the first, to 1, the last."""
    at = np.asarray(places, dtype=np.float64) * (len(colours) - 1)
    channels = np.array([list(bytes.fromhex(colour[1:])) for colour in colours]).T
    mixed = [np.interp(at, range(len(colours)), channel) for channel in channels]
    return ["#" + bytes(one).hex() for one in np.rint(mixed).astype(np.uint8).T]
