"""Text that people write: a byte order mark is no part of it, and UTF-16 is refused by its name."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.errors import InvalidInput
from grokprobe.text import read_text, utf8

OTHERS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
MARKED = (codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_BE, "utf-32-be")


@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"])))
def test_a_mark_is_skipped(text: str) -> None:
    """One, at the beginning; nothing else is changed."""
    assert utf8(text.encode(), "x") == utf8(text.encode("utf-8-sig"), "x") == text.encode()


@pytest.mark.parametrize("encoding", OTHERS)
@pytest.mark.parametrize("text", ['{"pairs": [[1, 5]]}', "# comment\n", "ab", "[training]\r\n"])
def test_another_encoding_is_named(encoding: str, text: str) -> None:
    """With a mark and without."""
    marked = [mark + text.encode(encoding) for mark, name in MARKED if name == encoding]
    for data in [text.encode(encoding), *marked]:
        with pytest.raises(InvalidInput, match=r"^x: is UTF-16 or UTF-32; write it in UTF-8$"):
            utf8(data, "x")


def test_a_file(tmp_path: Path) -> None:
    """Its path is named where it cannot be read, and the byte where it is not UTF-8."""
    path = tmp_path / "file"
    path.write_bytes(codecs.BOM_UTF8 + "é\r\n".encode())
    assert read_text(path) == "é\r\n"
    path.write_bytes("aé".encode("latin-1"))
    with pytest.raises(InvalidInput, match=f"^{path}: is not UTF-8 at byte 1"):
        read_text(path)
    path.unlink()
    with pytest.raises(InvalidInput, match=f"^{path}: cannot be read: No such file"):
        read_text(path)
