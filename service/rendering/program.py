"""The renderer: draws one picture after the other, for the service that started it.

Started as a file by itself, `python -I -S program.py SITE_PACKAGES`, with no environment: it knows
nothing of ours and none of our secrets. Over its pipes come messages, each after its length, that
`renderer.py` writes and reads. It ends when its service does: its input ends, or Linux kills it.
"""

import ctypes
import json
import os
import re
import signal
import struct
import sys
from typing import Any

NICE = 10  # below the service: a prediction does not wait for pictures
VEGA_LITE = "5.21"
PR_SET_PDEATHSIG = 1
LENGTH = struct.Struct("!I")
HEAD = struct.Struct("!cI")  # of an answer: what it is, and its length
DRAWN, REFUSED, FAILED = b"d", b"r", b"f"
MOST_PIXELS = 2**25  # of a PNG: 128 MiB while it is drawn
ID = re.compile(r'(?<=\bid=")(gradient_|clip)\d+(?=")|(?<=url\(#)(gradient_|clip)\d+(?=\))')
SIZE = re.compile(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"')


class TooLarge(ValueError):
    """The picture would have more pixels than are drawn."""


def draw(work: dict[str, Any]) -> bytes:
    """The picture of a specification: its format, a scale, or for a PNG the width in pixels.

    Raises TooLarge, and whatever vl_convert does.
    """
    import vl_convert

    # No address is allowed: a specification carries its data.
    drawn = vl_convert.vegalite_to_svg(work["spec"], vl_version=VEGA_LITE, allowed_base_urls=[])
    svg = renumbered(drawn)
    if work["format"] == "svg":
        return bytes(svg.encode())
    if work["format"] == "pdf":
        return bytes(vl_convert.svg_to_pdf(svg))
    found = SIZE.match(svg)
    assert found is not None, svg[:200]
    width, height = map(float, found.groups())
    # Its fraction is cut off: half a pixel more than is wanted makes exactly as many.
    scale = (work["width"] + 0.5) / width if work["width"] else work["scale"]
    if width * height * scale**2 > MOST_PIXELS:
        raise TooLarge(f"{width * scale:.0f} x {height * scale:.0f}")
    return bytes(vl_convert.svg_to_png(svg, scale=scale))


def renumbered(svg: str) -> str:
    """The picture with its ids counted from 0: Vega counts on from picture to picture."""
    known: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        kind = found[1] or found[2]
        return known.setdefault(found[0], f"{kind}{len(known)}")

    return ID.sub(number, svg)


def answer(work: dict[str, Any]) -> tuple[bytes, bytes]:
    """What became of a work: DRAWN with the picture, else why not."""
    try:
        return DRAWN, draw(work)
    except TooLarge as error:
        return REFUSED, str(error).encode()
    except Exception as error:
        return FAILED, str(error).encode()


def end_with_the_service() -> None:
    """Have Linux kill this process when the one that started it has ended, however it did."""
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):  # elsewhere its input ends
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Answer until the input ends."""
    end_with_the_service()
    os.nice(NICE)
    # What a library prints must not come between the answers.
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.path.append(sys.argv[1])
    while len(head := sys.stdin.buffer.read(LENGTH.size)) == LENGTH.size:
        [length] = LENGTH.unpack(head)
        kind, body = answer(json.loads(sys.stdin.buffer.read(length)))
        told.write(HEAD.pack(kind, len(body)) + body)
        told.flush()


if __name__ == "__main__":
    main()
