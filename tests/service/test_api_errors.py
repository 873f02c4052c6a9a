"""Every bad request: its status, a problem that names the field, and the process still alive."""

import json
from typing import Any

import httpx
import pytest

from grokprobe import errors
from service import errors as service_errors
from service.http.problems import MEDIA_TYPE, row
from tests.support.trained import TINY_STEPS

RUN = "/v1/runs/tiny"
LAST = f"{RUN}/checkpoints/{TINY_STEPS[-1]}"


def check_problem(answer: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    """The body of a problem with this status whose detail contains these words."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance", "error"} <= set(body)
    assert (body["status"], body["error"]) == (status, body["detail"])
    assert "\n" not in body["detail"]
    assert "Traceback" not in answer.text
    for word in words:
        assert word in body["detail"]
    return body


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ('{"pairs": [[3, 5], [13, 0]]}', "$.pairs[1][0]", "13 is not a residue 0..12"),
        ('{"pairs": [[0, 99]]}', "$.pairs[0][1]", "99"),
        ('{"pairs": [[-1, 0]]}', "$.pairs[0][0]", ">= 0"),
        ('{"pairs": [[1, 2, 3]]}', "$.pairs[0]", "length 2"),
        ('{"pairs": [[1]]}', "$.pairs[0]", "length 2"),
        ('{"pairs": [["1", 2]]}', "$.pairs[0][0]", "int"),
        ('{"pairs": [[1.0, 2]]}', "$.pairs[0][0]", "int"),
        ('{"pairs": [[1.5, 2]]}', "$.pairs[0][0]", "int"),
        ('{"pairs": [[true, 2]]}', "$.pairs[0][0]", "int"),
        ('{"pairs": [[null, 2]]}', "$.pairs[0][0]", "int"),
        ('{"pairs": [[1e300, 2]]}', "$.pairs[0][0]", "int"),
        ('{"pairs": [[9223372036854775808, 2]]}', "$.pairs[0][0]", "residue"),
        ('{"pairs": [[NaN, 2]]}', "$", "malformed"),
        ('{"pairs": []}', "$.pairs", "length >= 1"),
        ("{}", "$", "pairs"),
        ('{"pairs": [[1, 2]], "pear": 1}', "$", "pear"),
        ('{"pairs": [[1, 2]], "top": -1}', "$.top", ">= 0"),
        ('{"pairs": [[1, 2]], "top": 14}', "$.top", "13"),
        ('{"pairs": [[1, 2]], "include": ["weights"]}', "$.include[0]", "weights"),
        ("[]", "$", "object"),
        ("", "$", "empty"),
        ('{"pairs": [[1, 2]', "$", "truncated"),
        ('{"pairs": [[1, 2]]} trailing', "$", "malformed"),
    ],
)
def test_bad_bodies(client: httpx.Client, body: str, path: str, words: str) -> None:
    """400, with the place in the body and what was expected there."""
    found = check_problem(client.post(f"{LAST}/predictions", content=body), 400, words)
    assert found["errors"][0]["path"] == path
    assert client.get("/livez").status_code == 200


def test_bytes_that_are_no_text(client: httpx.Client) -> None:
    """A body that is not UTF-8 is 400 as well."""
    check_problem(client.post(f"{LAST}/predictions", content=b'{"\xff": 1}'), 400)


def test_a_body_with_a_byte_order_mark(client: httpx.Client) -> None:
    """The same answer as without one; one in UTF-16 or of nothing else is 400 and says so."""
    body, path = '{"pairs": [[3, 5]]}', f"{LAST}/predictions"
    plain, marked = (client.post(path, content=body.encode(e)) for e in ("utf-8", "utf-8-sig"))
    assert (marked.status_code, marked.content) == (200, plain.content)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        answer = client.post(path, content=body.encode(encoding))
        check_problem(answer, 400, "UTF-16", "UTF-8")
    check_problem(client.post(path, content="".encode("utf-8-sig")), 400, "the body is empty")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"{LAST}/predictions?a=13&b=0", ("a:", "13 is not a residue 0..12")),
        (f"{LAST}/predictions?a=-1&b=0", ("a:",)),
        (f"{LAST}/predictions?a=x&b=0", ("a:", "integer")),
        (f"{LAST}/predictions?a=3", ("b:", "missing")),
        (f"{LAST}/predictions?c=3", ("c:", "is not a parameter", "known: a, b, format")),
        (f"{LAST}/predictions?context=3", ("context:", "is not a parameter")),
        (f"{LAST}/predictions?a=1.0&b=0", ("a:", "integer")),
        (f"{LAST}/predictions?a=1e1&b=0", ("a:", "integer")),
        (f"{LAST}/predictions?a=null&b=null", ("a:", "integer")),
        (f"{LAST}/predictions?a=1&b=5&a=2", ("a:", "more than once")),
        (f"{LAST}/embedding?frequency=7", ("frequency:", "1..6")),
        (f"{LAST}/embedding?frequency=0", ("frequency:",)),
        (f"{LAST}/embedding?frequncy=3", ("frequncy:", "did you mean frequency")),
        (f"{LAST}/embedding?projection=tsne", ("projection:", "frequency, pca, raw")),
        (f"{LAST}/embedding?projection=pca&dimensions=14", ("dimensions:",)),
        (f"{LAST}/embedding?projection=raw&dimensions=999", ("dimensions:",)),
        (f"{LAST}/embedding?dimensions=3", ("dimensions:", "2")),
        (f"{LAST}/embedding?of=neurons", ("of:",)),
        (f"{LAST}/spectrum?of=weights", ("of:",)),
        (f"{LAST}/spectrum?null=-1", ("null:",)),
        (f"{LAST}/spectrum?null=1", ("null:", "2")),
        (f"{LAST}/spectrum?null=99999", ("null:",)),
        (f"{RUN}/trajectory?measures=beauty", ("measures:", "beauty", "train_loss")),
        (f"{RUN}/spectra?value=phase", ("value:",)),
        (f"{RUN}/grids?of=right", ("of:", "predicted, correct", "'right'")),
        (f"{RUN}/grids?from_step=-1", ("from_step:",)),
        (f"{RUN}/grids?to_step=1.5", ("to_step:", "integer")),
        (f"{RUN}/grids?steps=3", ("steps:", "known: format, from_step, of, to_step")),
        (f"{RUN}/pairs?by=sum", ("by:", "pair, answer, difference, mirror", "'sum'")),
        (f"{RUN}/pairs?from_step=x", ("from_step:", "integer")),
        (f"{RUN}/pairs?of=correct", ("of:", "is not a parameter")),
        ("/v1/runs?limit=0", ("limit:",)),
        ("/v1/runs?operation=pow", ("operation:",)),
        ("/v1/runs?status=done", ("status:",)),
    ],
)
def test_bad_queries(client: httpx.Client, path: str, words: tuple[str, ...]) -> None:
    """400, the parameter named, and nothing else beside it."""
    body = check_problem(client.get(path), 400, *words)
    assert [error["path"] for error in body["errors"]] == [words[0].removesuffix(":")]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/runs/nobody", ("nobody",)),
        ("/v1/runs/No_Such-RUN", ("No_Such-RUN",)),
        ("/v1/runs/..", ()),
        (f"/v1/runs/{'x' * 80}", ()),
        (f"{RUN}/checkpoints/41", ("41", "nearest: 40, 60")),
        (f"{RUN}/checkpoints/999999999999999999999", ("no checkpoint at step",)),
        (f"{RUN}/checkpoints/-1", ("-1",)),
        (f"{RUN}/checkpoints/4e1", ("4e1",)),
        (f"{RUN}/checkpoints/newest", ("newest", "latest")),
        (f"{RUN}/checkpoints/generalised/spectrum", ("has not reached", "generalised")),
        ("/v1/nothing", ("/v1/nothing", "/schema")),
        ("/nothing", ("/nothing",)),
        ("/static/nothing.js", ()),
        ("/static/../app.py", ()),
    ],
)
def test_unknown_things(client: httpx.Client, path: str, words: tuple[str, ...]) -> None:
    """404, naming what is not there and what is near."""
    check_problem(client.get(path), 404, *words)


@pytest.mark.parametrize(
    ("path", "query", "accept", "offered"),
    [
        (f"{LAST}/spectrum", "npy", "*/*", "json, csv, arrow, parquet, vega-lite, svg"),
        (f"{LAST}/logits", "gif", "*/*", "npy, json, csv, arrow, parquet"),
        (RUN, "csv", "*/*", "json"),
        (f"{LAST}/spectrum", None, "image/gif", "text/csv"),
        (f"{LAST}/weights", "svg", "*/*", "json, csv, arrow, parquet"),
        (f"{LAST}/spectrum", None, "application/json;q=0", "text/csv"),
    ],
)
def test_formats_that_are_not_on_offer(
    client: httpx.Client, path: str, query: str | None, accept: str, offered: str
) -> None:
    """406, listing those that are."""
    answer = client.get(path, params={"format": query} if query else {}, headers={"Accept": accept})
    check_problem(answer, 406, offered)


def test_format_wins_over_accept(client: httpx.Client) -> None:
    """`format` decides, whatever Accept says."""
    answer = client.get(f"{LAST}/spectrum?format=json", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_methods_that_are_not_allowed(client: httpx.Client, method: str) -> None:
    """405 as a problem, on every route that only answers."""
    answer = client.request(method, RUN)
    check_problem(answer, 405, method)
    assert "GET" in answer.headers["allow"]


def test_too_many_pairs(client: httpx.Client) -> None:
    """413, naming the limit and its setting; at the limit it is answered."""
    body = {"pairs": [[1, 2]] * 65_537}
    answer = client.post(f"{LAST}/predictions", json=body)
    check_problem(answer, 413, "65537", "GROKPROBE_MAX_PAIRS")
    body["pairs"].pop()
    assert client.post(f"{LAST}/predictions", json=body).status_code == 200


def test_a_body_that_is_too_large(client: httpx.Client) -> None:
    """413 for a body above the limit, announced or chunked."""
    big = b" " * 10_485_761
    words = "GROKPROBE_MAX_BODY_BYTES"
    check_problem(client.post(f"{LAST}/predictions", content=big), 413, words)
    chunks = (b" " * 1_048_576 for _ in range(11))
    check_problem(client.post(f"{LAST}/predictions", content=chunks), 413, words)
    assert client.get("/livez").status_code == 200


def test_a_compressed_body(client: httpx.Client) -> None:
    """415: a body that would be decoded wrongly is refused."""
    headers = {"Content-Encoding": "gzip"}
    answer = client.post(f"{LAST}/predictions", content=b"\x1f\x8b", headers=headers)
    check_problem(answer, 415, "Content-Encoding")


def test_a_strange_host(client: httpx.Client) -> None:
    """A Host header that is no address changes nothing."""
    headers = {"Host": "x:99999999"}
    check_problem(client.get("/nope", headers=headers), 404, "/nope")
    answer = client.get(f"{RUN}/checkpoints/latest", headers=headers)
    assert answer.status_code == 200


def _leaves(kind: type[Exception]) -> list[type[Exception]]:
    below = [leaf for child in kind.__subclasses__() for leaf in _leaves(child)]
    return below or [kind]


def test_every_error_has_a_status() -> None:
    """Each leaf of the exception tree has a row, but those that only a writer can raise."""
    ours = [
        e for e in _leaves(errors.GrokprobeError) if e.__module__.startswith(("grokprobe", "serv"))
    ]
    assert service_errors.Overloaded in ours
    missing = [e for e in ours if row(e) is None and not issubclass(e, errors.PublicationError)]
    assert missing == []


def test_problems_are_documented(client: httpx.Client) -> None:
    """The OpenAPI document describes the problem body of every route under /v1."""
    document = json.loads(client.get("/schema/openapi.json").text)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1"):
                assert MEDIA_TYPE in operation["responses"]["400"]["content"], path
