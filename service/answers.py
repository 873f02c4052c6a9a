"""From a request to its answer: what is settled before any work, and how the work is sent."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response
from litestar.response import Stream
from litestar.types import Receive, Scope, Send
from numpy.typing import NDArray

from service.caching import RestsOn, cache_control, etag, same, weak_tag
from service.context import Asked, Context, find
from service.formats import MEDIA_TYPES, encode, encoder, negotiate
from service.queries import Query, check_query, in_order
from service.requests import header
from service.tables import Block, Encoder, NpyRows, Table

NO_BODY: Any = {"type": "http.response.body", "body": b"", "more_body": False}
INLINE_CELLS = 2048  # encoding more would keep others waiting: a thread does it


@dataclass(frozen=True)
class Resource:
    """What a route declares of its answers: the formats on offer, the default first."""

    formats: tuple[str, ...]
    rests_on: RestsOn | None = None  # None: nothing that is known before the work


@dataclass(frozen=True)
class Agreed:
    """What is settled of an answer before any work: its format and headers."""

    format: str
    headers: dict[str, str]


class NotModified(Response[bytes]):
    """304, with the headers of the answer that still stands.

    Sent past the framework's rendering, which would take as long as all that was done before it.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(b"")
        lines = [(n.lower().encode(), value.encode()) for n, value in headers.items()]
        self._start: Any = {"type": "http.response.start", "status": 304, "headers": lines}

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """The application that sends it."""
        return self._send

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(self._start)
        await send(NO_BODY)


async def settle(context: Context, request: Request[Any, Any, Any]) -> Response[Any] | None:
    """Check the query, agree on the format, find the run and step; 304 for what still stands.

    Raises InvalidInput, FormatNotOffered, RunNotFound, StepNotFound, LabelNotReached.
    """
    if request.method == "OPTIONS":
        return _options(request)
    resource: Resource = request.route_handler.opt["resource"]
    query = check_query(request)
    chosen, headers = "", {}
    if resource.formats:
        accept = header(request, b"accept")
        chosen = negotiate(dict(query).get("format"), accept, resource.formats)
        headers["Vary"] = "Accept, Accept-Encoding"
    if "run" in request.path_params:
        request.scope["state"]["asked"] = asked = await find(context, request)
        if request.method == "GET" and resource.rests_on:
            headers |= _validators(request, asked, resource.rests_on, query, chosen)
    request.scope["state"]["agreed"] = Agreed(chosen, headers)
    given = header(request, b"if-none-match")
    # Whether `*` names anything is known only after the work.
    if given and given != "*" and "ETag" in headers and same(given, headers["ETag"]):
        return NotModified(headers)
    return None


def _options(request: Request[Any, Any, Any]) -> Response[None]:
    """The answer to OPTIONS; the framework's own names one method where a path has two."""
    path = request.scope["path_template"]
    [methods] = (route.methods for route in request.app.routes if route.path_format == path)
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})


def _validators(
    request: Request[Any, Any, Any],
    asked: Asked,
    rests_on: RestsOn,
    query: Query,
    chosen: str,
) -> dict[str, str]:
    """ETag, Cache-Control and, for a label, the Content-Location of the numbered resource."""
    if rests_on == "keys" and dict(query).get("keys", "final") != "final":
        rests_on = "checkpoint"  # the request names other frequencies than the run's
    rest = [item for item in query if item[0] != "format"]
    headers = {
        "ETag": etag(asked, rests_on, rest, chosen),
        "Cache-Control": cache_control(asked, rests_on, bool(header(request, b"authorization"))),
    }
    if asked.label:
        text = request.scope["query_string"].decode("latin-1")
        headers["Content-Location"] = f"{asked.path}?{text}" if text else asked.path
    return headers


def agreed(request: Request[Any, Any, Any]) -> Agreed:
    """What `settle` settled for a request."""
    found: Agreed = request.scope["state"]["agreed"]
    return found


def stands(request: Request[Any, Any, Any], headers: Mapping[str, str]) -> bool:
    """Whether the client has the answer that these are the headers of."""
    given = header(request, b"if-none-match")
    return bool(given) and "ETag" in headers and same(given, headers["ETag"])


async def respond(
    request: Request[Any, Any, Any],
    answer: msgspec.Struct,
    table: Table | None = None,
    array: NDArray[Any] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    apart: bool = False,
) -> Response[Any]:
    """The answer in the format agreed on: itself as JSON, its table, or its array as npy.

    `apart` says that its cells hold much: a thread encodes them. Where nothing was known before
    the work, the answer's own bytes make the ETag.
    """
    chosen = agreed(request).format
    small = table is None or len(table.rows) * len(table.columns) <= INLINE_CELLS
    if small and not apart and chosen in ("json", "csv"):
        body = encode(chosen, answer, table, array)
    else:
        body = await asyncio.to_thread(encode, chosen, answer, table, array)
    headers = {**agreed(request).headers, **headers}
    if request.method == "GET" and "ETag" not in headers:
        headers |= {"ETag": weak_tag(body), "Cache-Control": "no-cache"}
    if stands(request, headers):
        return NotModified(headers)
    return Response(body, media_type=MEDIA_TYPES[chosen], headers=headers)


async def stream(
    request: Request[Any, Any, Any],
    answer: msgspec.Struct,
    table: Table,
    blocks: AsyncIterator[Block],
    length: int = 0,
) -> Response[Any]:
    """The answer block by block, in constant memory: the next is made when the last is taken.

    The first is made here, under the caller's permit. A reader that is slow holds none.
    """
    chosen = agreed(request).format
    writer = await asyncio.to_thread(encoder, chosen, answer, table, length)
    headers = dict(agreed(request).headers)
    if isinstance(writer, NpyRows):
        headers["Content-Length"] = str(writer.size)
    if stands(request, headers):  # by `*`: an ETag has been compared before
        return NotModified(headers)
    first = writer.head() + await asyncio.to_thread(writer.rows, await anext(blocks))
    return Stream(
        _pieces(first, writer, blocks),
        media_type=MEDIA_TYPES[chosen],
        headers=headers,
    )


async def _pieces(
    first: bytes, writer: Encoder, blocks: AsyncIterator[Block]
) -> AsyncIterator[bytes]:
    yield first
    async for block in blocks:
        yield await asyncio.to_thread(writer.rows, block)
    yield await asyncio.to_thread(writer.tail)


def next_link(request: Request[Any, Any, Any], cursor: str | int | None) -> dict[str, str]:
    """The Link header of the following page; none after the last, whose cursor is None."""
    if cursor is None:
        return {}
    others = [item for item in in_order(request) if item[0] != "after"]
    query = urlencode([*others, ("after", cursor)])
    return {"Link": f'<{request.scope["path"]}?{query}>; rel="next"'}
