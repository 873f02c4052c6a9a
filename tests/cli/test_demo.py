"""`grokprobe demo` and its like where they cannot work: one line, exit code 2, nothing touched."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grokprobe.settings import Settings
from tests.support.served import environment, free_port

ROOT = Path(__file__).parents[2]


def run(command: list[str], settings: Settings, **changes: str) -> subprocess.CompletedProcess[str]:
    """A program that must end by itself."""
    return subprocess.run(
        [sys.executable, *command],
        env=environment(settings, **changes),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port that is taken is refused before anything starts; HOME stays untouched."""
    settings = Settings(home=str(tmp_path / "home"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = run(["-m", "grokprobe", "demo"], settings, GROKPROBE_PORT=port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"error: GROKPROBE_PORT: cannot listen on http://127.0.0.1:{port} "
    )
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be(tmp_path: Path) -> None:
    """A HOME that is a file is named."""
    (tmp_path / "file").write_text("")
    settings = Settings(home=str(tmp_path / "file"), port=free_port())
    done = run(["-m", "grokprobe", "demo"], settings)
    assert done.returncode == 2
    assert done.stderr.startswith("error: GROKPROBE_HOME: ")


@pytest.mark.parametrize("arguments", [["train", "--preset", "quickstart"], ["resume", "x"]])
def test_training_into_memory_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    """What would be gone when training ends is not trained."""
    settings = Settings(home=str(tmp_path), store_url="memory://")
    done = run(["-m", "trainer", *arguments], settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: GROKPROBE_STORE_URL: ")


def test_the_picture_without_a_service(tmp_path: Path) -> None:
    """`make picture` with nobody serving says what to start, and leaves the picture alone."""
    before = (ROOT / "docs" / "emergence.svg").read_bytes()
    settings = Settings(home=str(tmp_path), port=free_port())
    done = run(["-m", "tools.picture"], settings)
    assert done.returncode == 2
    assert "make demo" in done.stdout
    assert (ROOT / "docs" / "emergence.svg").read_bytes() == before
