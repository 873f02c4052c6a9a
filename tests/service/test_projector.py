"""The Embedding Projector: what its loader takes, who may read it, and the projector itself."""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from grokprobe.analysis.coordinates import frequency_plane
from tests.service.test_api import LAST, LATEST, RUN, P, get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_operations import OPERATIONS, last, others
from tests.support.chromium import WEBGL, chromium, needs_chromium
from tests.support.proxy import listening, proxy
from tests.support.served import PATIENCE_S, Served, serving
from tests.support.trained import Trained

__all__ = ["others"]  # a fixture

PROJECTOR = f"{LAST}/projector"
THREE = [PROJECTOR, f"{PROJECTOR}/tensors", f"{PROJECTOR}/metadata"]
ANYBODY = {"Origin": "https://projector.tensorflow.org"}


def load_tensors(text: str) -> NDArray[np.float32]:
    """As the projector reads lines of tensors: numbers between tabs, each line as long."""
    rows = [list(map(float, line.split("\t"))) for line in text.split("\n") if line.strip()]
    assert len({len(row) for row in rows}) == 1 < len(rows[0])
    return np.array(rows, np.float32)


def load_metadata(text: str) -> dict[str, list[str]]:
    """As the projector reads metadata: the first line has names if there is a tab in it."""
    lines = [line.split("\t") for line in text.split("\n") if line.strip()]
    assert len({len(line) for line in lines}) == 1 < len(lines[0])
    names, *rows = lines
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def load(client: httpx.Client, config: dict[str, Any]) -> dict[str, Any]:
    """Each embedding of a configuration by the end of its name: tensors, metadata."""
    found = {}
    for entry in config["embeddings"]:
        M = load_tensors(client.get(entry["tensorPath"]).text)
        assert [*M.shape] == entry["tensorShape"]
        metadata = load_metadata(client.get(entry["metadataPath"]).text)
        assert {len(column) for column in metadata.values()} == {len(M)}
        found[entry["tensorName"].rpartition(" ")[2]] = M, metadata
    return found


def raw(client: httpx.Client, checkpoint: str, of: str) -> NDArray[np.float32]:
    """The vectors as the API has them elsewhere."""
    path = f"{checkpoint}/embedding?projection=raw&format=npy&of={of}"
    found: NDArray[np.float32] = np.load(io.BytesIO(client.get(path).content)).astype(np.float32)
    return found


def test_a_checkpoint(client: httpx.Client) -> None:
    """The loader gets each float32 of every matrix, and where each residue lies."""
    found = load(client, get(client, PROJECTOR))
    assert [*found] == ["embedding", "unembedding"]
    for of, (M, metadata) in found.items():
        assert np.array_equal(M, raw(client, LAST, of))
        assert metadata["residue"] == metadata["element"] == [*map(str, range(P))]
        keys = get(client, RUN)["key_frequencies"]
        assert [*metadata][2:] == [f"{what}_{k}" for k in keys for what in ("turn", "angle")]
        for k in keys:
            x, y = frequency_plane(M, k).T
            assert metadata[f"turn_{k}"] == [str(k * a % P) for a in range(P)]
            angles = np.array(metadata[f"angle_{k}"], float)
            assert np.cos(angles - np.arctan2(y, x)) == pytest.approx(1)
            assert ((angles >= 0) & (angles <= 6.283186)).all()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_other_operations(others: httpx.Client, operation: str) -> None:
    """Rows in the order of the group, whose elements are named; what has no frequency, none."""
    found = load(others, get(others, f"{last(operation)}/projector"))
    M, metadata = found["embedding"]
    assert np.array_equal(M, raw(others, last(operation), "embedding"))
    assert metadata["element"] == [*map(str, range(len(M)))]
    if operation == "mul":
        assert metadata["residue"] == [str(2**i % 13) for i in range(12)]
    else:
        assert metadata["residue"] == metadata["element"]
    assert operation != "s5" or [*metadata] == ["residue", "element"]


def test_which_vectors(client: httpx.Client) -> None:
    """Those that are named are opened first; a label's addresses have its number."""
    label = get(client, f"{RUN}/checkpoints/latest/projector", of="unembedding")["embeddings"]
    assert [e["tensorName"] for e in label] == [
        f"tiny step {LATEST} {of}" for of in ("unembedding", "embedding")
    ]
    path = urlsplit(label[0]["tensorPath"])
    assert f"{path.path}?{path.query}" == f"{PROJECTOR}/tensors?of=unembedding"
    for part in ("", "/tensors", "/metadata"):
        answer = client.get(f"{PROJECTOR}{part}?of=effective_embedding")
        check_problem(answer, 404, "effective_embedding")


# -- who may read it -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*THREE, f"{PROJECTOR}?of=x", f"{RUN}/checkpoints/7/projector"])
def test_any_page_may_read_it(client: httpx.Client, path: str) -> None:
    """Answers and problems, whether an Origin is sent or a cache asks; once."""
    for headers in ({}, ANYBODY):
        answer = client.get(path, headers=headers)
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert "Origin" not in answer.headers.get("vary", "")
    preflight = {**ANYBODY, "Access-Control-Request-Method": "GET"}
    answer = client.options(path, headers=preflight)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")


OTHERS = [LAST, RUN, f"{LAST}/embedding", f"{PROJECTOR}/nothing", "/projector", "/v1/runs/tensors"]
OTHERS += [f"{LAST}/weights/projector", f"{LAST}/metadata", f"{RUN}/projector", "/livez"]


@pytest.mark.parametrize("path", OTHERS)
def test_nothing_else(client: httpx.Client, path: str) -> None:
    """No other route is open by its name."""
    assert "access-control-allow-origin" not in client.get(path, headers=ANYBODY).headers


def test_beside_origins_that_are_set(trained: Trained, tmp_path: Path) -> None:
    """A setting for other routes changes nothing here."""
    ours = "https://lab.example"
    with serving(trained.settings, tmp_path, GROKPROBE_CORS_ORIGINS=ours) as served:
        for path in THREE:
            answer = served.client.get(path, headers={"Origin": ours})
            assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert served.client.get(RUN, headers={"Origin": ours}).headers["vary"].endswith("Origin")


def test_keys_are_needed(trained: Trained, tmp_path: Path) -> None:
    """Where the service has keys, here too; a page may read that it lacks one."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann {hashlib.sha256(b'a-key').hexdigest()}\n")
    with serving(trained.settings, tmp_path, GROKPROBE_API_KEYS_FILE=str(keys)) as served:
        for path in THREE:
            refused = served.client.get(path, headers=ANYBODY)
            check_problem(refused, 401)
            assert refused.headers["access-control-allow-origin"] == "*"
            given = {**ANYBODY, "Authorization": "Bearer a-key"}
            assert served.client.get(path, headers=given).status_code == 200


# -- whole addresses -----------------------------------------------------------------------------


def test_it_is_where_the_request_went(served: Served) -> None:
    """By its Host, whatever a proxy's headers claim; such an answer is asked for again."""
    claims = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    answer = served.client.get(PROJECTOR, headers=claims)
    assert answer.json()["embeddings"][0]["tensorPath"].startswith(f"{served.url}{LAST}/")
    other = served.client.get(PROJECTOR, headers={"Host": "lab.example:81"})
    assert other.json()["embeddings"][0]["metadataPath"].startswith("http://lab.example:81/v1/")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"] != other.headers["etag"]
    again = served.client.get(PROJECTOR, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("base", ["http://[::1]:80", "https://lab.example/a/b%20c/", "http://x:1/"])
def test_a_base_is_kept(client: httpx.Client, base: str) -> None:
    """The addresses lie below it."""
    for entry in get(client, PROJECTOR, base=base)["embeddings"]:
        for name in ("tensorPath", "metadataPath"):
            assert entry[name].startswith(f"{base.rstrip('/')}{PROJECTOR}/")


NO_BASES = ["", "lab.example", "ftp://x", "javascript:alert(1)", "http://", "http://a b", "//x"]
NO_BASES += ["http://u:p@x", "http://x?y", "http://x/#y", "http://x/../y?", "http://x:port"]


@pytest.mark.parametrize("base", NO_BASES)
def test_what_is_no_base(client: httpx.Client, base: str) -> None:
    """400 in words."""
    check_problem(client.get(PROJECTOR, params={"base": base}), 400, "base", "https://lab.example")


@pytest.mark.parametrize("host", ["", "a/b", "x?y", "é"])
def test_a_host_that_is_none(served: Served, host: str) -> None:
    """Without an address it says which parameter has one."""
    answer = served.client.get(PROJECTOR, headers={b"Host": host.encode()})
    assert answer.status_code == 400
    base = served.client.get(f"{PROJECTOR}?base={served.url}", headers={b"Host": host.encode()})
    assert base.status_code in (200, 400)  # 400 where no service takes such a request


@pytest.mark.parametrize("strips", [True, False])
@pytest.mark.parametrize("root", ["/grokprobe", "/user/ann%40lab/my%20probe"])
def test_behind_a_proxy(trained: Trained, tmp_path: Path, root: str, strips: bool) -> None:
    """The addresses lead to the same vectors below a root, by Host and by base alike."""
    with (
        serving(trained.settings, tmp_path, GROKPROBE_ROOT_PATH=root) as served,
        proxy(served.url, root, strips) as url,
        httpx.Client(base_url=url, timeout=PATIENCE_S) as client,
    ):
        by_host = client.get(f"{root}{PROJECTOR}").json()
        by_base = client.get(f"{root}{PROJECTOR}", params={"base": f"{url}{root}"}).json()
        assert by_host == by_base
        assert [*load(client, by_host)] == ["embedding", "unembedding"]


# -- the projector itself ------------------------------------------------------------------------

PACKAGE = find_spec("tensorboard")
DASHBOARD = "<vz-projector-dashboard></vz-projector-dashboard>"
STANDALONE = '<vz-projector-app serving-mode="demo"></vz-projector-app>'
# The points that the projector has, once it has put the metadata with them.
LOADED = """() => {
  const app = document.querySelector("vz-projector-app");
  const points = app?.shadowRoot.querySelector("vz-projector")?.dataSet?.points;
  return points?.[0].metadata.residue === undefined
    ? null : points.map(({vector, metadata}) => [Array.from(vector), metadata]);
}"""


@contextmanager
def standalone() -> Iterator[str]:
    """The URL of the projector as projector.tensorflow.org has it: from the package's files."""
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    folder = Path(PACKAGE.origin).parent / "plugins" / "projector" / "tf_projector_plugin"
    page = (folder / "projector_binary.html").read_text()
    assert DASHBOARD in page
    # Fonts stay away: the page's own host has them.
    page = re.sub(r"@font-face \{[^}]*\}", "", page).replace(DASHBOARD, STANDALONE)
    files = {
        "/": ("text/html", page.encode()),
        "/projector_binary.js": (
            "text/javascript",
            (folder / "projector_binary.js").read_bytes(),
        ),
    }

    class Handler(BaseHTTPRequestHandler):
        """Serves the two files."""

        def do_GET(self) -> None:
            kind, body = files.get(self.path.partition("?")[0], ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as url:
        yield url


@needs_chromium
@pytest.mark.skipif(PACKAGE is None, reason="tensorboard is not installed")
def test_the_projector_opens_it(served: Served) -> None:
    """The page of another origin has each vector and what is said of it."""
    config = f"{served.url}{RUN}/checkpoints/latest/projector"
    with standalone() as url, chromium(*WEBGL) as browser:
        page, asked = browser.new_page(), list[str]()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/?config={quote(config, safe='')}")
        found = page.wait_for_function(LOADED).json_value()
    vectors = np.array([vector for vector, _ in found], np.float32)
    assert np.array_equal(vectors, raw(served.client, LAST, "embedding"))
    assert [metadata["residue"] for _, metadata in found] == [*range(P)]
    assert {"turn_1", "angle_1", "turn_3"} <= found[0][1].keys()
    elsewhere = [u for u in asked if not u.startswith((url, served.url, "data:", "blob:"))]
    assert elsewhere == []
