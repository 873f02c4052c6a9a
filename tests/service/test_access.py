"""Who may ask is decided by the route that answers, however its path is spelt."""

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore
from redis.asyncio import Redis

from grokprobe.settings import Settings
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.events import EventReader
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from service.middleware.auth import ApiKeys
from tests.service.test_auth import bearer, digest
from tests.service.test_events import settings as settings_at
from tests.support.served import PATIENCE_S, Served, serving

OPENAPI = Path(__file__).parents[2] / "docs/openapi.json"
HEALTH = ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready"]
PAGE = ["/", "/llms.txt", "/static/explorer/explorer.js", "/static/explorer/explorer.css"]
DESCRIBING = ["/metrics", "/schema", "/schema/openapi.json", "/static/swagger-ui.css"]
# The templates of those routes, as the framework names the route that has answered.
ANYBODY = {*HEALTH, *PAGE}
BY_SETTING = {"/metrics", "/schema", "/schema/swagger", "/schema/openapi.json"}
BY_SETTING |= {"/schema/openapi.yaml", "/schema/openapi.yml", "/schema/{path}"}
BY_SETTING |= {"/static/{file_path}"}


def ask(served: Served, target: str, method: str = "GET", key: str = "") -> int:
    """The status for a request target as it stands, which clients would tidy up."""
    address = urlsplit(served.url)
    head = f"{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (bearer(key) if key else {}).items())
    with socket.create_connection((address.hostname, address.port), PATIENCE_S) as connection:
        connection.sendall(f"{head}\r\n".encode())
        return int(connection.makefile("rb").read().split()[1])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one key."""
    path = tmp_path_factory.mktemp("access") / "keys"
    path.write_text(f"ann {digest('a-key')}\n")
    return path


@pytest.fixture(scope="module", params=["true", "false"], ids=["open", "closed"])
def served(
    request: pytest.FixtureRequest, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, bool]]:
    """A service that asks for keys, and whether what describes it is open; it lies at a root."""
    folder = tmp_path_factory.mktemp("keyed")
    changes = {"GROKPROBE_API_KEYS_FILE": str(file), "GROKPROBE_OPEN_METRICS": request.param}
    with serving(settings_at(folder), folder, GROKPROBE_ROOT_PATH="/at", **changes) as found:
        yield found, request.param == "true"


def spellings(path: str) -> list[str]:
    """Other ways to name one path."""
    encoded = "".join(c if c == "/" else f"%{ord(c):02x}" for c in path)
    return [path, f"{path}/", f"{path}//", f"/{path}", encoded, f"{path}?x=1", f"/at{path}"]


@pytest.mark.parametrize("path", HEALTH)
def test_health_is_open(served: tuple[Served, bool], path: str) -> None:
    """In every spelling that the route has, by GET and HEAD; other methods are not of the route."""
    service, _ = served
    for target in spellings(path):
        expected = 400 if "?" in target and path.startswith("/v2") else 200
        assert [ask(service, target, way) for way in ("GET", "HEAD")] == [expected] * 2, target
        assert ask(service, target, key="wrong") == expected
        assert ask(service, target, "POST") == 401
    assert ask(service, f"{path}/", "POST", key="a-key") == 405


@pytest.mark.parametrize("path", PAGE)
def test_the_page_is_open(served: tuple[Served, bool], path: str) -> None:
    """With its files, whatever the setting says: it is where a key is asked for."""
    service, _ = served
    for target in spellings(path):
        assert [ask(service, target, way) for way in ("GET", "HEAD")] == [200] * 2, target
        assert ask(service, target, key="wrong") == 200
        assert ask(service, target, "POST") == 401


@pytest.mark.parametrize("path", DESCRIBING)
def test_what_describes_the_service_is_as_set(served: tuple[Served, bool], path: str) -> None:
    """Open or closed, in every spelling alike."""
    service, is_open = served
    for target in spellings(path):
        expected = 200 if is_open else 401
        assert [ask(service, target, way) for way in ("GET", "HEAD")] == [expected] * 2, target
        assert ask(service, target, key="a-key") == 200


CLOSED = [
    *("/v1/runs", "/v1/runs/", "//v1/runs", "/%761/runs", "/v2", "/v2/", "/v2/models/x/ready"),
    *("/LIVEZ", "/Livez", "/livez.", "/livez;x", "/livezz", "/live", "/livez/x", "/livez/v1/runs"),
    *(
        "/livez/../v1/runs",
        "/livez/%2e%2e/v1/runs",
        "/livez%2f..%2fv1/runs",
        "/livez/.",
        "/./livez",
    ),
    *("/static/../v1/runs", "/static/%2e%2e/v1/runs", "/static/..%2fv1%2fruns", "/static/.."),
    *("/static/../livez", "/schema/../v1/runs", "/schema/%2E%2E/v1/runs", "/metrics/../v1/runs"),
    *("/metrics/v1/runs", "/schema/x/y", "/static", "/livez%00", "/livez%20", "/%2flivez/x"),
    *("/static/explorer/../v1/runs", "/static/explorer/../../v1/runs", "/static/explorer/.."),
    *("/livez%3f/../v1/runs", "/v2/health", "/v2/health/", "/v2/health/live/x", "/v2/health/x"),
    *("/at/v1/runs", "/at/livez/../v1/runs", "/at/at/livez", "/at/static/../v1/runs", "/atlivez"),
    *("http://x/v1/runs", "http://livez/v1/runs", "/%25%36%63ivez", "/nothing"),
]


@pytest.mark.parametrize("target", CLOSED)
def test_nothing_else_is_open_by_its_spelling(served: tuple[Served, bool], target: str) -> None:
    """Neither what looks like an open path, nor what leads through one to another."""
    service, _ = served
    assert [ask(service, target, way) for way in ("GET", "HEAD", "POST")] == [401] * 3


NAMED = [path.strip("/") for path in [*HEALTH, *DESCRIBING, *PAGE[1:]]]
NO_FILES = ["/static/explorer", "/static/explorer/x", "/static/explorer/index.html"]
NO_FILES += ["/static/explorer/explorer.js/x", "/static/swagger-ui.css/x"]
NO_FILES += ["/static/x", "/static/%00", f"/static/{'x' * 300}"]


@pytest.mark.parametrize("path", NO_FILES)
def test_what_is_no_file_is_not_found(served: tuple[Served, bool], path: str) -> None:
    """Whatever a file system thinks of its name."""
    service, is_open = served
    assert ask(service, path) == (404 if is_open else 401)
    assert ask(service, path, key="a-key") == 404


PIECES = [*NAMED, "v1/runs", "v2", "schema/swagger", "static", "at", "LIVEZ", "x", "..", "."]
SEPARATORS = ["/", "//", "%2f", "/./", "/../"]
PATHS = st.builds(
    lambda first, others, last: f"/{first}{''.join(a + b for a, b in others)}{last}",
    st.sampled_from([*NAMED, *PIECES, "at/livez", "at/metrics"]),
    st.lists(st.tuples(st.sampled_from(SEPARATORS), st.sampled_from(PIECES)), max_size=2),
    st.sampled_from(["", "/", "//"]),
)
ENCODED = st.builds(
    lambda path, chosen: "".join(
        f"%{ord(c):02x}" if n in chosen else c for n, c in enumerate(path)
    ),
    PATHS,
    st.sets(st.integers(0, 30), max_size=3),
)


def answered(app: Any, method: str, target: str) -> tuple[int, str | None]:
    """The status, and the template of the route that answered; None if none did."""
    scope: Any = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": unquote(target),
        "raw_path": target.encode(),
        "query_string": b"",
        "headers": [(b"host", b"x")],
    }
    status = 0

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(app(scope, receive, send))
    return status, scope.get("path_template")


def in_process(keys: ApiKeys | None, **changes: Any) -> Any:
    """The application over nothing."""

    async def create() -> Any:
        nobody = Redis(unix_socket_path="/nowhere/redis.sock")
        backends = Backends(ArchiveReader(MemoryStore()), Catalogue(nobody), EventReader(nobody))
        return create_app(create_context(Settings(**changes), backends, Runtime()), keys)

    return asyncio.run(create())


@pytest.mark.parametrize("root", ["", "/at"])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_path_is_open_if_its_route_is(file: Path, root: str, is_open: bool) -> None:
    """Who has no key is answered by the routes that are open and by no other, however they ask."""
    changes = {"root_path": root, "open_metrics": is_open}
    everybody, keyed = in_process(None, **changes), in_process(ApiKeys(file), **changes)
    free = ANYBODY | BY_SETTING if is_open else ANYBODY
    seen = set()

    def check(target: str, method: str) -> None:
        status, route = answered(everybody, method, target)
        leads_on = ".." in unquote(target).split("/")
        found, _ = answered(keyed, method, target)
        assert (found == 401) == (route not in free or leads_on), (target, route)
        assert status != 500
        if found != 401:
            assert found == status
            seen.add(route)

    for path in [*HEALTH, *PAGE, *DESCRIBING]:
        check(path, "GET")
    settings(max_examples=150)(given(ENCODED, st.sampled_from(["GET", "POST", "BREW"]))(check))()
    assert seen >= {*ANYBODY, *(DESCRIBING[:3] if is_open else ())}


def test_every_route_that_is_documented_is_closed(file: Path) -> None:
    """But for those of health: by each of its methods, whatever its path is about."""
    keyed, closed = in_process(ApiKeys(file)), 0
    for path, methods in msgspec.json.decode(OPENAPI.read_bytes())["paths"].items():
        target = re.sub(r"{[^}]*}", "x", path)
        for method in methods:
            status, _ = answered(keyed, method.upper(), target)
            assert (status == 401) == (path not in ANYBODY | BY_SETTING), (method, path)
            closed += status == 401
    assert closed > 30
