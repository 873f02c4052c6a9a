"""Behind a proxy, on a path of its own: every URL that leaves can be followed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from grokprobe.errors import SettingError
from grokprobe.settings import Settings, read_settings
from tests.support.proxy import proxy
from tests.support.served import PATIENCE_S, Served, serving
from tests.support.trained import TINY_STEPS, Trained

RUN = "/v1/runs/tiny"
# What proxies and clients may claim of where the service lies; none of it is believed.
CLAIMS = {
    "Host": "evil.example",
    "Forwarded": "for=1.2.3.4;host=evil.example;proto=https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/evil.example",
    "X-Original-URL": "/evil.example",
    "X-Script-Name": "/evil.example",
}


@dataclass(frozen=True)
class Place:
    """A service below a root, and a client that sees it there."""

    client: httpx.Client
    root: str

    def get(self, path: str, **parts: Any) -> httpx.Response:
        """The answer to one of our paths."""
        return self.client.get(f"{self.root}{path}", **parts)

    def follow(self, answer: httpx.Response, reference: str) -> httpx.Response:
        """Where a reference of an answer leads: below the root, on the same host."""
        url = answer.url.join(reference)
        assert (url.scheme, url.netloc) == (answer.url.scheme, answer.url.netloc)
        assert f"{url.raw_path.decode()}/".startswith(f"{self.root}/")
        return self.client.get(url)


@pytest.fixture(
    scope="module",
    params=[
        *[("", True), ("/grokprobe", True), ("/grokprobe", False), ("/a/b", True)],
        *[("/user/ann%40lab/my%20probe", False), ("/v1", True), ("/schema", True)],
    ],
    ids=lambda given: f"{given[0] or '/'}-{'taken' if given[1] else 'left'}",
)
def place(
    request: pytest.FixtureRequest, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """The run `tiny` behind a proxy that takes its root from requests, or leaves it."""
    root, strips = request.param
    folder = tmp_path_factory.mktemp("place")
    with (
        serving(trained.settings, folder, GROKPROBE_ROOT_PATH=root) as served,
        proxy(served.url, root, strips) as url,
        httpx.Client(base_url=url, timeout=PATIENCE_S) as client,
    ):
        yield Place(client, root)


class Loads(HTMLParser):
    """What a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names."""
        named = (value for name, value in attrs if name in ("href", "src") and value)
        self.found += [value for value in named if not value.startswith("data:")]


@pytest.mark.parametrize("path", ["/", "", "/schema", "/schema/", "/schema/swagger"])
def test_whatever_a_page_loads_is_there(place: Place, path: str) -> None:
    """The front page, also where a browser takes the root for a file, and the API's reader."""
    answer = place.get(path)
    assert answer.headers["content-type"].startswith("text/html")
    loads = Loads(answer.text).found
    assert len(loads) >= (3 if path.startswith("/schema") else 2)
    for reference in loads:
        assert place.follow(answer, reference).status_code == 200


def test_what_llms_txt_names_is_there(place: Place) -> None:
    """Each of its links, followed from where it was read."""
    answer = place.get("/llms.txt")
    for reference in re.findall(r"\]\((\S+)\)", answer.text):
        filled = reference.replace("RUN", "tiny").replace("STEP", "latest")
        assert place.follow(answer, filled).status_code == 200


@pytest.mark.parametrize("name", ["openapi.json", "openapi.yaml"])
def test_the_document_names_its_server(place: Place, name: str) -> None:
    """Each path below it is answered; the reader has the same document in its page."""
    answer = place.get(f"/schema/{name}")
    if name == "openapi.yaml":
        assert f"servers:\n- url: {place.root or '/'}\n" in answer.text
        return
    [server] = answer.json()["servers"]
    assert f'"servers":{json.dumps([server], separators=(",", ":"))}' in place.get("/schema").text
    for path in ("/livez", "/metrics", "/v1/runs", "/v2", "/v2/models/{run}", f"{RUN}/emergence"):
        assert path.replace("tiny", "{run}") in answer.json()["paths"]
        url = server["url"].rstrip("/") + path.replace("{run}", "tiny")
        assert place.follow(answer, url).status_code == 200


@pytest.mark.parametrize("chosen", ["json", "csv"])
def test_pages_lead_to_the_next(place: Place, chosen: str) -> None:
    """By Link, to the last, with what else was asked for."""
    answer = place.get(f"{RUN}/checkpoints?limit=2&format={chosen}&from_step=0")
    pages = [answer]
    while link := answer.links.get("next"):
        answer = place.follow(answer, link["url"])
        pages.append(answer)
    assert {page.status_code for page in pages} == {200}
    assert len(pages) == -(-len(TINY_STEPS) // 2)
    if chosen == "json":
        steps = [row["step"] for page in pages for row in page.json()["checkpoints"]]
        assert steps == list(TINY_STEPS)


@pytest.mark.parametrize("rest", ["", "/embedding", "/predictions?a=3&b=5", "/measures"])
def test_a_label_leads_to_its_number(place: Place, rest: str) -> None:
    """By Content-Location, which has the same answer and no such header."""
    answer = place.get(f"{RUN}/checkpoints/latest{rest}")
    numbered = place.follow(answer, answer.headers["content-location"])
    assert (answer.status_code, numbered.status_code) == (200, 200)
    assert numbered.json() == answer.json()
    assert numbered.url.path == answer.url.path.replace("/latest", f"/{TINY_STEPS[-1]}")
    assert "content-location" not in numbered.headers
    known = {"If-None-Match": answer.headers["etag"]}
    again = place.get(f"{RUN}/checkpoints/latest{rest}", headers=known)
    assert again.status_code == 304
    assert again.headers["content-location"] == answer.headers["content-location"]


STRANGE = ["/nothing", "/v1/runs/a%20b", "/v2/x", "/%C3%A9t%C3%A9", "/a%3Fb%23c", "/%22%3E%3Ci%3E"]


@pytest.mark.parametrize("path", [*STRANGE, "/v1/runs/none", "/v1/runs?limit=x", "/v2/models/none"])
def test_a_problem_names_what_was_asked(place: Place, path: str) -> None:
    """`instance` leads to the same problem; paths in its text begin with the root."""
    answer = place.get(path)
    assert answer.status_code in (400, 404)
    problem = answer.json()
    assert str(answer.url.join(problem["instance"])) == str(answer.url).partition("?")[0]
    named = re.findall(r"(?:^|\s)(/\S+)", problem["detail"])
    assert all(name.startswith(f"{place.root}/") for name in named)
    for name in named:
        if name.endswith(("/schema", "/v2")):
            assert place.follow(answer, name).status_code == 200


@pytest.mark.parametrize("path", ["//evil.example/x", "/%2Fevil.example/x"])
def test_no_path_is_another_host(place: Place, path: str) -> None:
    """What begins with two slashes would be one."""
    problem = place.client.get(f"{place.client.base_url}{place.root}{path}".replace("///", "//"))
    assert problem.json()["instance"] == f"{place.root}/evil.example/x"


def test_the_inference_protocol(place: Place) -> None:
    """tritonclient takes the root as a part of its address."""
    address = f"{place.client.base_url.host}:{place.client.base_url.port}{place.root}"
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        pairs = triton.InferInput("pairs", [1, 2], "INT64")
        pairs.set_data_from_numpy(np.array([[3, 5]]))
        assert client.infer("tiny", [pairs]).as_numpy("logits").shape[0] == 1


def test_what_comes_in_thousands(place: Place) -> None:
    """The way past the framework lies below the root too."""
    answer = place.client.post(
        f"{place.root}{RUN}/checkpoints/latest/predictions", json={"pairs": [[3, 5]]}
    )
    assert answer.status_code == 200
    path = f"{place.root}{RUN}/checkpoints/none/predictions"
    assert place.client.post(path, json={"pairs": []}).json()["instance"] == path


def test_nothing_that_is_claimed_is_believed(place: Place) -> None:
    """Answers are the same, in each header and byte, whatever host and prefix a request claims."""
    own = {"date", "x-request-id", "server-timing"}
    for path in ("/", "/schema", f"{RUN}/checkpoints?limit=1", f"{RUN}/checkpoints/latest", "/x"):
        plain, claimed = place.get(path), place.get(path, headers=CLAIMS)
        heads = [[h for h in a.headers.multi_items() if h[0] not in own] for a in (plain, claimed)]
        bodies = [re.sub(r'"request_id":"\w+"', "", answer.text) for answer in (plain, claimed)]
        assert heads[0] == heads[1]
        assert bodies[0] == bodies[1]
        assert "evil" not in f"{heads[1]}{bodies[1]}"


@pytest.mark.parametrize("path", ["/livez", RUN, "/schema/openapi.json"])
def test_paths_work_without_the_root_too(trained: Trained, tmp_path: Path, path: str) -> None:
    """For probes and whoever else asks the service itself; what its links name is there as well."""
    with serving(trained.settings, tmp_path, GROKPROBE_ROOT_PATH="/grokprobe/") as served:
        plain, below = served.client.get(path), served.client.get(f"/grokprobe{path}")
        assert plain.status_code == below.status_code == 200
        assert plain.content == below.content
        assert served.client.get(f"/grokprobes{path}").status_code == 404
        for reference in Loads(served.client.get("/").text).found:
            assert reference.startswith("/grokprobe/")
            assert served.client.get(reference).status_code == 200


@pytest.mark.parametrize("root", ["/grokprobe", "/user/ann%40lab/my%20probe"])
def test_the_page_behind_a_proxy_that_nobody_told_us_of(served: Served, root: str) -> None:
    """What it loads lies below its own address."""
    with proxy(served.url, root) as url, httpx.Client(base_url=url) as client:
        answer = client.get(f"{root}/")
        place = Place(client, root)
        for reference in Loads(answer.text).found:
            assert place.follow(answer, reference).status_code == 200


@pytest.mark.parametrize(
    ("given", "root"),
    [
        *[("", ""), ("/", ""), ("/grokprobe", "/grokprobe"), ("/grokprobe/", "/grokprobe")],
        *[("/a/b/", "/a/b"), ("/~ann/x.y-z_", "/~ann/x.y-z_"), ("/%C3%A9%20", "/%C3%A9%20")],
        *[("/user/a@b.example/proxy/8000", "/user/a@b.example/proxy/8000"), ("/...", "/...")],
    ],
)
def test_what_a_root_is(given: str, root: str) -> None:
    """A path as it stands in URLs; a slash at its end is taken off."""
    assert read_settings({"GROKPROBE_ROOT_PATH": given}).root_path == root
    assert urlsplit(f"http://x{root}/v1").path == f"{root}/v1"


@pytest.mark.parametrize(
    "given",
    [
        *("grokprobe", "grokprobe/", "//", "//evil.example", "/a//b", "/a//", " /a", "/a b", "/é"),
        *("/a?b", "/a#b", "http://x/a", "/a%2", "/a%zz", "/..", "/a/../b", "/a/.", "/%2e%2E/b"),
        *('/"', "/<b>", "/a\n", "/a&copy", "/a\\b", "/{run}"),
    ],
)
def test_what_no_root_is(given: str) -> None:
    """The refusal names the variable and says what to write."""
    with pytest.raises(
        SettingError, match=r"^GROKPROBE_ROOT_PATH: expected a path such as /gro"
    ) as e:
        Settings(root_path=given)
    assert str(e.value).endswith(repr(given))
