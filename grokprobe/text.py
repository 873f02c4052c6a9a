"""Text that people write, in files and in requests: UTF-8, with or without a byte order mark.

Editors and shells of Windows put the mark there. Some write UTF-16, which is refused by its name:
the words of a parser that meets it tell nobody what to do.
"""

import codecs
from pathlib import Path

from grokprobe.errors import InvalidInput

MARKS_OF_OTHERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's begin so, or with a zero


def utf8(data: bytes, where: str) -> bytes:
    """The bytes of a text without a mark. Raises InvalidInput at `where` for UTF-16 and UTF-32.

    Those without a mark show by a zero among their first bytes, which no text in UTF-8 has.
    """
    if data.startswith(MARKS_OF_OTHERS) or b"\0" in data[:4]:
        raise InvalidInput(where, "is UTF-16 or UTF-32; write it in UTF-8")
    return data.removeprefix(codecs.BOM_UTF8)


def read_text(path: Path) -> str:
    """A text file, whole. Raises InvalidInput if it cannot be read or is not UTF-8."""
    try:
        return utf8(path.read_bytes(), str(path)).decode()
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 at byte {error.start}; save it as UTF-8"
        raise InvalidInput(str(path), message) from None
