"""The service on every kind of host: it answers where it says, and as it is started by hand."""

import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from grokprobe.settings import Settings, variable
from service.__main__ import main
from tests.service.test_events import settings
from tests.support.served import PATIENCE_S, environment, needs_ipv6, serving, started


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "shown", "addresses"),
    [
        ("::", "[::]", ["127.0.0.1", "::1"]),
        ("[::]", "[::]", ["127.0.0.1", "::1"]),
        ("0.0.0.0", "0.0.0.0", ["127.0.0.1"]),
        ("localhost", "localhost", ["127.0.0.1", "::1"]),
        ("[::1]", "[::1]", ["::1"]),
        ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]", ["127.0.0.1"]),
    ],
)
def test_it_answers_where_it_says(
    tmp_path: Path, host: str, shown: str, addresses: list[str]
) -> None:
    """At the URL that it prints, and on each address of its host."""
    changes = {"GROKPROBE_HOST": host, "GROKPROBE_ALLOW_ANONYMOUS": "true"}
    with serving(settings(tmp_path), tmp_path, **changes) as served:
        found = urlsplit(served.url)
        assert found.netloc == f"{shown}:{found.port}"
        for address in addresses:
            with socket.create_connection((address, found.port), timeout=PATIENCE_S) as connection:
                connection.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        assert served.process.poll() is None
    assert served.process.returncode == 0


@pytest.mark.parametrize("command", ["service", "trainer resume x", "grokprobe demo"])
def test_what_is_no_host_stops_the_start(tmp_path: Path, command: str) -> None:
    """One line, with what to write, of whichever program."""
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        env=environment(Settings(home=str(tmp_path)), GROKPROBE_HOST=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: GROKPROBE_HOST: expected an address such as 127.0.0.1")
    assert len(done.stderr.splitlines()) == 1


def test_help_is_answered() -> None:
    """What it is, how it is called, and each setting with its default; nothing is started."""
    command = [sys.executable, "-m", "service", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m service [-h] [--version] [--socket PATH]\n")
    assert "docs/operations.md" in done.stdout
    defaults = Settings()
    for name in Settings.__struct_fields__:
        assert f"\n  {variable(name)}={getattr(defaults, name)}\n" in f"{done.stdout}\n"


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """As the command says it."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"grokprobe {version('grokprobe')}\n")


@pytest.mark.parametrize(
    "given",
    [
        ["serve"],
        ["--port", "9000"],
        ["--host=::"],
        ["--hel"],
        ["-x"],
        [""],
        ["--"],
        ["8000", "--x"],
    ],
)
def test_any_other_argument_is_refused(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 and a sentence that says where settings come from; nothing is started."""
    with pytest.raises(SystemExit) as ended:
        main(given)
    usage, sentence = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert usage == "usage: python -m service [-h] [--version] [--socket PATH]"
    assert f"takes no other arguments, got {' '.join(given)!r}" in sentence
    assert sentence.endswith("settings come from the environment")


@needs_ipv6
def test_the_demo_of_another_host(tmp_path: Path) -> None:
    """It asks, and prints, the address that its service listens on."""
    given = Settings(home=str(tmp_path / "home"), host="[::1]")
    command = [sys.executable, "-m", "grokprobe", "demo"]
    with started(command, given, Path.cwd(), "serving on http://[::1]:") as demo:
        demo.terminate()
        assert demo.wait(PATIENCE_S) == 0


def test_a_url_that_is_printed_is_one() -> None:
    """httpx finds the host in it that was given."""
    for host in ("127.0.0.1", "::", "::1", "localhost"):
        assert httpx.URL(Settings(host=host).url).host == host
