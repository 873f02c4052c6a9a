"""Which format an answer has: `format` first, then Accept, then the resource's default."""

from collections.abc import Mapping, Sequence

from grokprobe.preferences import preferences
from service.errors import FormatNotOffered
from service.formats.registry import Format


def media_ranges(header: str) -> dict[str, float]:
    """The media ranges of an Accept header; `*` alone is every type, as old clients mean it."""

    found: dict[str, float] = {}
    for name, quality in preferences(header).items():
        kind, slash, subtype = (whole := "*/*" if name == "*" else name).partition("/")
        if slash and (kind != "*" or subtype == "*"):
            found[whole] = max(quality, found.get(whole, 0.0))
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
    ranges = media_ranges(header)
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda known: _quality(ranges, known.media_type))  # ties: the first
    if _quality(ranges, best.media_type) == 0:
        raise FormatNotOffered(header, [known.media_type for known in offered])
    return best
