"""Clients that send slowly, endlessly or nonsense: cut with a status and one line in the log."""

import asyncio
import json
import socket
from typing import Any

import pytest

from service.server import protocol
from service.server.heads import HEAD_BYTES
from service.server.server import Server
from tests.support.served import PATIENCE_S, Served, have_read
from tests.support.stores import with_loop

HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


def connect(served: Served) -> socket.socket:
    """A connection of its own."""
    address = ("127.0.0.1", served.client.base_url.port or 0)
    return socket.create_connection(address, timeout=PATIENCE_S)


def answer(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and problem of the answer after which the server closed."""
    received = b""
    while data := connection.recv(65_536):
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


def test_nonsense(served: Served) -> None:
    """What is no HTTP is answered with a problem and a request id, and the process goes on."""
    with connect(served) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        status, headers, problem = answer(client)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert problem["request_id"] == headers["x-request-id"]
    assert served.client.get("/livez").status_code == 200


@pytest.mark.parametrize("unit", [b"a: b\r\n", b"x"])
def test_a_head_without_end(served: Served, unit: bytes) -> None:
    """Header after header, or one that never ends: 431 beyond HEAD_BYTES."""
    with connect(served) as client:
        client.sendall(HEAD + unit * (HEAD_BYTES // len(unit)))
        status, _, problem = answer(client)
    assert status == 431
    assert str(HEAD_BYTES) in str(problem["detail"])
    assert served.log.read_text().count("above 65536 bytes") >= 1


def test_a_long_body_before_a_head_in_parts(served: Served) -> None:
    """What counts as head is the head alone; requests sent together are all answered."""
    body = b" " * 70_000 + b'{"pairs": [[1, 2]]}'
    path = b"/v1/runs/tiny/checkpoints/latest/predictions"
    lines = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, len(body))
    with connect(served) as client:
        client.sendall(lines + body + HEAD[:20])
        have_read(served)
        client.sendall(HEAD[20:] + b"Connection: close\r\n\r\n")
        received = b""
        while data := client.recv(65_536):
            received += data
    assert received.count(b"HTTP/1.1 200 OK") == 2


async def _silent(_scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (HEAD, b"HTTP/1.1 408"),  # the head of the first request is late
        (HEAD + b"\r\n" + HEAD, b"HTTP/1.1 408"),  # that of the second
        (b"", b""),  # nothing was ever sent, so nothing is said
        (HEAD + b"\r\n\r\n", b"HTTP/1.1 204"),  # what follows an answer begins no head
    ],
)
@with_loop
async def test_a_head_that_is_late(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes, expected: bytes
) -> None:
    """After HEAD_S the connection is closed, with one line in the log where a request had begun."""
    monkeypatch.setattr(protocol, "HEAD_S", 0.1)
    is_idle = not sent or sent.endswith(b"\n\r\n\r\n")
    caplog.set_level("INFO", "grokprobe.service")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Server(_silent, lambda: None, 1 if is_idle else 60)
        serving = asyncio.create_task(running.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        writer.write(sent)
        async with asyncio.timeout(PATIENCE_S):
            received = await reader.read()
        writer.close()
        running.should_exit = True
        await serving
    assert received.count(b"HTTP/1.1 204") == sent.count(HEAD + b"\r\n")
    assert expected in received
    lines = [r for r in caplog.records if r.name == "grokprobe.service"]
    assert len(lines) == (b"408" in expected)
