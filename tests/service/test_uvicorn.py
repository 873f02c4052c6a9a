"""The inside of uvicorn that service/server.py stands on: these fail where a new version moves it.

`Protocol` overrides methods and reads attributes, `Server` too, and `Joined` knows how a head is
written. Look at all three before the bound on uvicorn in pyproject.toml is raised.
"""

import asyncio
import inspect
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tests.support.stores import with_loop

SIGNATURES = {
    HttpToolsProtocol.connection_made: "(self, transport: 'asyncio.Transport') -> 'None'",
    HttpToolsProtocol.data_received: "(self, data: 'bytes') -> 'None'",
    HttpToolsProtocol.on_response_complete: "(self) -> 'None'",
    HttpToolsProtocol.send_400_response: "(self, msg: 'str') -> 'None'",
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
    assert (found.scope, found.cycle) == (None, None)
    found.connection_made(transport)
    found.data_received(REQUEST)
    await asyncio.gather(*found.tasks)
    head, body = transport.written
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-length: 2\r\n" in head
    assert head.endswith(b"\r\n\r\n")
    assert body == b"ok"


@with_loop
async def test_scope_and_cycle_tell_how_far_a_request_is() -> None:
    """A head that has begun has a scope and no cycle; a whole one a cycle of that scope."""
    found = protocol()
    found.connection_made(Recorded())
    found.data_received(REQUEST[:10])
    assert (found.scope is not None, found.cycle) == (True, None)
    found.data_received(REQUEST[10:])
    assert found.cycle.scope is found.scope
    assert not found.cycle.response_complete
    await asyncio.gather(*found.tasks)
    assert found.cycle.response_complete
    found.data_received(REQUEST[:10])
    assert found.cycle.scope is not found.scope
