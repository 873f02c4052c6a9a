"""Messages on the wire: each consumed by its own request, or refused and the connection closed."""

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from service.server.heads import HEAD_BYTES, HEADERS
from tests.service.test_slow_clients import answer, connect
from tests.support.served import Served, have_read, serving
from tests.support.trained import Trained

PATH = b"/v1/runs/tiny/checkpoints/latest/predictions"
BODY = b'{"pairs": [[3, 5]]}'
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")

# As curl and the JDK's HttpClient ask, and others.
UPGRADES = {
    "curl": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "jdk": b"HTTP2-Settings: AAEAAEAA\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    "websocket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    "tls": b"CONNECTION: upgrade\r\nUPGRADE: TLS/1.0\r\n",
    "several": b"upgrade: h2c, websocket\r\nUpgrade:TLS/1.0\r\nconnection:\tUPGRADE \r\n",
    "hop by hop": b"Connection: Upgrade\r\nConnection: HTTP2-Settings\r\nUpgrade: h2c\r\n",
}


def exchange(served: Served, *parts: bytes) -> bytes:
    """Everything that is answered to what is sent, until the server closes."""
    received = b""
    with connect(served) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            client.sendall(part)
        while data := client.recv(65_536):
            received += data
    return received


def statuses(received: bytes) -> list[int]:
    """Of the answers, one after the other."""
    return [int(status) for status in STATUS.findall(received)]


def logged(served: Served, since: int) -> list[str]:
    """The lines of the log since it was so long."""
    return served.log.read_text()[since:].splitlines()


def post(headers: bytes, body: bytes = BODY, chunked: bool = False) -> bytes:
    """A POST with a body of known length, or in chunks of 7 bytes."""
    head = b"POST " + PATH + b" HTTP/1.1\r\nHost: x\r\n" + headers
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = [body[i : i + 7] for i in range(0, len(body), 7)]
    text = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + text + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", UPGRADES)
def test_an_upgrade_is_ignored(served: Served, name: str, chunked: bool) -> None:
    """The request is answered whole with its body, and so is the next; nothing is logged."""
    since = len(served.log.read_text())
    text = post(UPGRADES[name], chunked=chunked)
    in_bytes = [text[i : i + 1] for i in range(len(text))]
    for parts in ([text], text.partition(b"\r\n\r\n"), in_bytes, [text, text, LIVE]):
        received = exchange(served, *parts, LAST)
        wanted = b"".join(parts).count(b"POST") + b"".join(parts).count(b"GET") + 1
        assert statuses(received) == [200] * wanted
        assert b'"a":3,"b":5' in received
        assert b"upgrade" not in received.lower()
    assert logged(served, since) == []


def test_a_websocket_is_a_plain_request(served: Served) -> None:
    """Its GET is answered as any other."""
    text = LIVE.replace(b"\r\n\r\n", b"\r\n" + UPGRADES["websocket"] + b"\r\n")
    assert statuses(exchange(served, text, text + LAST)) == [200, 200, 200]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", UPGRADES)
def test_a_body_is_never_a_request(served: Served, name: str, chunked: bool) -> None:
    """One that looks like requests is a body that is no JSON, and one line in the log."""
    since = len(served.log.read_text())
    hidden = b"GET /v1/runs HTTP/1.1\r\nHost: x\r\n\r\n" + LIVE
    received = exchange(served, post(UPGRADES[name], hidden, chunked), LAST)
    assert statuses(received) == [400, 200]
    assert b"the body cannot be read" in received
    have_read(served)
    assert len(logged(served, since)) == 1


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("options", [[], ["-H", "Transfer-Encoding: chunked"]])
def test_curl_asks_for_http2(served: Served, options: list[str]) -> None:
    """`curl --http2 -d` gets its answer."""
    command = ["curl", "-sS", "--fail", "--http2", "-d", BODY.decode(), *options]
    done = subprocess.run([*command, served.url + PATH.decode()], capture_output=True, check=True)
    [prediction] = json.loads(done.stdout)["predictions"]
    assert (prediction["a"], prediction["b"]) == (3, 5)


REFUSED = {
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n": (501, "CONNECT"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": (505, "HTTP/1.1"),
    b"GET / HTTP/0.9\r\n\r\n": (505, "HTTP/1.1"),
    b"GET /\r\n\r\n": (400, "request line"),
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n": (400, "one space"),
    b"GET / RTSP/1.0\r\nHost: x\r\n\r\n": (400, "request line"),
    b"GET / HTTP/1.1\r\n\r\n": (400, "no Host"),
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n": (400, "several Host"),
    b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n": (400, "several Host"),
    b"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n": (400, "HOST:PORT"),
    b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n": (400, "HOST:PORT"),
    b"GET / HTTP/1.0\r\nHost: user@x\r\n\r\n": (400, "HOST:PORT"),
    b"GET / HTTP/1.1\r\nHost: x:http\r\n\r\n": (400, "HOST:PORT"),
    b"GET / HTTP/1.1\r\nHost: http://x\r\n\r\n": (400, "HOST:PORT"),
    b"GET / HTTP/1.1\r\nHost: x%2\r\n\r\n": (400, "HOST:PORT"),
    b"GET / HTTP/1.1\nHost: x\n\n": (400, "request line"),
    b"GET / HTTP/1.1\r\nHost: x\r\na: b\r\n c\r\n\r\n": (400, "whitespace"),
    b"GET / HTTP/1.1\r\nHost: x\r\na : b\r\n\r\n": (400, "token"),
    b"GET / HTTP/1.1\r\nHost: x\r\na: b\rc: d\r\n\r\n": (400, "LF"),
    b"GET / HTTP/1.1\r\nHost: x\r\na: b\x00\r\n\r\n": (400, "value"),
    b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n": (400, "target"),
    b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n": (400, "alone"),
    post(b"Content-Length: 19\r\n"): (400, "Content-Length"),
    post(b"Content-Length: 3\r\n"): (400, "Content-Length"),
    post(b"Transfer-Encoding: chunked\r\n"): (400, "Content-Length"),
    post(b"Content-Length: 19\r\n", chunked=True): (400, "Content-Length"),
    post(b"Transfer-Encoding: gzip\r\n", chunked=True): (400, "Transfer-Encoding"),
    post(b"").replace(b"Content-Length: 19", b"Transfer-Encoding: gzip, chunked"): (501, "chunked"),
    post(b"", chunked=True).replace(b"/1.1", b"/1.0"): (400, "HTTP/1.0"),
    post(b"").replace(b": 19", b": +19"): (400, "Content-Length"),
    post(b"").replace(b": 19", b": 19, 19"): (400, "Content-Length"),
    post(b"", chunked=True).replace(b"7\r\n", b"0x7\r\n", 1): (400, "chunk size"),
    post(b"", chunked=True).replace(b"7\r\n", b"8\r\n", 1): (400, "chunk data"),
    post(b"", chunked=True).replace(b"7\r\n", b"7 \r\n", 1): (400, "chunk size"),
    post(b"", chunked=True).replace(b"7\r\n", b"7\n", 1): (400, "chunk size"),
    post(b"", chunked=True)[:-2] + b"a b: c\r\n\r\n": (400, "token"),
}


def test_a_body_that_was_not_asked_for_ends_the_connection(served: Served) -> None:
    """A client that waits for 100 and is told 404 may keep it: nothing is taken for it."""
    head = (
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 19\r\n\r\n"
    )
    assert statuses(exchange(served, head)) == [404]
    assert statuses(exchange(served, head + BODY, LAST)) == [404, 200]
    assert statuses(exchange(served, post(b"Expect: 100-continue\r\n"), LAST)) == [100, 200, 200]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(served: Served, text: bytes) -> None:
    """A problem that says why, no request of it, and a close; at most one line in the log."""
    status, words = REFUSED[text]
    since = len(served.log.read_text())
    for before in (b"", LIVE, LIVE + post(b"")):
        received = exchange(served, before + text + LIVE)
        assert statuses(received) == [200] * before.count(b"HTTP/1.1") + [status]
        head, _, body = received.rpartition(b"HTTP/1.1 %d" % status)[2].partition(b"\r\n\r\n")
        assert words in json.loads(body)["detail"]
        assert b"connection: close" in head
    have_read(served)
    assert len(logged(served, since)) <= 3


def test_versions_and_lines_that_are_taken(served: Served) -> None:
    """HTTP/1.0 with its close, empty lines before a request, spaces around a value, trailers."""
    assert statuses(exchange(served, b"GET /livez HTTP/1.0\r\n\r\n")) == [200]
    old = post(b"").replace(b"/1.1", b"/1.0")
    assert statuses(exchange(served, old)) == [200]
    spaced = post(b"Accept:  text/csv \t\r\n")
    received = exchange(served, b"\r\n\r\n" + spaced + b"\r\n" + LAST)
    assert statuses(received) == [200, 200]
    assert b"text/csv" in received
    trailed = post(b"", chunked=True)[:-2] + b"Accept: text/csv\r\nHost: y\r\n\r\n"
    received = exchange(served, trailed + LAST)
    assert statuses(received) == [200, 200]
    assert b"text/csv" not in received


BIG = {
    "one header": b"a: " + b"x" * 120_000 + b"\r\n",
    "spaces": b"a:" + b" " * 120_000 + b"b\r\n",
    "many headers": b"abcdef: ghijk\r\n" * 8_000,
    "just above": b"a: " + b"x" * (HEAD_BYTES - 30) + b"\r\n",
    "more lines": b"a: b\r\n" * HEADERS,
}


@pytest.mark.parametrize("before", [b"", LIVE, LIVE * 3 + post(b"")])
@pytest.mark.parametrize("name", BIG)
def test_the_bound_on_heads(served: Served, name: str, before: bytes) -> None:
    """431 however the head arrives: in one piece, pipelined, as one line or many."""
    text = before + LIVE[:-2] + BIG[name] + b"\r\n"
    *answered, last = statuses(exchange(served, text + LIVE))
    assert (answered, last) == ([200] * before.count(b"HTTP/1.1"), 431)
    request_line = LIVE[:5] + b"?" + b"x" * 120_000 + LIVE[10:]
    assert statuses(exchange(served, before + request_line))[-1] == 431


def test_a_head_below_the_bound(served: Served) -> None:
    """60 KB are taken, and so are as many lines as there may be."""
    long = LIVE[:-2] + b"a: " + b"x" * 60_000 + b"\r\n\r\n"
    many = LIVE[:-2] + b"a: b\r\n" * (HEADERS - 1) + b"\r\n"
    assert statuses(exchange(served, long + many + long + LAST)) == [200, 200, 200, 200]


@pytest.mark.parametrize(
    "text",
    [
        b"1;" + b"x" * 120_000 + b"\r\na\r\n0\r\n\r\n",
        b"".join(b"1;%s\r\na\r\n" % (b"x" * 4_000) for _ in range(40)) + b"0\r\n\r\n",
        b"0" * 120_000 + b"\r\n\r\n",
        b"0\r\n" + b"a: b\r\n" * 30_000 + b"\r\n",
    ],
    ids=["extension", "extensions", "zeros", "trailers"],
)
def test_the_bound_between_chunks(served: Served, text: bytes) -> None:
    """Extensions and trailers are bounded too."""
    head = post(b"", chunked=True).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    with connect(served) as client:
        client.sendall(head + text + LIVE)
        status, headers, problem = answer(client)
    assert status == 400
    assert "between chunks" in str(problem["detail"])
    assert headers["x-request-id"] == problem["request_id"]


def test_chunks_of_one_byte(served: Served) -> None:
    """A body may come byte by byte in chunks, however long it is."""
    body = BODY + b" " * 60_000
    text = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    head = post(b"", chunked=True).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert statuses(exchange(served, head + text + LAST)) == [200, 200]


def test_many_at_once(served: Served) -> None:
    """Thousands of requests in one piece are answered, each in its turn."""
    count = 5_000
    received = exchange(served, LIVE * count + post(b"") + LAST)
    assert statuses(received) == [200] * (count + 2)


def test_a_broken_body_after_its_answer(served: Served) -> None:
    """Nothing is said after an answer that was given before the body was read; it is closed."""
    text = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(served) as client:
        client.sendall(text)
        received = client.recv(65_536)
        assert statuses(received) == [404]
        client.sendall(b"nonsense\r\n\r\n" + LIVE)
        while data := client.recv(65_536):
            received += data
    assert statuses(received) == [404]


def test_how_long_a_silent_connection_stays(trained: Trained, tmp_path: Path) -> None:
    """GROKPROBE_KEEP_ALIVE_S, after which it is closed without a word."""
    with serving(trained.settings, tmp_path, GROKPROBE_KEEP_ALIVE_S="1") as own:
        assert statuses(exchange(own, LIVE)) == [200]
        assert exchange(own) == b""
