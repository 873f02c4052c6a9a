"""Which representation an answer has: `format` first, then Accept, then the resource's default."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from litestar.params import QueryParameter
from numpy.typing import NDArray

from service.errors import FormatNotOffered
from service.tables import CsvRows, Encoder, JsonRows, NpyRows, Table, to_json, write

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

QUALITY = re.compile(r"0(\.\d*)?|1(\.0*)?")

FormatQuery = Annotated[
    str | None,
    QueryParameter(name="format", description="The representation; it wins over Accept."),
]


def qualities(header: str) -> dict[str, float]:
    """The entries of an Accept or Accept-Encoding header and their quality, 0..1.

    An unreadable quality is 0.
    """
    found = {}
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        found[name] = float(quality) if QUALITY.fullmatch(quality) else 0.0
    return found


def _quality(ranges: Mapping[str, float], media_type: str) -> float:
    """What the most specific range says of a media type."""
    kind = media_type.partition("/")[0]
    return next((ranges[r] for r in (media_type, f"{kind}/*", "*/*") if r in ranges), 0.0)


def negotiate(asked: str | None, header: str, offered: Sequence[str]) -> str:
    """The format of the answer, one of `offered`, from `format` and Accept; default the first.

    Raises FormatNotOffered for an unknown `format`, or when Accept admits none on offer.
    """
    if asked is not None:
        if asked not in offered:
            raise FormatNotOffered(asked, offered)
        return asked
    if header in ("", "*/*"):
        return offered[0]
    ranges = qualities(header.strip() or "*/*")
    best = max(offered, key=lambda name: _quality(ranges, MEDIA_TYPES[name]))  # ties: the first
    if _quality(ranges, MEDIA_TYPES[best]) == 0:
        raise FormatNotOffered(header, [MEDIA_TYPES[name] for name in offered])
    return best


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
    from service.arrow import ArrowRows, ParquetRows

    return (ArrowRows if chosen == "arrow" else ParquetRows)(table.columns, table.about)


def encode(
    chosen: str, answer: msgspec.Struct, table: Table | None, array: NDArray[Any] | None
) -> bytes:
    """A whole answer in a format: itself as JSON, its table, or its array as npy."""
    if chosen == "npy" and array is not None:
        return write(NpyRows(array.shape, array.dtype), array)
    if table is None or chosen == "json":
        return to_json(answer)
    return write(encoder(chosen, answer, table), table.rows)
