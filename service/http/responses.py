"""How finished work is sent: whole, or block by block."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from urllib.parse import urlencode

import msgspec
from litestar import Response
from litestar.response import Stream

from service.formats.tables import AnyArray, Block, Encoder, Table
from service.http.asgi import AnyRequest, AnyResponse
from service.http.caching import weak_tag
from service.http.preconditions import NotModified, Reply
from service.http.queries import in_order

INLINE_CELLS = 2048  # encoding more would keep others waiting: a thread does it


async def respond(
    reply: Reply,
    answer: msgspec.Struct,
    table: Table | None = None,
    array: AnyArray | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
    apart: bool = False,
) -> AnyResponse:
    """The answer in the format negotiated on: itself as JSON, its table, or its array as npy.

    `apart` says that its cells hold much: a thread encodes them. Where nothing was known before
    the work, the answer's own bytes make the ETag.
    """
    chosen = reply.format
    small = table is None or len(table.rows) * len(table.columns) <= INLINE_CELLS
    if small and not apart and chosen.is_text:
        body = chosen.encode(answer, table, array)
    else:
        body = await asyncio.to_thread(chosen.encode, answer, table, array)
    headers = {**reply.headers, **headers}
    if reply.is_get and "ETag" not in headers:
        headers |= {"ETag": weak_tag(body), "Cache-Control": "no-cache"}
    if reply.stands(headers):
        return NotModified(headers)
    return Response(body, media_type=chosen.media_type, headers=headers)


async def stream(
    reply: Reply,
    answer: msgspec.Struct,
    table: Table,
    blocks: AsyncIterator[Block],
    length: int = 0,
) -> AnyResponse:
    """The answer block by block, in constant memory: the next is made when the last is taken.

    The first is made here, under the caller's permit. A reader that is slow holds none.
    """
    chosen = reply.format
    writer = await asyncio.to_thread(chosen.encoder, answer, table, length)
    headers = dict(reply.headers)
    if writer.size is not None:
        headers["Content-Length"] = str(writer.size)
    if reply.stands(headers):  # by `*`: an ETag has been compared before
        return NotModified(headers)
    first = writer.head() + await asyncio.to_thread(writer.rows, await anext(blocks))
    return Stream(
        _pieces(first, writer, blocks),
        media_type=chosen.media_type,
        headers=headers,
    )


async def _pieces(
    first: bytes, writer: Encoder, blocks: AsyncIterator[Block]
) -> AsyncIterator[bytes]:
    yield first
    async for block in blocks:
        yield await asyncio.to_thread(writer.rows, block)
    yield await asyncio.to_thread(writer.tail)


def next_link(request: AnyRequest, cursor: str | int | None) -> dict[str, str]:
    """The Link header of the following page; none after the last, whose cursor is None."""
    if cursor is None:
        return {}
    others = [item for item in in_order(request) if item[0] != "after"]
    query = urlencode([*others, ("after", cursor)])
    return {"Link": f'<{request.scope["path"]}?{query}>; rel="next"'}
