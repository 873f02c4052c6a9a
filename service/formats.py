"""Which representation an answer has: `format` first, then Accept, then the resource's default."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import numpy as np
from litestar import Request, Response
from litestar.params import QueryParameter
from numpy.typing import NDArray

from service.errors import FormatNotOffered

MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "npy": "application/x-npy",
}


def _accepted(header: str) -> list[tuple[float, int, str]]:
    """Media ranges of an Accept header as (-quality, order, range): sorted, best first."""
    ranges = []
    for order, item in enumerate(header.split(",")):
        media, *parameters = (part.strip() for part in item.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            ranges.append((-float(quality), order, media.lower()))
        except ValueError:
            ranges.append((0.0, order, media.lower()))
    return sorted(r for r in ranges if r[0] < 0)


def _matches(media_range: str, media_type: str) -> bool:
    kind = media_type.partition("/")[0]
    return media_range in ("*/*", f"{kind}/*", media_type)


def negotiate(asked: str | None, header: str, offered: Sequence[str]) -> str:
    """The format of the answer, one of `offered`, from `format` and Accept; default the first.

    Raises FormatNotOffered for an unknown `format`, or when Accept admits none on offer.
    """
    if asked is not None:
        if asked not in offered:
            raise FormatNotOffered(asked, offered)
        return asked
    if not header.strip():
        return offered[0]
    for _, _, media_range in _accepted(header):
        for name in offered:
            if _matches(media_range, MEDIA_TYPES[name]):
                return name
    raise FormatNotOffered(header, [MEDIA_TYPES[name] for name in offered])


def csv_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV with a header line; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def npy_bytes(array: NDArray[Any]) -> bytes:
    """An array in numpy's own file format, without pickle."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    return data.getvalue()


Maker = Callable[[], bytes]


FormatQuery = Annotated[
    str | None,
    QueryParameter(name="format", description="The representation; it wins over Accept."),
]


def respond(
    request: Request[Any, Any, Any],
    asked: str | None,
    makers: Mapping[str, Maker],
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response[Any]:
    """The answer in the negotiated format; `makers` maps each format on offer to its bytes."""
    chosen = negotiate(asked, request.headers.get("accept", ""), list(makers))
    return Response(
        makers[chosen](),
        media_type=MEDIA_TYPES[chosen],
        headers={**headers, "Vary": "Accept"},
    )


def only_json(answer: msgspec.Struct) -> dict[str, Maker]:
    """An answer that has no other form than JSON."""
    return {"json": lambda: msgspec.json.encode(answer)}


def table(answer: msgspec.Struct, rows: str) -> dict[str, Maker]:
    """An answer as JSON, or its list of rows `rows` as CSV."""
    records: Sequence[Any] = getattr(answer, rows)
    return {
        **only_json(answer),
        "csv": lambda: csv_bytes([_flat(record) for record in records]),
    }


def _flat(record: Any) -> dict[str, Any]:
    """A row's scalars by name; nested values and absent ones have no column."""
    fields = record if isinstance(record, dict) else msgspec.structs.asdict(record)
    nested = (list, dict, msgspec.UnsetType)
    return {name: value for name, value in fields.items() if not isinstance(value, nested)}
