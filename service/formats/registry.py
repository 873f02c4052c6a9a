"""Which representation an answer has: `format` first, then Accept, then the resource's default."""

from typing import Any

import msgspec
from numpy.typing import NDArray

from service.formats.npy import NpyRows
from service.formats.tables import (
    Encoder,
    Table,
    to_json,
    write,
)
from service.formats.text import CsvRows, JsonRows

MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "npy": "application/x-npy",
}

# What a resource offers, its default first.
JSON = ("json",)
TABLE = ("json", "csv", "arrow", "parquet")
TABLE_OF_NUMBERS = (*TABLE, "npy")
ARRAY = ("npy", *TABLE)


def encoder(chosen: str, answer: msgspec.Struct, table: Table, length: int = 0) -> Encoder:
    """What writes the table of an answer in a format; npy has to know the number of rows before.

    pyarrow is imported for the first who asks for Arrow or Parquet.
    """
    if chosen == "json":
        return JsonRows(answer)
    if chosen == "csv":
        return CsvRows(table.columns)
    if chosen == "npy":
        [dtype] = set(table.columns.values())
        return NpyRows((length, len(table.columns)), dtype)
    from service.formats.arrow import ArrowRows, ParquetRows

    return (ArrowRows if chosen == "arrow" else ParquetRows)(table.columns, table.about)


def encode_answer(
    chosen: str, answer: msgspec.Struct, table: Table | None, array: NDArray[Any] | None
) -> bytes:
    """A whole answer in a format: itself as JSON, its table, or its array as npy."""
    if chosen == "npy" and array is not None:
        return write(NpyRows(array.shape, array.dtype), array)
    if table is None or chosen == "json":
        return to_json(answer)
    return write(encoder(chosen, answer, table), table.rows)
