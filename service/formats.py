"""Which representation an answer has: `format` first, then Accept, then the resource's default."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response
from litestar.params import QueryParameter

from service.errors import FormatNotOffered
from service.queries import in_order

MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "npy": "application/x-npy",
}

QUALITY = re.compile(r"0(\.\d*)?|1(\.0*)?")


def _qualities(header: str) -> dict[str, float]:
    """Media ranges of an Accept header and their quality, 0..1; an unreadable quality is 0."""
    ranges = {}
    for item in header.lower().split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        ranges[media] = float(quality) if QUALITY.fullmatch(quality) else 0.0
    return ranges


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
    ranges = _qualities(header.strip() or "*/*")
    best = max(offered, key=lambda name: _quality(ranges, MEDIA_TYPES[name]))  # ties: the first
    if _quality(ranges, MEDIA_TYPES[best]) == 0:
        raise FormatNotOffered(header, [MEDIA_TYPES[name] for name in offered])
    return best


def csv_bytes(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    """Rows as CSV with a header line, values written as JSON writes them; None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool | dict):
        return msgspec.json.encode(value).decode()
    return value


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


def table(answer: msgspec.Struct, rows: str, columns: Sequence[str]) -> dict[str, Maker]:
    """An answer as JSON, or the columns `columns` of its list of rows `rows` as CSV."""
    return {
        **only_json(answer),
        "csv": lambda: csv_bytes(msgspec.to_builtins(getattr(answer, rows)), columns),
    }


def next_link(request: Request[Any, Any, Any], cursor: str | int | None) -> dict[str, str]:
    """The Link header of the following page; none after the last, whose cursor is None."""
    if cursor is None:
        return {}
    others = [item for item in in_order(request) if item[0] != "after"]
    query = urlencode([*others, ("after", cursor)])
    return {"Link": f'<{request.scope["path"]}?{query}>; rel="next"'}
