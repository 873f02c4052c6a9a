"""Access: keys from a file, read again when it changes; the same check before every route."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from grokprobe.errors import InvalidInput, SettingError
from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from service.errors import RateExceeded, Unauthorised
from service.middleware.auth import ApiKeys, Key, open_keys, parse_keys
from tests.service.test_api_errors import check_problem
from tests.service.test_events import MANIFESTS, begin, change, listening, metric, settings
from tests.support.served import Served, environment, eventually, serving
from tests.support.trained import TINY_STEPS, Trained

LAST = f"/v1/runs/tiny/checkpoints/{TINY_STEPS[-1]}"


def digest(key: str) -> str:
    """As the file has it."""
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    """The header that a client sends."""
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the keys of ann, who may come as often as she likes, and bob, who may not."""
    path = tmp_path / "keys"
    path.write_text(f"# who may ask\n\nann {digest('a-key')}\n  bob {digest('b-key')} 1/s\n")
    return path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ann abc", 1),
        ("# fine\nann", 2),
        (f"ann {digest('a')} 3", 1),
        (f"ann {digest('a')} 0/s", 1),
        (f"ann {digest('a')} -1/s", 1),
        (f"ann {digest('a')} 1/s more", 1),
        (f"ann {digest('a')}\nbob {digest('a')}", 2),
    ],
)
def test_a_bad_line_is_named(text: str, line: int) -> None:
    """Its number, never what stands there: it may be a key."""
    with pytest.raises(InvalidInput, match=f"^line {line}: ") as caught:
        parse_keys(text)
    assert digest("a") not in str(caught.value)


def test_a_file_with_a_byte_order_mark(file: Path) -> None:
    """As Windows' editor leaves it; the first line is a line. UTF-16 is named."""
    text = f"ann {digest('a-key')}\r\nbob {digest('b-key')}\r\n"
    file.write_bytes(text.encode("utf-8-sig"))
    assert ApiKeys(file).identify("Bearer a-key").name == "ann"
    file.write_bytes(text.encode("utf-16"))
    with pytest.raises(SettingError, match=f"{file} cannot be used: is UTF-16"):
        ApiKeys(file)


@pytest.mark.parametrize("content", [None, b"ann", b"\xff"])
def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    """One error that names the variable and the file."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=f"GROKPROBE_API_KEYS_FILE: {path} cannot be used"):
        open_keys(Settings(api_keys_file=str(path)))


@pytest.mark.parametrize(
    ("header", "code"),
    [("", ""), ("Basic YTph", ""), ("Bearer", "invalid_token"), ("Bearer x", "invalid_token")],
)
def test_who_is_not_let_in(file: Path, header: str, code: str) -> None:
    """No key, another scheme, a wrong key: the challenge says which."""
    with pytest.raises(Unauthorised) as caught:
        ApiKeys(file).identify(header)
    assert code in caught.value.challenge
    assert caught.value.challenge.startswith('Bearer realm="grokprobe"')
    assert ApiKeys(file).identify("bearer  a-key").name == "ann"


def test_a_rate_allows_a_second_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three requests of 3/s, then one in every third of a second; the error says when."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    key = Key("bob", digest("b"), 3.0)
    for _ in range(3):
        key.use()
    with pytest.raises(RateExceeded, match="wait 1 s") as caught:
        key.use()
    assert caught.value.retry_after_s == 1
    now += 0.34
    key.use()
    with pytest.raises(RateExceeded):
        key.use()


def test_every_route_is_behind_the_check(trained: Trained, file: Path, tmp_path: Path) -> None:
    """401 with a challenge and one line in the log; health, metrics and OpenAPI are open."""
    with serving(trained.settings, tmp_path, GROKPROBE_API_KEYS_FILE=str(file)) as served:
        client = served.client
        for path in ("/v1/runs", LAST, f"{LAST}/predictions", "/nothing", "//v1/runs"):
            for headers in ({}, bearer("wrong")):
                answer = client.get(path, headers=headers)
                check_problem(answer, 401, "key")
                assert answer.headers["www-authenticate"].startswith("Bearer ")
        check_problem(client.post(f"{LAST}/predictions", content=b"x"), 401, "Bearer KEY")
        assert client.head("/v1/runs").status_code == 401
        for path in ("/livez", "/readyz", "/metrics", "/schema", "/schema/openapi.json", "/"):
            assert client.get(path, follow_redirects=True).status_code == 200
        for _ in range(3):
            assert client.get(f"{LAST}/predictions", headers=bearer("a-key")).status_code == 200
        assert metric(served, 'grokprobe_refusals_total{reason="key"}') == 12
    lines = served.log.read_text().splitlines()
    assert len([line for line in lines if " 401 " in line]) == 12
    assert not [line for line in lines if "wrong" in line]


def test_what_describes_the_service_can_be_closed(file: Path, tmp_path: Path) -> None:
    """Then health alone is open, and the page that asks for a key."""
    changes = {"GROKPROBE_API_KEYS_FILE": str(file), "GROKPROBE_OPEN_METRICS": "false"}
    with serving(settings(tmp_path), tmp_path, **changes) as served:
        found = {
            p: served.client.get(p).status_code for p in ("/livez", "/readyz", "/metrics", "/")
        }
        assert found == {"/livez": 200, "/readyz": 200, "/metrics": 401, "/": 200}
        for path in ("/schema/openapi.json", "/static/swagger-ui.css"):
            check_problem(served.client.get(path), 401, "key")
            assert served.client.get(path, headers=bearer("a-key")).status_code == 200


def test_a_rate_is_held(file: Path, tmp_path: Path) -> None:
    """429 with Retry-After, counted; who waits that long succeeds; others are not touched."""
    with serving(settings(tmp_path), tmp_path, GROKPROBE_API_KEYS_FILE=str(file)) as served:
        often = iter(lambda: served.client.get("/v1/runs", headers=bearer("b-key")), None)
        answer = next(found for found in often if found.status_code != 200)
        check_problem(answer, 429, "'bob'", "1 requests/s")
        assert status(served, "a-key")() == 200
        time.sleep(int(answer.headers["retry-after"]))
        assert status(served, "b-key")() == 200
        assert metric(served, 'grokprobe_refusals_total{reason="rate"}') == 1


def status(served: Served, key: str) -> Callable[[], int]:
    """What a request with that key is answered."""
    return lambda: served.client.get("/v1/runs", headers=bearer(key)).status_code


def becomes(asked: Callable[[], int], expected: int) -> bool:
    """Whether that is the answer in the end."""
    return eventually(lambda: asked() == expected)


def replace(file: Path, text: str) -> None:
    """Write the file anew, at once: nobody reads a half of it."""
    replaced = file.with_name("new")
    replaced.write_text(text)
    replaced.rename(file)


def test_keys_change_while_it_serves(file: Path, tmp_path: Path) -> None:
    """A new one works, a revoked one does not, a broken file changes nothing and says so once."""
    with serving(settings(tmp_path), tmp_path, GROKPROBE_API_KEYS_FILE=str(file)) as served:
        a, c = status(served, "a-key"), status(served, "c-key")

        def complaints(count: int) -> bool:
            return c() == 200 and served.log.read_text().count("keys stay as they were") == count

        assert (a(), c()) == (200, 401)
        replace(file, f"cleo {digest('c-key')}\n")
        assert becomes(c, 200)
        assert a() == 401
        replace(file, "broken")
        assert eventually(lambda: complaints(1))
        file.unlink()
        assert eventually(lambda: complaints(2))
        replace(file, "")
        assert becomes(c, 401)
        assert served.log.read_text().count("keys stay as they were") == 2


def test_a_revoked_key_hears_nothing_more(file: Path, tmp_path: Path) -> None:
    """A stream that was open ends at the next word."""
    with serving(settings(tmp_path), tmp_path, GROKPROBE_API_KEYS_FILE=str(file)) as served:
        change(tmp_path, begin)
        served.client.headers = httpx.Headers(bearer("a-key"))
        with listening(served) as events:
            replace(file, f"cleo {digest('c-key')}\n")
            assert becomes(status(served, "a-key"), 401)
            change(tmp_path, _announce)
            assert list(events) == []


async def _announce(backends: Backends) -> None:
    await backends.catalogue.add_checkpoint(MANIFESTS[0])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "grokprobe.example"])
def test_an_address_that_others_reach(tmp_path: Path, file: Path, host: str) -> None:
    """It needs keys, or a word that everybody may ask; nothing is started without."""
    env = environment(Settings(home=str(tmp_path / "home"), host=host))
    done = subprocess.run(
        [sys.executable, "-m", "service"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    for name in ("GROKPROBE_HOST", "GROKPROBE_API_KEYS_FILE", "GROKPROBE_ALLOW_ANONYMOUS"):
        assert name in done.stderr
    assert not (tmp_path / "home").exists()
    assert open_keys(Settings(host=host, allow_anonymous=True)) is None
    assert open_keys(Settings(host=host, api_keys_file=str(file))) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    """Nobody else reaches it."""
    assert open_keys(Settings(host=host)) is None
