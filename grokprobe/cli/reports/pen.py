"""Drawing with smooth edges: three times as large, and reduced; in the font that Pillow carries."""

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from grokprobe.colours import Theme

LARGER = 3

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Pen:
    """An image to draw on in pixels of the finished one."""

    def __init__(self, width: int, height: int, theme: Theme) -> None:
        self.height, self.theme = height, theme
        self._image = Image.new("RGB", (LARGER * width, LARGER * height), theme.background)
        self._draw = ImageDraw.Draw(self._image)

    def done(self) -> Image.Image:
        """The finished image."""
        size = (self._image.width // LARGER, self._image.height // LARGER)
        return self._image.resize(size, Image.Resampling.LANCZOS)

    def text(self, at: Point, text: str, size: float, colour: str, anchor: str = "la") -> None:
        """A line of text; the anchor is Pillow's."""
        self._draw.text(_large(at), text, fill=colour, font=_font(LARGER * size), anchor=anchor)

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        """Points joined."""
        large = [_large(point) for point in points]
        self._draw.line(large, fill=colour, width=round(LARGER * width), joint="curve")

    def dot(self, at: Point, radius: float, colour: str) -> None:
        """A filled circle."""
        self._draw.circle(_large(at), LARGER * radius, fill=colour)

    def ring(self, at: Point, radius: float, colour: str) -> None:
        """A circle's line."""
        self._draw.circle(_large(at), LARGER * radius, outline=colour, width=LARGER)

    def bar(self, box: Box, colour: str) -> None:
        """A filled box."""
        self._draw.rectangle([_large(box[:2]), _large(box[2:])], fill=colour)


def _large(point: Sequence[float]) -> Point:
    return LARGER * point[0], LARGER * point[1]


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
