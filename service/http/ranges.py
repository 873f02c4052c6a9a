"""Ranges of bytes (RFC 9110, section 14), as far as one range goes."""

import re

from service.errors import RangeNotSatisfiable

ONE_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})-(\d{0,19})", re.ASCII)


def byte_range(header: str, size: int) -> range | None:
    """The bytes of a file of `size` that a Range header asks for.

    None, which stands for all, for no header and one to be ignored: malformed, in another unit or
    of several ranges. Raises RangeNotSatisfiable.
    """
    found = ONE_RANGE.fullmatch(header.strip())
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:  # the last so many
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise RangeNotSatisfiable(header, size)
    return range(start, stop)
