"""Live events: gone on with where the connection was cut."""

from collections.abc import Iterator

import httpx

from grokprobe.client.asking import Ask
from grokprobe.client.events import LAST, Event, Reader, Returning
from grokprobe.client.replies import AGAIN, failed
from grokprobe.client.synchronous.connection import Connection
from grokprobe.client.waiting import sleep


def listen(connection: Connection, asked: Ask, after: str | None) -> Iterator[Event]:
    """Events until the run has ended; each cut is mended with the id of the last one seen."""
    reader, returning = Reader(after), Returning(connection.place.wait_s)
    while True:
        try:
            with connection.opened(asked, reader.headers()) as reply:
                if reply.status_code == 204:
                    return
                returning.succeeded()
                for event in _events(connection, reader, reply):
                    yield event
                    if event.event in LAST:
                        return
        except AGAIN as error:
            sleep(returning.pause(error))
        else:
            sleep(returning.pause(None))


def _events(connection: Connection, reader: Reader, reply: httpx.Response) -> Iterator[Event]:
    try:
        for line in reply.iter_lines():
            for event in reader.read(line):
                yield event
    except httpx.TransportError as error:
        raise failed(connection.place.scope, error) from error
