"""After SIGTERM each connection is closed by its next answer: nobody meets a closed door."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from tests.support.rolling import read_answer, roll
from tests.support.served import PATIENCE_S, Served, eventually, have_read, serving
from tests.support.tiny import tiny_run

LAST = "/v1/runs/tiny/checkpoints/latest/predictions"
ONE_PAIR = f"{LAST}?a=3&b=5"
BODY = b'{"pairs": [[3, 5]]}'
POST = f"POST {LAST} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
CLOSES = b"\r\nconnection: close\r\n"
FOR_EVER = {"GROKPROBE_DRAIN_S": "86400"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a service that has the run `tiny`, and one that is not complete."""
    found = Settings(home=str(tmp_path_factory.mktemp("home")))
    asyncio.run(_publish(found))
    return found


async def _publish(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        await tiny_run().publish(backends)
        learning = tiny_run("learning")
        await backends.publisher.publish_run(learning.manifest, learning.train_mask)
        await backends.catalogue.rebuild(backends.archive)


def get(path: str) -> bytes:
    """A request that leaves the connection open."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def connect(served: Served) -> socket.socket:
    """A connection to the service."""
    address = ("127.0.0.1", served.client.base_url.port or 0)
    return socket.create_connection(address, timeout=PATIENCE_S)


def stop(served: Served) -> None:
    """SIGTERM, and wait until it was noticed."""
    served.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: served.client.get("/readyz").status_code == 503)
    served.client.close()


@contextmanager
def idle(served: Served) -> Iterator[socket.socket]:
    """A connection that has had an answer, and asks nothing now."""
    with connect(served) as connection:
        connection.sendall(get("/livez"))
        assert CLOSES not in read_answer(connection)
        yield connection


def check_ended(connection: socket.socket, served: Served) -> None:
    """Nothing more comes, and the process ends in peace."""
    assert connection.recv(1) == b""
    connection.close()
    assert served.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in served.log.read_text()


def test_replicas_are_replaced_under_clients(settings: Settings, tmp_path: Path) -> None:
    """Clients that keep connections, and never look at them, lose no request."""
    found = roll(settings, tmp_path, ONE_PAIR, rolls=3, clients=8)
    assert found.outcomes == {"200": found.outcomes.total()}
    assert found.closes >= 3


def test_an_idle_connection_gets_its_next_answer(settings: Settings, tmp_path: Path) -> None:
    """It stays open after SIGTERM; that answer is its last, and then nobody is left."""
    with serving(settings, tmp_path, **FOR_EVER) as own, idle(own) as connection:
        stop(own)
        connection.sendall(get(ONE_PAIR))
        head = read_answer(connection)
        assert (head.startswith(b"HTTP/1.1 200 "), CLOSES in head) == (True, True)
        check_ended(connection, own)


def test_new_connections_are_answered_meanwhile(settings: Settings, tmp_path: Path) -> None:
    """Whoever has not heard of it yet comes, is served, and told to leave."""
    with serving(settings, tmp_path, **FOR_EVER) as own, idle(own) as waits:
        stop(own)
        for path, status in ((ONE_PAIR, b"200"), ("/readyz", b"503"), ("/nowhere", b"404")):
            with connect(own) as late:
                late.sendall(get(path))
                head = read_answer(late)
                assert (head.split()[1], CLOSES in head) == (status, True)
                assert late.recv(1) == b""
        waits.close()
        assert own.process.wait(PATIENCE_S) == 0


def test_an_answer_in_flight_says_so(settings: Settings, tmp_path: Path) -> None:
    """The request had come before SIGTERM, its answer had not begun."""
    with serving(settings, tmp_path, **FOR_EVER) as own, connect(own) as slow:
        slow.sendall(POST[:-5])
        have_read(own)
        stop(own)
        slow.sendall(POST[-5:])
        head = read_answer(slow)
        assert (head.startswith(b"HTTP/1.1 200 "), CLOSES in head) == (True, True)
        check_ended(slow, own)


def test_an_answer_that_had_begun_leaves_its_connection_open(
    settings: Settings, tmp_path: Path
) -> None:
    """A stream of events could not say it any more: it ends, and the next answer says it."""
    with serving(settings, tmp_path, **FOR_EVER) as own, connect(own) as listener:
        listener.sendall(get("/v1/runs/learning/events"))
        data = listener.recv(65_536)
        assert CLOSES not in data
        own.process.send_signal(signal.SIGTERM)
        while not data.endswith(b"0\r\n\r\n"):
            more = listener.recv(65_536)
            assert more
            data += more
        listener.sendall(get(ONE_PAIR))
        assert CLOSES in read_answer(listener)
        own.client.close()
        check_ended(listener, own)


def test_of_pipelined_requests_the_first_is_answered_whole(
    settings: Settings, tmp_path: Path
) -> None:
    """What follows `connection: close` is not answered, and does not cost the answer before it."""
    with serving(settings, tmp_path, **FOR_EVER) as own, idle(own) as connection:
        stop(own)
        connection.sendall(get(ONE_PAIR) + 2000 * get("/livez"))
        assert CLOSES in read_answer(connection)
        check_ended(connection, own)


@pytest.mark.parametrize(
    ("drain_s", "signals"),
    [
        ("86400", [signal.SIGINT]),
        ("86400", [signal.SIGTERM, signal.SIGINT]),
        ("0", [signal.SIGTERM]),
    ],
)
def test_who_does_not_want_to_wait_does_not(
    settings: Settings, tmp_path: Path, drain_s: str, signals: list[signal.Signals]
) -> None:
    """Ctrl-C, also after SIGTERM, and a setting of 0: connections on which nothing comes close."""
    with (
        serving(settings, tmp_path, GROKPROBE_DRAIN_S=drain_s) as own,
        idle(own) as connection,
    ):
        for number in signals:
            own.process.send_signal(number)
            if number is not signals[-1]:
                assert eventually(lambda: own.client.get("/readyz").status_code == 503)
        check_ended(connection, own)


def test_silent_connections_are_closed_in_the_end(settings: Settings, tmp_path: Path) -> None:
    """One that asks nothing for so long is closed."""
    with (
        serving(settings, tmp_path, GROKPROBE_DRAIN_S="1") as own,
        idle(own) as connection,
    ):
        stop(own)
        check_ended(connection, own)
