"""Which format an answer has: `format` first, then Accept, then the resource's default."""

import re
from collections.abc import Mapping, Sequence

from service.errors import FormatNotOffered
from service.formats.registry import MEDIA_TYPES

QUALITY = re.compile(r"0(\.\d*)?|1(\.0*)?")


def qualities(header: str) -> dict[str, float]:
    """The entries of an Accept or Accept-Encoding header and their quality, 0..1.

    An unreadable quality is 0.
    """
    found = {}
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        found[name] = float(quality) if QUALITY.fullmatch(quality) else 0.0
    return found


def _quality(ranges: Mapping[str, float], media_type: str) -> float:
    """What the most specific range says of a media type."""
    kind = media_type.partition("/")[0]
    return next((ranges[r] for r in (media_type, f"{kind}/*", "*/*") if r in ranges), 0.0)


def negotiate(asked: str | None, header: str, offered: Sequence[str]) -> str:
    """The format of the answer, one of `offered`, from `format` and Accept; default the first.

    Raises FormatNotOffered for an unknown `format`, or when Accept admits none on offer.
    """
    if asked is not None:
        if asked not in offered:
            raise FormatNotOffered(asked, offered)
        return asked
    if header in ("", "*/*"):
        return offered[0]
    ranges = qualities(header.strip() or "*/*")
    best = max(offered, key=lambda name: _quality(ranges, MEDIA_TYPES[name]))  # ties: the first
    if _quality(ranges, MEDIA_TYPES[best]) == 0:
        raise FormatNotOffered(header, [MEDIA_TYPES[name] for name in offered])
    return best
