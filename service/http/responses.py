"""How finished work is sent: whole, block by block, or the part of it that is asked for."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlencode

import msgspec
from litestar import Response
from litestar.response import Stream

from service.formats.answers import NO_HEADERS
from service.formats.tables import AnyArray, Blocks, Encoder, Table
from service.http.asgi import AnyRequest, AnyResponse
from service.http.caching import weak_tag
from service.http.links import link
from service.http.preconditions import Reply, send
from service.http.queries import in_order
from service.http.ranges import content_range
from service.runs.view import RunView

INLINE_CELLS = 2048  # encoding more would keep others waiting: a thread does it


async def respond(
    reply: Reply,
    answer: msgspec.Struct,
    table: Table | None = None,
    array: AnyArray | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
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
    if reply.is_get and "ETag" not in {**reply.headers, **headers}:
        headers = {**headers, "ETag": weak_tag(body), "Cache-Control": "no-cache"}
    if reply.parts and reply.parts.is_wanted:
        reply.parts.answers.keep(reply.headers["ETag"], body, headers)
    return send(reply, body, chosen.media_type, headers)


async def stream(reply: Reply, answer: msgspec.Struct, table: Table, blocks: Blocks) -> AnyResponse:
    """The answer block by block, in constant memory: the next is made when the last is taken.

    The first is made here, under the caller's permit. A reader that is slow holds none. Who reads
    by parts needs the length: it is known before where all rows are alike, and else the answer is
    made whole and kept, if it is not too large.
    """
    chosen, parts = reply.format, reply.parts
    writer = await asyncio.to_thread(chosen.encoder, answer, table, blocks.length)
    if unchanged := reply.not_modified(reply.headers):  # by `*`: a tag has been compared before
        return unchanged
    if writer.row_bytes is not None:
        return await _stream_rows(reply, writer, writer.row_bytes, blocks)
    if parts and parts.is_wanted:
        tag = reply.headers["ETag"]
        body = await parts.answers.gather(tag, lambda: _pieces(writer, blocks))
        if body is not None:
            return send(reply, body, chosen.media_type)
        writer = await asyncio.to_thread(chosen.encoder, answer, table, blocks.length)
        return await _sent(reply, _pieces(writer, blocks), {"Accept-Ranges": "none"})
    return await _sent(reply, _pieces(writer, blocks), {})


async def _stream_rows(
    reply: Reply, writer: Encoder, row_bytes: int, blocks: Blocks
) -> AnyResponse:
    """An answer of rows that have a length: its blocks, or those that hold the part asked for."""
    head, parts = len(writer.head()), reply.parts
    size = head + blocks.length * row_bytes + len(writer.tail())
    if parts and parts.is_head:
        headers = {**reply.headers, "Accept-Ranges": "bytes", "Content-Length": str(size)}
        return Response(b"", media_type=reply.format.media_type, headers=headers)
    part = parts.of(reply.headers["ETag"], size) if parts else None
    sent = part or range(size)
    block_bytes = blocks.size * row_bytes
    number = min(max(0, sent.start - head) // block_bytes, max(0, blocks.length - 1) // blocks.size)
    skipped = head + number * block_bytes if number else 0
    pieces = _pieces(writer, blocks, number)
    headers = {"Content-Length": str(len(sent)), **(content_range(part, size) if part else {})}
    return await _sent(reply, _cut(pieces, sent.start - skipped, len(sent)), headers)


async def _pieces(writer: Encoder, blocks: Blocks, number: int = 0) -> AsyncIterator[bytes]:
    """What a writer makes of the blocks from a number on; before the first stands the head."""
    before = b"" if number else writer.head()
    async for block in blocks.of(number):
        yield before + await asyncio.to_thread(writer.rows, block)
        before = b""
    yield before + await asyncio.to_thread(writer.tail)


async def _cut(pieces: AsyncIterator[bytes], skipped: int, length: int) -> AsyncIterator[bytes]:
    """So many bytes of what comes in pieces, after those that are skipped."""
    async for piece in pieces:
        found = piece[skipped : skipped + length]
        skipped, length = max(0, skipped - len(piece)), length - len(found)
        if found:
            yield found
        if not length:
            return


async def _sent(
    reply: Reply, pieces: AsyncIterator[bytes], headers: Mapping[str, str]
) -> AnyResponse:
    """A response of pieces, the first of which is made here."""
    first = await anext(pieces, b"")

    async def every() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    ranges = {"Accept-Ranges": "bytes"} if reply.parts else {}
    return Stream(
        every(),
        status_code=206 if "Content-Range" in headers else 200,
        media_type=reply.format.media_type,
        headers={**reply.headers, **ranges, **headers},
    )


def cite_as(request: AnyRequest, view: RunView) -> dict[str, str]:
    """The Link header (RFC 8574) of what fixes a run by its digest; none while it goes on."""
    if view.completion is None:
        return {}
    address = link(request.scope, *view.card)
    return {"Link": f'<{address}>; rel="cite-as"'}


def next_link(request: AnyRequest, cursor: str | int | None) -> dict[str, str]:
    """The Link header of the following page; none after the last, whose cursor is None."""
    if cursor is None:
        return {}
    others = [item for item in in_order(request) if item[0] != "after"]
    query = urlencode([*others, ("after", cursor)])
    return {"Link": f'<{link(request.scope, request.scope["path"], query)}>; rel="next"'}
