"""The way past the framework: which requests take it, and that nobody can tell.

The fixture `client` runs every test of the API both ways; here is what those tests cannot see.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any, cast

import httpx
import msgspec
import pytest

from grokprobe.store.backends import open_backends
from service.app import create_app, create_context
from service.http.problems import MEDIA_TYPE
from service.inference.runtime import Runtime
from service.middleware.deadlines import Deadlines
from service.middleware.stack import edge
from service.v1.checkpoint.fast import SHORT, fast_path
from tests.support.trained import TINY_STEPS, Trained

PATH = f"/v1/runs/tiny/checkpoints/{TINY_STEPS[-1]}/predictions"
LABEL = "/v1/runs/tiny/checkpoints/latest/predictions"
BODY = {"pairs": [[3, 5], [12, 0]], "top": 2, "include": ["logits"]}
ROUTES = 299  # the status by which the framework's stand-in is known


async def framework(_scope: Any, _receive: Any, send: Any) -> None:
    """Stands where the framework does, and says so."""
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": ROUTES, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def ask(trained: Trained, *requests: httpx.Request) -> list[httpx.Response]:
    """The answers where the fast path has nothing behind it."""

    async def run() -> list[httpx.Response]:
        async with open_backends(trained.settings) as backends:
            context = create_context(trained.settings, backends, Runtime())
            app = edge(Deadlines(fast_path(framework, context)), context.metrics, frozenset())
            async with httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app))) as client:
                return [await client.send(request) for request in requests]

    return asyncio.run(run())


async def in_chunks() -> AsyncIterator[bytes]:
    """A body whose length nobody knows before."""
    yield json.dumps(BODY).encode()


def request(method: str = "POST", path: str = PATH, **parts: Any) -> httpx.Request:
    """A request for predictions, as httpx sends it."""
    if method == "POST" and "content" not in parts:
        parts = {"json": BODY} | parts
    return httpx.Request(method, f"http://here{path}", **parts)


COMMON = {
    "post": request(),
    "post by label": request(path=LABEL),
    "post of curl": request(content=b'{"pairs": [[1, 2]]}', headers={"Accept": "application/json"}),
    "post of some pairs": request(json={"pairs": [[1, 2]] * 60}),
}
SPECIAL = {
    "msgpack": request(content=b"\x80", headers={"Content-Type": "application/msgpack"}),
    "encoded": request(headers={"Content-Encoding": "gzip"}),
    "csv wanted": request("GET", f"{PATH}?a=3&b=5", headers={"Accept": "text/csv"}),
    "long": request(content=json.dumps(BODY) + " " * SHORT),
    "of unknown length": request(content=in_chunks()),
    "get of one pair": request("GET", f"{PATH}?a=3&b=5"),
    "whole grid": request("GET"),
    "get by label": request("GET", f"{LABEL}?a=3&b=5"),
    "format": request("GET", f"{PATH}?a=3&b=5&format=json"),
    "another parameter": request("GET", f"{PATH}?a=3&c=5"),
    "post with a query": request(path=f"{PATH}?top=3"),
    "another method": request("PUT"),
    "another resource": request("GET", PATH.replace("predictions", "logits")),
}


@pytest.mark.parametrize("name", COMMON)
def test_the_common_case_never_reaches_the_framework(trained: Trained, name: str) -> None:
    """It is answered in full where there is no framework."""
    [answer] = ask(trained, COMMON[name])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) > 100


@pytest.mark.parametrize("name", SPECIAL)
def test_special_requests_are_left_to_the_routes(trained: Trained, name: str) -> None:
    """Whatever the routes know better goes to them, its body untouched."""
    [answer] = ask(trained, SPECIAL[name])
    assert answer.status_code == ROUTES


def test_errors_are_answered_without_the_framework(trained: Trained) -> None:
    """Bad bodies, unknown runs and missing outputs are problems, not the framework's business."""
    bad = request(content=b'{"pairs": [[13, 0]]}')
    unknown = request(path=PATH.replace("tiny", "nobody"))
    answers = ask(trained, bad, unknown)
    assert [answer.status_code for answer in answers] == [400, 404]
    assert {answer.headers["content-type"] for answer in answers} == {MEDIA_TYPE}


def test_both_ways_answer_the_same(client: httpx.Client) -> None:
    """Status, headers and bytes of good and bad requests are equal by either way, but for times."""
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", PATH, {"json": BODY}),
        ("POST", LABEL, {"json": BODY}),
        ("GET", f"{PATH}?a=3&b=5", {}),
        ("HEAD", f"{PATH}?a=3&b=5", {}),
        ("GET", f"{PATH}?a=13&b=5", {}),
        ("POST", PATH, {"json": {"pairs": [[1, 99]]}}),
        ("POST", PATH, {"json": {"pairs": [[1, 9]], "top": 14}}),
        ("POST", PATH, {"content": b"{"}),
        ("POST", PATH.replace("tiny", "nobody"), {"json": BODY}),
        ("POST", PATH.replace("400", "399"), {"json": BODY}),
    ]
    for method, path, parts in requests:
        ways = [
            client.request(
                method, path, headers={"Accept": accept, "X-Request-ID": "same"}, **parts
            )
            for accept in ("*/*", "*/*;q=0.9")
        ]
        fast, routes = (
            {name: "" if name in ("date", "server-timing") else value for name, value in found}
            for found in (answer.headers.items() for answer in ways)
        )
        assert ways[0].content == ways[1].content
        assert fast == routes
        assert ways[0].status_code == ways[1].status_code


WAYS = {"fast": "*/*", "routes": "*/*;q=0.9"}
NOBODY, NO_STEP = PATH.replace("tiny", "nobody"), PATH.replace("400", "399")
MAX_BODY = 40
GOOD, BAD, LONG = b'{"pairs": [[3, 5]]}', b"{", b'{"pairs": [[3, 5]]' + b" " * MAX_BODY + b"}"

# Whether a permit is free, the path, the body (None: one that must not be read), and the status.
REFUSALS: dict[str, tuple[bool, str, bytes | None, int]] = {
    "no permit": (False, PATH, None, 429),
    "no permit, by label": (False, LABEL, None, 429),
    "no permit, unknown run": (False, NOBODY, None, 429),
    "no permit, unknown step": (False, NO_STEP, None, 429),
    "unknown run": (True, NOBODY, None, 404),
    "unknown step": (True, NO_STEP, None, 404),
    "unknown label": (True, PATH.replace("400", "newest"), None, 404),
    "long body": (True, PATH, LONG, 413),
    "unreadable body": (True, PATH, BAD, 400),
    "empty body": (True, PATH, b"", 400),
    "no fault": (True, PATH, GOOD, 200),
}


async def _unread() -> AsyncIterator[bytes]:
    yield pytest.fail("the body is read before the request is refused")


async def status_of(trained: Trained, accept: str, name: str) -> int:
    """The answer's status by a service with one permit, which is taken where none is to be free."""
    is_free, path, body, _ = REFUSALS[name]
    content = _unread() if body is None else body
    headers = {"Accept": accept, "Content-Length": str(len(GOOD if body is None else body))}
    settings = msgspec.structs.replace(trained.settings, max_in_flight=1, max_body_bytes=MAX_BODY)
    async with open_backends(settings) as backends:
        context = create_context(settings, backends, Runtime())
        transport = httpx.ASGITransport(cast(Any, create_app(context, None)))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            with nullcontext() if is_free else context.inference.permit():
                return (await client.post(path, content=content, headers=headers)).status_code


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("way", WAYS)
def test_both_ways_refuse_in_the_same_order(trained: Trained, way: str, name: str) -> None:
    """A permit comes before run and step, these before the body, the body before its content."""
    assert asyncio.run(status_of(trained, WAYS[way], name)) == REFUSALS[name][-1]
