"""The page at `/` and its files, as they are sent."""

import gzip
import re
from pathlib import Path

import httpx
import pytest

from service import explorer
from tests.service.test_api_errors import check_problem
from tests.support.served import serving
from tests.support.trained import Trained

FILES = {
    "/" if path.name == "index.html" else f"/static/explorer/{path.name}": path
    for path in explorer.FOLDER.iterdir()
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def test_the_page_has_a_script_and_a_style() -> None:
    """And nothing that is not served."""
    assert {"/", "/static/explorer/explorer.js", "/static/explorer/explorer.css"} <= FILES.keys()


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_a_file_is_sent_as_it_is_kept(client: httpx.Client, path: str, encoding: str) -> None:
    """However packed; by HEAD with the same headers, and not again to who has it."""
    accepts = {"Accept-Encoding": encoding}
    answer = client.get(path, headers=accepts)
    assert (answer.status_code, answer.content) == (200, FILES[path].read_bytes())
    is_packed = encoding != "identity" and len(answer.content) >= 1024
    assert answer.headers.get("content-encoding") == (encoding if is_packed else None)
    assert answer.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": answer.headers["etag"], **accepts}
    again = client.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    head = client.head(path, headers=accepts)
    assert (head.status_code, head.content) == (200, b"")
    for other in (again, head):
        for name in ("content-security-policy", "referrer-policy", "cache-control"):
            assert other.headers[name] == answer.headers[name]
        tags = {found.headers["etag"].removeprefix("W/") for found in (answer, other)}
        assert len(tags) == 1
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", FILES)
def test_a_browser_is_told_what_the_page_may_do(client: httpx.Client, path: str) -> None:
    """Nothing but what this service serves."""
    headers = client.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_who_may_frame_it_is_a_setting(trained: Trained, tmp_path: Path) -> None:
    """Of the page alone."""
    given = "self, https://notebooks.example"
    with serving(trained.settings, tmp_path, GROKPROBE_FRAME_ANCESTORS=given) as served:
        policy = served.client.get("/").headers["content-security-policy"]
        assert policy.endswith("; frame-ancestors 'self' https://notebooks.example")
        assert "content-security-policy" not in served.client.get("/v1/runs").headers


def test_the_page_needs_no_more_than_its_policy_allows() -> None:
    """No script or style stands in it, and each of its references is relative."""
    text = FILES["/"].read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<base|<form|javascript:", text)
    for script in re.findall(r"<script([^>]*)>([^<]*)", text):
        assert "src=" in script[0]
        assert script[1].strip() == ""
    references = re.findall(r'\s(?:src|href)="([^"]*)"', text)
    assert "schema" in references
    assert not [r for r in references if re.match(r"(?!data:)[a-z]+:|/", r)]


NOTHING = ["", "/", "/index.html", "/nothing", "/explorer.js/x", "/%2e%2e/swagger-ui.css", "/x%00"]


@pytest.mark.parametrize("path", NOTHING)
def test_no_other_file_is_served(client: httpx.Client, path: str) -> None:
    """A folder is none, and the page lies at `/` alone."""
    check_problem(client.get(f"/static/explorer{path}"), 404)


def test_the_page_is_small() -> None:
    """Script, style and page: at most 100 kB."""
    sent = [path for path in FILES.values() if path.suffix in (".html", ".js", ".css")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in sent) <= 100_000
