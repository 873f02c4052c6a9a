"""Headers that come on several lines: lists are joined, of others each is decided once."""

import httpx
import pytest

from service.telemetry.headers import ALONE, ONCE, by_name
from tests.service.test_api import LAST, RUN
from tests.service.test_api_errors import check_problem

ONE_PAIR = f"{LAST}/predictions?a=3&b=5"
POST = f"{LAST}/predictions"
Lines = list[tuple[str, str]]


def ask(
    client: httpx.Client, method: str, path: str, lines: Lines, content: str = ""
) -> httpx.Response:
    """An answer to a request with exactly these lines of the names that they have."""
    request = client.build_request(method, path, content=content or None)
    for name, _ in lines:
        request.headers.pop(name, None)
    request.headers = httpx.Headers([*request.headers.multi_items(), *lines])
    return client.send(request)


@pytest.mark.parametrize(
    "lines",
    [
        [("Accept", "application/json;q=0.1"), ("Accept", "text/csv")],
        [("Accept", "text/csv"), ("Accept", "application/json;q=0.1")],
        [("Accept", ""), ("Accept", "image/gif"), ("accept", "text/csv")],
    ],
)
def test_accept_is_joined(client: httpx.Client, lines: Lines) -> None:
    """The best of all lines, whichever comes first."""
    answer = ask(client, "GET", ONE_PAIR, lines)
    assert answer.headers["content-type"].startswith("text/csv")


def test_posts_too(client: httpx.Client) -> None:
    """The way past the framework reads the same."""
    lines = [("Accept", "text/csv"), ("Accept", "application/json;q=0.1")]
    answer = ask(client, "POST", POST, lines, content='{"pairs": [[3, 5]]}')
    assert answer.headers["content-type"].startswith("text/csv")
    encoded = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    answer = ask(client, "POST", POST, encoded, content='{"pairs": [[3, 5]]}')
    check_problem(answer, 415, "compressed")


def test_accept_encoding_is_joined(client: httpx.Client) -> None:
    """gzip on the second line is gzip."""
    lines = [("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")]
    assert ask(client, "GET", f"{LAST}/spectrum", lines).headers["content-encoding"] == "gzip"


def test_if_none_match_is_joined(client: httpx.Client) -> None:
    """An ETag on any of the lines is known."""
    tag = client.get(ONE_PAIR).headers["etag"]
    for tags in (['"other"', tag], [tag, '"other"'], ['"one", "two"', f'"three", {tag}']):
        lines = [("If-None-Match", known) for known in tags]
        assert ask(client, "GET", ONE_PAIR, lines).status_code == 304
    lines = [("If-None-Match", '"one"'), ("If-None-Match", '"two"')]
    assert ask(client, "GET", ONE_PAIR, lines).status_code == 200


@pytest.mark.parametrize("second", ["a", "b"])
@pytest.mark.parametrize("name", sorted(name.decode() for name in ONCE))
def test_what_comes_once(client: httpx.Client, name: str, second: str) -> None:
    """400 that names the header, also where both lines say the same."""
    for path in (RUN, "/livez", "/nowhere"):
        answer = ask(client, "GET", path, [(name, "a"), (name, second)])
        body = check_problem(answer, 400, "several lines", name.title())
        assert body["errors"][0]["path"] == name.title()
    lines = [(name, "a"), (name, second)]
    check_problem(ask(client, "POST", POST, lines, content="{}"), 400, name.title())


def test_a_request_id_that_comes_twice(client: httpx.Client) -> None:
    """Neither is taken; the request is answered under a name of our own."""
    lines = [("X-Request-ID", "mine"), ("X-Request-ID", "mine")]
    answer = ask(client, "GET", RUN, lines)
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] not in ("mine", "mine, mine")
    assert ask(client, "GET", RUN, lines[:1]).headers["x-request-id"] == "mine"


def test_by_name() -> None:
    """Lists joined without empty lines, what stands alone gone, what comes once once."""
    lines = [(b"accept", b"a"), (b"vary", b"b"), (b"accept", b""), (b"accept", b"c, d")]
    assert by_name(lines) == {b"accept": b"a, c, d", b"vary": b"b"}
    for name in ALONE:
        assert by_name([(name, b"a"), (name, b"a")]) == {}
    assert by_name([]) == {}
