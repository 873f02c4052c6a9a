"""Live events: gone on with where the connection was cut."""

from collections.abc import AsyncIterator

import httpx

from grokprobe.client.asking import Ask
from grokprobe.client.asynchronous.connection import AsyncConnection
from grokprobe.client.events import LAST, Event, Reader, Returning
from grokprobe.client.replies import AGAIN, failed
from grokprobe.client.waiting import sleep_async


async def listen(
    connection: AsyncConnection, asked: Ask, after: str | None
) -> AsyncIterator[Event]:
    """Events until the run has ended; each cut is mended with the id of the last one seen."""
    reader, returning = Reader(after), Returning(connection.place.wait_s)
    while True:
        try:
            async with connection.opened(asked, reader.headers()) as reply:
                if reply.status_code == 204:
                    return
                returning.succeeded()
                async for event in _events(connection, reader, reply):
                    yield event
                    if event.event in LAST:
                        return
        except AGAIN as error:
            await sleep_async(returning.pause(error))
        else:
            await sleep_async(returning.pause(None))


async def _events(
    connection: AsyncConnection, reader: Reader, reply: httpx.Response
) -> AsyncIterator[Event]:
    try:
        async for line in reply.aiter_lines():
            for event in reader.read(line):
                yield event
    except httpx.TransportError as error:
        raise failed(connection.place.scope, error) from error
