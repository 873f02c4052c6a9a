"""Which format an answer has: `format` first, then Accept, then the resource's default."""

import re
from collections.abc import Mapping, Sequence

from service.errors import FormatNotOffered
from service.formats.registry import Format

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


def negotiate(named: str | None, header: str, offered: Sequence[Format]) -> Format:
    """The format of the answer, one of `offered`, by the parameter `format` and Accept.

    The default is the first.

    Raises FormatNotOffered for an unknown `format`, or when Accept admits none on offer.
    """
    if named is not None:
        found = next((known for known in offered if known.name == named), None)
        if found is None:
            raise FormatNotOffered(named, [known.name for known in offered])
        return found
    if header in ("", "*/*"):
        return offered[0]
    ranges = qualities(header.strip() or "*/*")
    best = max(offered, key=lambda known: _quality(ranges, known.media_type))  # ties: the first
    if _quality(ranges, best.media_type) == 0:
        raise FormatNotOffered(header, [known.media_type for known in offered])
    return best
