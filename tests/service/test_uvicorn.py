"""The inside of uvicorn and httptools that service/server stands on: what a new version may move.

`Protocol` overrides methods and reads attributes, `Server` too, `Joined` knows how a head is
written and `ReadAhead` what pauses. Look at all four before a bound in pyproject.toml is raised.
"""

import asyncio
import inspect
from typing import Any

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.support.stores import with_loop

SIGNATURES = {
    HttpToolsProtocol.connection_made: "(self, transport: 'asyncio.Transport') -> 'None'",
    HttpToolsProtocol.data_received: "(self, data: 'bytes') -> 'None'",
    HttpToolsProtocol.on_header: "(self, name: 'bytes', value: 'bytes') -> 'None'",
    HttpToolsProtocol.on_headers_complete: "(self) -> 'None'",
    HttpToolsProtocol.on_message_complete: "(self) -> 'None'",
    HttpToolsProtocol.on_response_complete: "(self) -> 'None'",
    FlowControl.resume_reading: "(self) -> None",
    uvicorn.Server.__init__: "(self, config: 'Config') -> 'None'",
    uvicorn.Server.on_tick: "(self, counter: 'int') -> 'bool'",
    uvicorn.Server.main_loop: "(self) -> 'None'",
}
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Recorded(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written.append(data)

    def is_closing(self) -> bool:
        """Never."""
        return False


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    """Two bytes of known length."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def protocol() -> Any:
    """uvicorn's own, connected to nobody."""
    config = uvicorn.Config(app, log_config=None, access_log=False)
    return HttpToolsProtocol(config, ServerState(), {})


@pytest.mark.parametrize("method", SIGNATURES, ids=lambda method: method.__qualname__)
def test_what_is_overridden_has_its_signature(method: Any) -> None:
    """Parameters by name and type, and what comes back."""
    assert str(inspect.signature(method)) == SIGNATURES[method]
    assert inspect.iscoroutinefunction(method) == (method.__name__ in ("on_tick", "main_loop"))


def test_what_is_read_of_the_server() -> None:
    """Connections and tasks by the server's state; whether a second signal came."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    assert (server.server_state.connections, server.server_state.tasks) == (set(), set())
    assert server.force_exit is False


@with_loop
async def test_head_and_body_are_two_writes() -> None:
    """The head names the length in small letters and is whole; the body follows it at once."""
    found, transport = protocol(), Recorded()
    assert found.cycle is None
    found.connection_made(transport)
    found.data_received(REQUEST)
    await asyncio.gather(*found.tasks)
    head, body = transport.written
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-length: 2\r\n" in head
    assert head.endswith(b"\r\n\r\n")
    assert body == b"ok"


@with_loop
async def test_a_cycle_tells_how_far_a_request_is() -> None:
    """There is none before a head is whole; its answer is then begun, and complete."""
    found = protocol()
    found.connection_made(Recorded())
    found.data_received(REQUEST[:10])
    assert [found.cycle] == [None]
    found.data_received(REQUEST[10:])
    first = found.cycle
    assert (first.response_started, first.response_complete) == (False, False)
    assert (first.disconnected, first.message_event.is_set()) == (False, True)
    assert first.scope["headers"] is found.headers
    await asyncio.gather(*found.tasks)
    assert first.response_complete
    found.data_received(REQUEST[:10])
    assert found.cycle is first


class Told:
    """What a parser of httptools tells."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.parser = httptools.HttpRequestParser(self)

    def on_headers_complete(self) -> None:
        """Stop here, if it is an upgrade."""
        self.told.append("headers")
        if self.parser.should_upgrade():
            raise LookupError

    def on_chunk_header(self) -> None:
        """A size."""
        self.told.append("size")

    def on_message_complete(self) -> None:
        """The end."""
        self.told.append("end")


def test_when_the_parser_tells() -> None:
    """A size at the end of its line, a message at its last byte; an error of ours is the cause."""
    found = Told()
    head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    for text, told in ((head, "headers"), (b"3;a\r\n", "size"), (b"abc", ""), (b"\r\n", "")):
        found.told = []
        found.parser.feed_data(text)
        assert found.told == [told][: len(told)]
    for text, expected in ((b"0\r\n", ["size"]), (b"a: b\r\n", []), (b"\r\n", ["end"])):
        found.told = []
        found.parser.feed_data(text)
        assert found.told == expected
    with pytest.raises(httptools.HttpParserCallbackError) as caught:
        Told().parser.feed_data(b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
    assert isinstance(caught.value.__context__, LookupError)
