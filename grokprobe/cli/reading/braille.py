"""Pictures of dots in a terminal: a character of braille is 2 x 4 dots."""

import numpy as np
from numpy.typing import ArrayLike
from rich.text import Text

# The bit of each dot, row by row; U+2800 is the character without dots.
BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
BLANK = 0x2800
STEEP = 8  # samples of a line for each dot across, so that it has no gaps where it rises


class Canvas:
    """Dots on `rows` lines of `columns` characters; x and y run from 0 to 1, y upwards.

    A character has one colour: that of the last dot in it.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self._dots = np.zeros((rows * 4, columns * 2), bool)
        self._colours = np.full((rows, columns), "", object)

    def draw(self, x: ArrayLike, y: ArrayLike, colours: ArrayLike = "") -> None:
        """Set dots; what is not finite or lies outside is left out."""
        across, down = np.asarray(x, float), 1 - np.asarray(y, float)
        height, width = self._dots.shape
        inside = (across >= 0) & (across <= 1) & (down >= 0) & (down <= 1)
        column = np.rint(across[inside] * (width - 1)).astype(int)
        row = np.rint(down[inside] * (height - 1)).astype(int)
        self._dots[row, column] = True
        self._colours[row // 4, column // 2] = np.broadcast_to(colours, inside.shape)[inside]

    def line(self, x: ArrayLike, y: ArrayLike, colour: str = "") -> None:
        """Set the dots along the line through points in order of x."""
        across = np.linspace(0, 1, STEEP * self._dots.shape[1])
        known = np.isfinite(np.asarray(y, float))
        if known.any():
            at, values = np.asarray(x, float)[known], np.asarray(y, float)[known]
            self.draw(across, np.interp(across, at, values, left=np.nan, right=np.nan), colour)

    def lines(self) -> list[Text]:
        """The picture, a text for each line."""
        rows, columns = self._colours.shape
        bits = self._dots.reshape(rows, 4, columns, 2).transpose(0, 2, 1, 3) * BITS
        characters = BLANK + bits.sum(axis=(2, 3))
        return [
            Text.assemble(*((chr(c), str(s)) for c, s in zip(line, style, strict=True)))
            for line, style in zip(characters, self._colours, strict=True)
        ]
