"""Headers by name, and what holds for one that comes on several lines (RFC 9110, section 5.3).

    ONCE      the request is refused with 400: nobody knows which line was meant
    ALONE     the header is passed over, as if it were not there
    others    are lists, and joined with commas

Host, Content-Length and Transfer-Encoding never come so far: the server refuses them and closes.
"""

from collections.abc import Iterable

ONCE = frozenset(
    (
        b"access-control-request-method",
        b"authorization",
        b"content-type",
        b"if-range",
        b"inference-header-content-length",
        b"last-event-id",
        b"origin",
        b"range",
        b"x-request-timeout-ms",
    )
)
ALONE = frozenset((b"traceparent", b"x-request-id"))


def by_name(lines: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers of a request, whose names are in small letters; of ONCE the last line."""
    lines = list(lines)
    found = dict(lines)
    if len(found) == len(lines):
        return found
    for name in doubled(lines):
        if name in ALONE:
            del found[name]
        elif name not in ONCE:
            found[name] = b", ".join(value for known, value in lines if known == name and value)
    return found


def doubled(lines: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """The names that come on several lines."""
    names = [name for name, _ in lines]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
