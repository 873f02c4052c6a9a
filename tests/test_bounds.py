"""How long a request is worked on: its own deadline, its body, its client; and the stop."""

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import bounds
from service.bounds import HEADER, MAX_MS, Bounded
from tests.served import PATIENCE_S, Served, eventually, have_read, serving
from tests.stores import with_loop
from tests.test_api_errors import check_problem
from tests.trained import TINY_STEPS, Trained

LAST = f"/v1/runs/tiny/checkpoints/{TINY_STEPS[-1]}"
ONE_PAIR = f"{LAST}/predictions?a=3&b=5"
BODY = b'{"pairs": [[3, 5]]}'
INFER = "/v2/models/tiny/infer"
DATA = b",".join([b"3, 5"] * 65_536)
TENSOR = b'{"name": "pairs", "shape": [65536, 2], "datatype": "INT64", "data": [' + DATA + b"]}"
LONG = (
    b'{"inputs": ['
    + TENSOR
    + b'], "outputs": [{"name": "logits", "parameters": {"classification": 13}}]}'
)


def connect(served: Served) -> socket.socket:
    """A connection of its own."""
    address = ("127.0.0.1", served.client.base_url.port or 0)
    return socket.create_connection(address, timeout=PATIENCE_S)


def post(body: bytes, path: str = f"{LAST}/predictions") -> bytes:
    """A request as it goes over the wire."""
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


def is_idle(served: Served) -> bool:
    """Whether no request holds a permit."""
    return "grokprobe_in_flight 0.0" in served.client.get("/metrics").text


def test_a_deadline_that_passes(served: Served) -> None:
    """504 when the client's time is over; the service goes on."""
    answer = served.client.post(INFER, content=LONG, headers={HEADER: "1"})
    check_problem(answer, 504, "1 ms", HEADER)
    assert served.client.get("/livez").status_code == 200


def test_a_deadline_that_is_kept(client: httpx.Client) -> None:
    """Enough time changes nothing, by either way."""
    plain = client.get(ONE_PAIR)
    enough = {HEADER: str(MAX_MS)}
    assert client.get(ONE_PAIR, headers=enough).content == plain.content
    posted = client.post(f"{LAST}/predictions", content=BODY, headers=enough)
    assert posted.json() == plain.json()


@pytest.mark.parametrize(
    "given",
    ["0", "-5", "1.5", "soon", "", str(MAX_MS + 1), "9" * 40, "0000000001" + "9" * 400, "²"],
)
@pytest.mark.parametrize("path", [ONE_PAIR, "/v1/runs", "/nowhere"])
def test_a_deadline_that_is_none(client: httpx.Client, path: str, given: str) -> None:
    """400 naming the header and its range, on any path."""
    answer = client.get(path, headers={HEADER.encode(): given.encode()})
    body = check_problem(answer, 400, HEADER, f"1..{MAX_MS}")
    assert body["errors"][0]["path"] == HEADER


def test_the_work_of_a_vanished_client_is_dropped(trained: Trained, tmp_path: Path) -> None:
    """A client that hangs up gives back the only permit before its answer would be there."""
    with serving(trained.settings, tmp_path, GROKPROBE_MAX_IN_FLIGHT="1") as own:
        own.client.get(ONE_PAIR)  # loaded

        def vanish() -> bool:
            """Whether its work was seen, and then dropped: a busy machine may look too late."""
            with connect(own) as vanishing:
                vanishing.sendall(post(LONG, INFER))
                seen = any(own.client.get(ONE_PAIR).status_code == 429 for _ in range(100))
            assert eventually(lambda: is_idle(own))
            return seen and 'infer",status="408"' in own.client.get("/metrics").text

        assert eventually(vanish)
        assert own.client.get(ONE_PAIR).status_code == 200
        assert "Traceback" not in own.log.read_text()


@with_loop
async def test_a_body_that_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """After BODY_S without the whole body the request is over: 408."""
    monkeypatch.setattr(bounds, "BODY_S", 0.1)
    sent: list[Any] = []

    async def never() -> Any:
        await asyncio.Event().wait()

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-length", b"3")],
        "state": {"request_id": "1", "headers": {b"content-length": b"3"}},
    }
    await Bounded(app)(scope, never, send)
    assert sent[0]["status"] == 408
    assert b"did not arrive within 0.1 s" in sent[1]["body"]


def check_traffic_is_off(ready: httpx.Response) -> None:
    """503, and it is the stop that says so."""
    assert ready.status_code == 503
    assert ready.json()["dependencies"]["traffic"]["status"] == "down"


def test_a_stop_finishes_what_is_in_flight(trained: Trained, tmp_path: Path) -> None:
    """At SIGTERM readiness goes off at once, a half-sent request is answered; exit code 0."""
    with serving(trained.settings, tmp_path) as own, connect(own) as slow:
        slow.sendall(post(BODY)[:-5])
        have_read(own)
        own.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: own.client.get("/readyz").status_code != 200)
        check_traffic_is_off(own.client.get("/readyz"))
        assert own.client.get(ONE_PAIR).status_code == 200  # who has not heard of it is served
        slow.sendall(post(BODY)[-5:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        assert own.process.wait(PATIENCE_S) == 0
        assert "Traceback" not in own.log.read_text()


def test_a_second_signal_does_not_wait(trained: Trained, tmp_path: Path) -> None:
    """Ctrl-C twice ends the process with exit code 0; what is in flight is answered with 503."""
    with serving(trained.settings, tmp_path) as own, connect(own) as slow:
        slow.sendall(post(BODY)[:-5])
        have_read(own)
        own.process.send_signal(signal.SIGINT)
        assert eventually(lambda: own.client.get("/readyz").status_code != 200)
        own.process.send_signal(signal.SIGINT)
        assert slow.recv(65536).startswith(b"HTTP/1.1 503")
        assert own.process.wait(PATIENCE_S) == 0
        assert "Traceback" not in own.log.read_text()
