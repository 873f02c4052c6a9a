"""What every answer gets: compression, ranges, HEAD, request ids, timing, other origins."""

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import zstandard

from service.http.ranges import byte_range
from service.middleware.compression import choose_encoding
from service.middleware.stack import edge
from service.telemetry.metrics import Metrics
from tests.service.test_api import LAST, RUN
from tests.service.test_api_errors import check_problem
from tests.support.served import Served, serving
from tests.support.trained import Trained

# -- compression ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("gzip;q=1, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip;q=0", None),
        ("*", "zstd"),
        ("zstd;q=0, *;q=0.1", "gzip"),
        ("identity, br", None),
    ],
)
def test_which_encoding(header: str, expected: str | None) -> None:
    """The best that the client takes, zstd where both are as welcome."""
    assert choose_encoding(header) == expected


def raw(client: httpx.Client, path: str, encoding: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it was sent."""
    with client.stream("GET", path, headers={"Accept-Encoding": encoding}) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize(
    "path",
    [
        f"{LAST}/predictions",
        f"{LAST}/spectrum",
        f"{LAST}/logits?format=csv",
        "/schema/openapi.json",
    ],
)
def test_text_is_compressed(client: httpx.Client, path: str) -> None:
    """The same bytes come out of gzip, zstd and neither, whole answers and streams alike."""
    plain = raw(client, path, "identity")
    zipped, packed = raw(client, path, "gzip"), raw(client, path, "zstd")
    assert "content-encoding" not in plain[0].headers
    assert zipped[0].headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped[1]) == plain[1]
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed[1]) == plain[1]
    assert "Accept-Encoding" in zipped[0].headers["vary"]
    assert len(zipped[1]) < len(plain[1])


@pytest.mark.parametrize(
    "path", [f"{LAST}/logits", f"{LAST}/logits?format=arrow", f"{LAST}/model.onnx", RUN, "/livez"]
)
def test_floats_and_small_answers_are_not(client: httpx.Client, path: str) -> None:
    """Trained floats do not shrink, and small answers fit in a packet."""
    assert "content-encoding" not in raw(client, path, "gzip, zstd")[0].headers


def test_etags_of_encodings_are_weak(client: httpx.Client) -> None:
    """Packed bytes are others, and the answer the same: the weak form of the ETag."""
    packed, plain = (raw(client, f"{LAST}/spectrum", e)[0] for e in ("gzip", "identity"))
    tag = plain.headers["etag"]
    assert packed.headers["etag"] == f"W/{tag}"
    assert not tag.startswith("W/")
    assert (plain.headers["accept-ranges"], packed.headers.get("accept-ranges")) == ("bytes", None)


@pytest.mark.parametrize(("path", "encoding"), [("/v2/models/m/infer", None), ("/v1/x", "gzip")])
def test_the_inference_protocol_is_left_alone(path: str, encoding: str | None) -> None:
    """Its clients ask for more encodings than they unpack."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"5000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b" " * 5000, "more_body": False})

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(cast(Any, edge(app, Metrics(), frozenset())))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(path, headers={"Accept-Encoding": "gzip"})

    assert asyncio.run(ask()).headers.get("content-encoding") == encoding


# -- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", range(10)),
        ("bytes=90-", range(90, 100)),
        ("bytes=-5", range(95, 100)),
        ("bytes=-500", range(100)),
        ("bytes=50-500", range(50, 100)),
        ("", None),
        ("bytes=-", None),
        ("bytes=9-0", None),
        ("bytes=0-1,5-6", None),
        ("pages=0-1", None),
        ("bytes=0x1-2", None),
    ],
)
def test_byte_ranges(header: str, expected: range | None) -> None:
    """One range is understood; what is malformed or more is ignored, as RFC 9110 says."""
    assert byte_range(header, 100) == expected


def test_a_part_of_the_model(client: httpx.Client) -> None:
    """Two parts make the file; the ETag is the whole file's."""
    whole = client.get(f"{LAST}/model.onnx")
    parts = [
        client.get(f"{LAST}/model.onnx", headers={"Range": r}) for r in ("bytes=0-99", "bytes=100-")
    ]
    assert [part.status_code for part in parts] == [206, 206]
    assert parts[0].content + parts[1].content == whole.content
    size = len(whole.content)
    assert parts[1].headers["content-range"] == f"bytes 100-{size - 1}/{size}"
    assert {p.headers["etag"] for p in (whole, *parts)} == {whole.headers["etag"]}
    assert whole.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0"])
def test_a_range_outside_the_file(client: httpx.Client, header: str) -> None:
    """416, with the size."""
    answer = client.get(f"{LAST}/model.onnx", headers={"Range": header})
    check_problem(answer, 416, "bytes")
    size = len(client.get(f"{LAST}/model.onnx").content)
    assert answer.headers["content-range"] == f"bytes */{size}"


def test_a_part_of_another_file(client: httpx.Client) -> None:
    """If-Range: the part where the file is the one that the client has, else the whole."""
    etag = client.get(f"{LAST}/model.onnx").headers["etag"]
    for given, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200)):
        headers = {"Range": "bytes=0-9", "If-Range": given}
        assert client.get(f"{LAST}/model.onnx", headers=headers).status_code == status


# -- HEAD, OPTIONS -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"{LAST}/logits?format=json",
        f"{LAST}/spectrum",
        f"{LAST}/model.onnx",
        "/schema/openapi.json",
    ],
)
def test_head_has_the_headers_of_get(client: httpx.Client, path: str) -> None:
    """Those of the plain answer, its length too, whatever packing is taken; a range is GET's."""
    head = client.head(path, headers={"Range": "bytes=0-1", "Accept-Encoding": "gzip, zstd"})
    found = client.get(path, headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(found.content)
    own = {"date", "x-request-id", "server-timing", "transfer-encoding"}
    for name in found.headers.keys() - own:
        assert head.headers[name] == found.headers[name], name


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (RUN, {"GET", "HEAD", "OPTIONS"}),
        (f"{LAST}/predictions", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/livez", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_allow(client: httpx.Client, path: str, methods: set[str]) -> None:
    """OPTIONS and 405 name every method that is answered."""
    for answer, status in ((client.options(path), 204), (client.delete(path), 405)):
        assert answer.status_code == status
        assert {m.strip() for m in answer.headers["allow"].split(",")} == methods


def test_unknown_pages_of_the_reader(client: httpx.Client) -> None:
    """404 as a problem below /schema too."""
    check_problem(client.get("/schema/unknown"), 404, "/schema/unknown")


# -- request ids, timing -------------------------------------------------------------------------


def test_request_ids(client: httpx.Client) -> None:
    """A sane id is the client's own, anything else is replaced; a problem carries it."""
    mine = client.get(RUN, headers={"X-Request-ID": "my.request-1"})
    assert mine.headers["x-request-id"] == "my.request-1"
    strange = ["", "a b", "x" * 200, "né"]
    made = [client.get(RUN, headers=[(b"X-Request-ID", s.encode())]) for s in strange]
    found = {answer.headers["x-request-id"] for answer in made}
    assert len(found) == len(strange)
    assert not found & set(strange)
    problem = client.get("/v1/runs/nobody", headers={"X-Request-ID": "mine"})
    assert problem.json()["request_id"] == "mine"


def test_the_log_names_the_request(trained: Trained, tmp_path: Path) -> None:
    """A line about a failure carries the id that its client saw."""
    settings = trained.settings
    with serving(settings, tmp_path, GROKPROBE_MAX_MODEL_BYTES="10") as served:
        answer = served.client.get(f"{LAST}/embedding", headers={"X-Request-ID": "find-me"})
        assert answer.status_code == 500
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert [line["level"] for line in lines if line.get("request_id") == "find-me"] == ["error"]


def test_server_timing(client: httpx.Client) -> None:
    """Where a model ran, how long it waited and how long it ran, in milliseconds."""
    header = client.get(f"{LAST}/predictions?a=3&b=5").headers["server-timing"]
    durations = dict(part.strip().split(";dur=") for part in header.split(","))
    assert set(durations) == {"queue", "inference"}
    assert 0 < float(durations["inference"]) < 1000
    assert "server-timing" not in client.get(RUN).headers


# -- other origins -------------------------------------------------------------------------------

OURS, OTHER = "https://lab.example", "https://other.example"


@pytest.fixture(scope="module")
def shared(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that the pages of one origin may read."""
    folder = tmp_path_factory.mktemp("shared")
    origins = f"http://localhost:3000, {OURS}"
    with serving(trained.settings, folder, GROKPROBE_CORS_ORIGINS=origins) as served:
        yield served


def test_pages_of_a_known_origin(shared: Served) -> None:
    """They may read answers and problems, with the headers that say what they are."""
    for path in (f"{LAST}/spectrum", "/v1/runs/nobody", "/nothing"):
        answer = shared.client.get(path, headers={"Origin": OURS})
        assert answer.headers["access-control-allow-origin"] == OURS
        assert "ETag" in answer.headers["access-control-expose-headers"]
        assert "Origin" in answer.headers["vary"]
    assert "Accept" in shared.client.get(RUN).headers["vary"]


def test_pages_of_another_origin(shared: Served, client: httpx.Client) -> None:
    """They may not, nor may any where no origin is set; caches know that origins matter."""
    answer = shared.client.get(RUN, headers={"Origin": OTHER})
    assert "access-control-allow-origin" not in answer.headers
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-origin" not in client.get(RUN, headers={"Origin": OURS}).headers


def test_preflight(shared: Served) -> None:
    """A POST with a key may be sent from a known origin."""
    asked = {
        "Origin": OURS,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = shared.client.options(f"{LAST}/predictions", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == OURS
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"


def test_all_origins(trained: Trained, tmp_path: Path) -> None:
    """`*` is everybody."""
    with serving(trained.settings, tmp_path, GROKPROBE_CORS_ORIGINS="*") as served:
        answer = served.client.get(RUN, headers={"Origin": OTHER})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_stream_that_nobody_reads_ends(client: httpx.Client, served: Served) -> None:
    """A client that hangs up in the middle of an answer is no error of ours."""
    address = ("127.0.0.1", client.base_url.port or 0)
    with socket.create_connection(address) as gone:
        gone.sendall(f"GET {LAST}/logits?format=json HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        gone.recv(100)
    assert client.get("/livez").status_code == 200
    assert '"level":"error"' not in served.log.read_text()


# -- what an answer is ---------------------------------------------------------------------------

TYPES = {
    "/": "text/html; charset=utf-8",
    "/llms.txt": "text/plain; charset=utf-8",
    "/static/explorer/explorer.js": "text/javascript; charset=utf-8",
    "/static/explorer/explorer.css": "text/css; charset=utf-8",
    "/livez": "application/json",
    "/readyz": "application/json",
    "/metrics": "text/plain; version=0.0.4; charset=utf-8",
    "/schema": "text/html; charset=utf-8",
    "/schema/openapi.json": "application/vnd.oai.openapi+json",
    "/schema/openapi.yaml": "application/vnd.oai.openapi",
    "/static/swagger-ui.css": "text/css; charset=utf-8",
    "/static/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/v2": "application/json",
    "/nothing": "application/problem+json",
    "/static/nothing": "application/problem+json",
    "/static/explorer/nothing": "application/problem+json",
    f"{RUN}/events": "text/event-stream; charset=utf-8",
    f"{LAST}/model.onnx": "application/octet-stream",
    f"{LAST}/logits": "application/x-npy",
    f"{LAST}/logits?format=json": "application/json",
    f"{LAST}/logits?format=csv": "text/csv; charset=utf-8",
    f"{LAST}/spectrum?format=csv": "text/csv; charset=utf-8",
    f"{LAST}/spectrum?format=arrow": "application/vnd.apache.arrow.stream",
    f"{LAST}/spectrum?format=parquet": "application/vnd.apache.parquet",
    f"{LAST}/spectrum?format=xml": "application/problem+json",
}


@pytest.mark.parametrize("path", TYPES)
def test_content_types(client: httpx.Client, path: str) -> None:
    """Each is said once, with what belongs to it: of whole answers, parts and HEAD."""
    answers = [client.get(path), client.head(path), client.get(path, headers={"Range": "bytes=0-"})]
    for answer in answers:
        assert answer.headers.get_list("content-type") == [TYPES[path]]


def test_no_content_without_a_type(client: httpx.Client) -> None:
    """And no type where there is no content."""
    etag = client.get(LAST).headers["etag"]
    unchanged = client.get(LAST, headers={"If-None-Match": etag})
    for answer in (client.options(RUN), client.options("/livez"), unchanged):
        assert (answer.content, answer.headers.get("content-type")) == (b"", None)
