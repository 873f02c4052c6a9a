"""The formats that answers have, and which of them a resource offers.

A new format is an object here, its encoder, and its name in what resources offer; whatever differs
by format is asked of the object, never of its name.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from service.formats.npy import NpyRows, npy_bytes
from service.formats.tables import AnyArray, Encoder, Table, to_json, write
from service.formats.text import CsvRows, JsonRows


@dataclass(frozen=True, eq=False)
class Format:
    """A representation of answers.

    `encoder` writes an answer's table; it is told the number of rows of one that comes in blocks.
    """

    name: str  # for the parameter `format`
    media_type: str
    encoder: Callable[[msgspec.Struct, Table, int], Encoder]
    is_text: bool = False  # worth packing; a few rows are written at once, many in small blocks
    is_whole: bool = False  # it carries the answer itself, not its table alone
    is_kept: bool = False  # outputs over all pairs are kept in it, ready to be sent
    of_array: Callable[[AnyArray], bytes] | None = None  # how it holds an array, if it does

    def encode(self, answer: msgspec.Struct, table: Table | None, array: AnyArray | None) -> bytes:
        """A whole answer: its array where the format holds arrays, itself, or its table."""
        if self.of_array and array is not None:
            return self.of_array(array)
        if table is None or self.is_whole:
            return to_json(answer)
        return write(self.encoder(answer, table, len(table.rows)), table.rows)


def _json(answer: msgspec.Struct, _table: Table, _length: int) -> Encoder:
    return JsonRows(answer)


def _csv(_answer: msgspec.Struct, table: Table, _length: int) -> Encoder:
    return CsvRows(table.columns)


# pyarrow is imported for the first who asks for one of the next two.
def _arrow(_answer: msgspec.Struct, table: Table, _length: int) -> Encoder:
    from service.formats.arrow import ArrowRows

    return ArrowRows(table.columns, table.about)


def _parquet(_answer: msgspec.Struct, table: Table, _length: int) -> Encoder:
    from service.formats.arrow import ParquetRows

    return ParquetRows(table.columns, table.about)


def _npy(_answer: msgspec.Struct, table: Table, length: int) -> Encoder:
    [dtype] = set(table.columns.values())
    return NpyRows((length, *(dtype.shape or (len(table.columns),))), dtype.base)


JSON = Format("json", "application/json", _json, is_text=True, is_whole=True)
CSV = Format("csv", "text/csv", _csv, is_text=True)
ARROW = Format("arrow", "application/vnd.apache.arrow.stream", _arrow)
PARQUET = Format("parquet", "application/vnd.apache.parquet", _parquet)
NPY = Format("npy", "application/x-npy", _npy, is_kept=True, of_array=npy_bytes)

Formats = tuple[Format, ...]
FORMATS = {known.name: known for known in (JSON, CSV, ARROW, PARQUET, NPY)}

# What a resource offers, its default first.
RECORD: Formats = (JSON,)
TABLE: Formats = (JSON, CSV, ARROW, PARQUET)
TABLE_OF_NUMBERS: Formats = (*TABLE, NPY)
ARRAY: Formats = (NPY, *TABLE)
