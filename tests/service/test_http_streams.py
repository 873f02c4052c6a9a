"""The HTTP layer against h11, a strict parser: the same requests, or a refusal and a close.

There is no third outcome: no request that h11 does not see, none with another body, none lost while
the connection goes on.
"""

import asyncio
import random
import re
import socket
from collections.abc import Sequence
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.server.protocol import Protocol
from service.server.server import Server
from tests.support import streams
from tests.support.served import PATIENCE_S
from tests.support.stores import with_loop
from tests.support.streams import EARLY, Seen

STREAMS = 10_000
CONFIG = uvicorn.Config(cast(Any, None), log_config=None, access_log=False, ws="none")
STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")
NUMBER = re.compile(rb"\r\nx-number: (\d+)\r\n")


class Wire(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.ended = self.paused = False

    def write(self, data: Any) -> None:
        """Keep it."""
        assert not self.ended
        self.written += data

    def write_eof(self) -> None:
        """The last was written."""
        self.ended = True

    def close(self) -> None:
        """The last was written."""
        self.ended = True

    def is_closing(self) -> bool:
        """Whether the last was written."""
        return self.ended

    def pause_reading(self) -> None:
        """Nothing more may come."""
        self.paused = True

    def resume_reading(self) -> None:
        """It may."""
        self.paused = False


def as_h11(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header as h11 gives it."""
    if name == b"x-upgrade":
        return b"upgrade", value
    return name, value.lower() if name == b"transfer-encoding" else value


class Recorder:
    """An application that keeps the requests that it has read, and numbers its answers."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read, keep, answer."""
        target = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        body: bytes | None = b""
        if target == EARLY:
            body = None
        else:
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    return
                body += message["body"]
                more = message["more_body"]
        lines = [as_h11(name, value) for name, value in scope["headers"]]
        number = b"%d" % len(self.seen)
        self.seen.append(Seen(scope["method"].encode(), target, lines, body))
        headers = [(b"x-number", number), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


async def served(parts: Sequence[bytes], rng: random.Random) -> tuple[list[Seen], Wire]:
    """What our protocol sees of a connection, and what it has written to it."""
    app, wire = Recorder(), Wire()
    protocol = Protocol(CONFIG, ServerState(), {})
    protocol.app = cast(Any, app)
    protocol.connection_made(wire)
    pace = min(1, rng.random() * 10 / len(parts))  # turns of the loop between two parts
    for part in parts:
        while wire.paused and not wire.ended:
            await asyncio.sleep(0)
        protocol.data_received(part)
        if rng.random() < pace:
            await asyncio.sleep(0)
    await settled(app, wire)
    protocol.connection_lost(None)
    await asyncio.gather(*protocol.tasks)
    return app.seen, wire


async def settled(app: Recorder, wire: Wire) -> None:
    """Return when nothing happens any more."""
    before, quiet = (0, 0), 0
    while quiet < 5:
        await asyncio.sleep(0)
        now = len(app.seen), len(wire.written)
        before, quiet = now, quiet + 1 if now == before else 0


def check(text: bytes, is_sound: bool, seen: list[Seen], wire: Wire) -> bool:
    """Compare with h11; whether it was refused."""
    expected, is_refused_there = streams.reference(text)
    statuses = [int(s) for s in STATUS.findall(wire.written) if s != b"100"]
    numbers = [int(n) for n in NUMBER.findall(wire.written)]
    if len(numbers) < len(seen) and seen[-1].body is None:  # its body was refused before its turn
        seen = seen[:-1]
    answered = [200] * len(seen)
    assert numbers == list(range(len(seen))), "each is answered once, in its turn"
    assert statuses in (answered, [*answered, statuses[-1] if statuses else 0])
    assert seen == expected[: len(seen)]
    is_refused = len(statuses) > len(seen)
    if is_refused:
        assert 400 <= statuses[-1] < 600
        assert wire.ended
        assert not is_sound
    elif len(seen) < len(expected) or is_refused_there:
        # What is broken is the rest of a request that has its answer: closed, and nothing is said.
        assert seen[-1].body is None
        assert wire.ended
        assert not is_sound
    return is_refused


@pytest.mark.parametrize("thousand", range(STREAMS // 1_000))
@with_loop
async def test_streams_are_read_as_h11_reads_them(thousand: int) -> None:
    """Pipelined, in chunks, with upgrades, odd, broken, and cut anywhere, or at every byte."""
    refused = 0
    for number in range(thousand * 1_000, (thousand + 1) * 1_000):
        rng = random.Random(number)
        text, is_sound = streams.stream(rng)
        seen, wire = await served(streams.parts(rng, text), rng)
        try:
            refused += check(text, is_sound, seen, wire)
        except AssertionError as error:
            pytest.fail(f"stream {number}: {text!r}\n{bytes(wire.written)!r}\n{error}")
    assert 300 < refused < 700


@with_loop
async def test_streams_cut_at_every_byte() -> None:
    """In two, at each place: the outcome is that of the whole."""
    for number in range(20):
        rng = random.Random(f"cut {number}")
        text, is_sound = streams.stream(rng)
        for at in range(len(text)):
            seen, wire = await served([text[:at], text[at:]], rng)
            try:
                check(text, is_sound, seen, wire)
            except AssertionError as error:
                pytest.fail(f"stream {number} at {at}: {text!r}\n{error}")


LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@with_loop
async def test_streams_over_sockets() -> None:
    """The same through a server, for streams after which it closes."""
    app = Recorder()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Server(cast(Any, app), lambda: None, 75)
        serving = asyncio.create_task(running.serve(sockets=[listener]))
        for number in range(300):
            rng = random.Random(f"socket {number}")
            text, is_sound = streams.stream(rng)
            expected, is_refused = streams.reference(text + LAST)
            if not is_refused and (not expected or expected[-1].target != b"/last"):
                continue  # LAST is swallowed by what is not whole: nobody closes
            app.seen = []
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            for part in streams.parts(rng, text + LAST):
                writer.write(part)
                await asyncio.sleep(0)
            wire = Wire()
            async with asyncio.timeout(PATIENCE_S):
                wire.write(await reader.read())
            wire.close()
            writer.close()
            check(text + LAST, is_sound, app.seen, wire)
        running.should_exit = True
        await serving
