"""Reading an answer by parts (RFC 9110, sections 13.1.5 and 14).

Whatever never changes may be: what a numbered checkpoint determines, and all of a run that has
ended. One range is answered in plain bytes; several in one header, another unit and what cannot be
read are answered whole, as the standard lets a server do.
"""

import re
from dataclasses import dataclass

from service.errors import RangeNotSatisfiable
from service.formats.answers import KeptAnswers

RANGES = re.compile(r"bytes\s*=(.*)", re.ASCII | re.IGNORECASE | re.DOTALL)
ONE_RANGE = re.compile(r"(\d{0,19})\s*-\s*(\d{0,19})", re.ASCII)


def byte_range(header: str, size: int) -> range | None:
    """The bytes of an answer of `size` that a Range header asks for.

    None, which stands for all, for no header and one to be ignored: malformed, in another unit or
    of several ranges. Raises RangeNotSatisfiable.
    """
    found = RANGES.fullmatch(header.strip())
    members = list(filter(None, map(str.strip, found[1].split(",")))) if found else []
    one = ONE_RANGE.fullmatch(members[0]) if len(members) == 1 else None
    if not one or not any(one.groups()):
        return None
    first, last = one.groups()
    if not first:  # the last so many
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise RangeNotSatisfiable(header, size)
    return range(start, stop)


@dataclass(frozen=True)
class Parts:
    """What a request asks of an answer that never changes, and where such answers are kept."""

    answers: KeptAnswers
    is_head: bool
    asked: str  # the header Range, empty for none
    if_range: str

    @property
    def is_wanted(self) -> bool:
        """Whether the client reads by parts, or asks for the length to do so."""
        return self.is_head or bool(self.asked)

    def of(self, etag: str, size: int) -> range | None:
        """The bytes to be sent, None for all. Raises RangeNotSatisfiable.

        If-Range asks for a part of the very same bytes alone: neither a weak ETag nor a date is
        one of those.
        """
        if self.if_range and self.if_range.strip() != etag:
            return None
        return byte_range(self.asked, size)


def content_range(part: range, size: int) -> dict[str, str]:
    """The header that says which bytes these are."""
    return {"Content-Range": f"bytes {part.start}-{part.stop - 1}/{size}"}
