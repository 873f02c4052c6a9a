"""Tables in the formats that hold rows: CSV, JSON and npy here, Arrow and Parquet in `arrow`.

An encoder writes a head, then any number of blocks of rows, then a tail: a large answer is sent
block by block in constant memory, a small one is one block.
"""

import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Annotated, Any, NamedTuple, Protocol, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

to_json = msgspec.json.Encoder(enc_hook=methodcaller("tolist")).encode  # of arrays, masked too

AnyArray = NDArray[Any]
# The type of their cells: a Python annotation, or an array's dtype (np.dtype((kind, shape)): each
# cell is an array).
Columns = Mapping[str, Any]
# A number of 32 bits: as text by the digits of 64, which say which it is.
Float32 = Annotated[float, msgspec.Meta(extra_json_schema={"format": "float"})]
# Rows as records by column; or rows (n, m) of an array; or columns by name, each an array (n, ...),
# masked where it has no value.
Block = Sequence[Any] | AnyArray | Mapping[str, AnyArray]


@dataclass(frozen=True)
class Table:
    """Rows under their columns, and what else the answer says."""

    columns: Columns
    rows: Block
    about: Mapping[str, object]


class Blocks(NamedTuple):
    """The rows of a large answer: how many, how many in a block, the last of which may be shorter.

    `of` gives the blocks from a number on; those before cost nothing.
    """

    length: int
    size: int
    of: Callable[[int], AsyncIterator[Block]]


class Encoder(Protocol):
    """Writes a table; `row_bytes` are those of each row, where all rows have as many."""

    @property
    def row_bytes(self) -> int | None: ...
    def head(self) -> bytes: ...
    def rows(self, block: Block) -> bytes: ...
    def tail(self) -> bytes: ...


def columns_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The columns of rows that are records of a kind."""
    return get_type_hints(kind, include_extras=True)


def table_of(answer: msgspec.Struct, rows: str, columns: Columns) -> Table:
    """The table of an answer's list `rows`."""
    return Table(columns, getattr(answer, rows), about(answer, rows))


def array_table(array: AnyArray, facts: Mapping[str, object]) -> Table:
    """An array (n, ...) as a table: one row per first index, a column for each of the others."""
    array = np.atleast_1d(array)
    width = math.prod(array.shape[1:])
    return Table(
        {str(i): array.dtype for i in range(width)}, array.reshape(len(array), width), facts
    )


def records(block: Sequence[Any] | Mapping[str, AnyArray]) -> Sequence[Any]:
    """Rows as records, of columns too."""
    if not isinstance(block, Mapping):
        return block
    rows = zip(*(column.tolist() for column in block.values()), strict=True)
    return [dict(zip(block, row, strict=True)) for row in rows]


def about(answer: msgspec.Struct, *left_out: str) -> dict[str, object]:
    """The fields of an answer but those that its table shows."""
    names = (name for name in answer.__struct_fields__ if name not in left_out)
    return {name: getattr(answer, name) for name in names}


def write(encoder: Encoder, block: Block) -> bytes:
    """A whole table in one piece."""
    return b"".join((encoder.head(), encoder.rows(block), encoder.tail()))
