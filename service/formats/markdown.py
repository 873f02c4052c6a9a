"""Markdown, of answers that say how they are written as text."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from service.formats.registry import Format
from service.formats.tables import AnyArray, Encoder, Table

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>&~$:@/=^\"'])")


def _no_table(_answer: msgspec.Struct, _table: Table, _length: int) -> Encoder:
    raise TypeError("Markdown is written of an answer, not from its table")


@dataclass(frozen=True, eq=False)
class Markdown(Format):
    """A format that writes an answer as text, by the function for its type."""

    write: Callable[[Any], str] = str

    def encode(self, answer: msgspec.Struct, table: Table | None, array: AnyArray | None) -> bytes:  # noqa: ARG002
        """The whole answer."""
        return self.write(answer).encode()


def markdown(write: Callable[[Any], str]) -> Markdown:
    """The format, for answers that this function writes."""
    return Markdown("markdown", "text/markdown", _no_table, is_text=True, write=write)


def escaped(value: object) -> str:
    """Any text as one line of Markdown that shows it, whoever wrote it: no link, no HTML."""
    if isinstance(value, int | float):
        return str(value)
    return SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
