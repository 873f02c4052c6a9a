"""Tables in the formats that hold rows: CSV, JSON and npy here, Arrow and Parquet in `arrow`.

An encoder writes a head, then any number of blocks of rows, then a tail: a large answer is sent
block by block in constant memory, a small one is one block.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.npy import npy_head

to_json = msgspec.json.Encoder(enc_hook=np.ndarray.tolist).encode

Block = Sequence[Any] | NDArray[Any]  # rows as records by column, or rows (n, m) of an array


@dataclass(frozen=True)
class Table:
    """Rows under their columns, and what else the answer says.

    `columns` has the type of each column's cells: a Python annotation, or the dtype of an array.
    """

    columns: Mapping[str, Any]
    rows: Block
    about: Mapping[str, Any]


class Encoder(Protocol):
    """Writes a table."""

    def head(self) -> bytes: ...
    def rows(self, block: Block) -> bytes: ...
    def tail(self) -> bytes: ...


def columns_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The columns of rows that are records of a kind."""
    return get_type_hints(kind, include_extras=True)


def table_of(answer: msgspec.Struct, rows: str, columns: Mapping[str, Any]) -> Table:
    """The table of an answer's list `rows`."""
    return Table(columns, getattr(answer, rows), about(answer, rows))


def array_table(array: NDArray[Any], facts: Mapping[str, Any]) -> Table:
    """An array (n, ...) as a table: one row per first index, a column for each of the others."""
    array = np.atleast_1d(array)
    width = math.prod(array.shape[1:])
    return Table(
        {str(i): array.dtype for i in range(width)}, array.reshape(len(array), width), facts
    )


def about(answer: msgspec.Struct, *left_out: str) -> dict[str, Any]:
    """The fields of an answer but those that its table shows."""
    names = (name for name in answer.__struct_fields__ if name not in left_out)
    return {name: getattr(answer, name) for name in names}


class CsvRows:
    """A header and a line for each row, cells written as JSON writes them; None is empty."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = list(columns)

    def head(self) -> bytes:
        """The header line."""
        return _lines([self._columns])

    def rows(self, block: Block) -> bytes:
        """A line for each row."""
        if isinstance(block, np.ndarray):  # numbers alone: six times as fast as a csv.writer
            lines = (to_json(row)[1:-1] + b"\n" for row in block.tolist())
            return b"".join(lines).replace(b"null", b"")  # what JSON makes of a NaN
        records = msgspec.to_builtins(block)
        return _lines([[_cell(row.get(name)) for name in self._columns] for row in records])

    def tail(self) -> bytes:
        """Nothing: the lines are all."""
        return b""


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool | dict | list):
        return to_json(value).decode()
    return value


class JsonRows:
    """The JSON of an answer whose last field is its list of rows, empty in `answer`."""

    def __init__(self, answer: msgspec.Struct) -> None:
        self._frame = to_json(answer)
        self._between = b""

    def head(self) -> bytes:
        """All before the first row."""
        return self._frame[:-2]

    def rows(self, block: Block) -> bytes:
        """The rows, with a comma before any but the first block's."""
        between, self._between = self._between, b","
        return between + to_json(block)[1:-1]

    def tail(self) -> bytes:
        """The closing brackets."""
        return self._frame[-2:]


class NpyRows:
    """numpy's own file format, without pickle, of an array (length, m) that comes in blocks."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._shape, self._dtype = shape, dtype

    def head(self) -> bytes:
        """The header with shape and type."""
        return npy_head(self._shape, self._dtype)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return len(self.head()) + math.prod(self._shape) * self._dtype.itemsize

    def rows(self, block: Block) -> bytes:
        """The rows as they lie in memory."""
        return np.ascontiguousarray(block, dtype=self._dtype).tobytes()

    def tail(self) -> bytes:
        """Nothing: the header told the length."""
        return b""


def write(encoder: Encoder, block: Block) -> bytes:
    """A whole table in one piece."""
    return b"".join((encoder.head(), encoder.rows(block), encoder.tail()))
