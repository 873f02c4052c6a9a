"""Which format an answer has: `format` first, then Accept, then the resource's default."""

from collections.abc import Mapping, Sequence

from grokprobe.preferences import preferences
from service.errors import FormatNotOffered
from service.formats.pictures import PICTURES, VEGA_LITE, Picture, names_of
from service.formats.registry import Format, Formats


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


NO_RENDERER = (
    "; pictures are drawn where the extra `pictures` is installed (pip install "
    "'grokprobe[pictures]') and GROKPROBE_PICTURES is not false"
)


def _best(known: Sequence[Format], ranges: Mapping[str, float]) -> Format:
    """The one of the highest quality, the first of equals."""
    return max(known, key=lambda one: _quality(ranges, one.media_type))


def negotiate(named: str | None, header: str, offered: Formats) -> Format:
    """The format of the answer, one of `offered`, by the parameter `format` and Accept.

    The default is the first. Browsers say that they take pictures, too: by Accept none is meant by
    whoever asks for a page and could have something else.

    Raises FormatNotOffered for an unknown `format`, or when Accept admits none on offer.
    """
    if named is not None:
        found = [known for known in offered if known.name == named]
        if not found:
            lacks = VEGA_LITE in offered and named in names_of(PICTURES)
            raise FormatNotOffered(named, names_of(offered), NO_RENDERER if lacks else "")
        return _best(found, media_ranges(header)) if len(found) > 1 else found[0]
    if header in ("", "*/*"):
        return offered[0]
    ranges = media_ranges(header)
    if not ranges:
        return offered[0]
    best = _best(offered, ranges)
    if isinstance(best, Picture) and ranges.get("text/html"):
        plain = _best([f for f in offered if not isinstance(f, Picture)], ranges)
        best = plain if _quality(ranges, plain.media_type) else best
    if _quality(ranges, best.media_type) == 0:
        raise FormatNotOffered(header, [known.media_type for known in offered])
    return best
