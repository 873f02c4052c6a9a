"""`grokprobe demo` and its like where they cannot work: one line, exit code 2, nothing touched."""

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grokprobe.cli.desktop import has_desktop
from grokprobe.cli.shipped import RUN, publish_shipped
from grokprobe.client import Client
from grokprobe.settings import Settings
from tests.support.ignoring import ignoring
from tests.support.served import PATIENCE_S, environment, eventually, free_port
from tests.support.trained import settings_at, tiny_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

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


def test_a_service_that_asks_for_keys(tmp_path: Path) -> None:
    """The demo would be refused by it: said before anything starts."""
    settings = Settings(home=str(tmp_path / "home"), port=free_port())
    done = run(["-m", "grokprobe", "demo"], settings, GROKPROBE_API_KEYS_FILE="keys")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: GROKPROBE_API_KEYS_FILE: ")
    assert not (tmp_path / "home").exists()


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


# -- the page --------------------------------------------------------------------------------------

# What notes the address that it is given, as a browser would be given it.
BROWSER = "import json, sys; open({note!r}, 'w').write(json.dumps(sys.argv[1:]))"
DESKTOP = {"DISPLAY": ":0", "CI": "", "SSH_CONNECTION": "", "WAYLAND_DISPLAY": ""}


@contextmanager
def demo(
    settings: Settings, folder: Path, *options: str, program: str | None = None, **changes: str
) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """The real command, its output line by line, and where its browser notes the address."""
    note = folder / "opened.json"
    stand_in = folder / "browser.py"
    stand_in.write_text(BROWSER.format(note=str(note)))
    browser = f"{shlex.quote(sys.executable)} {shlex.quote(str(stand_in))} %s"
    with subprocess.Popen(
        [sys.executable, *(["-c", program] if program else ["-m", "grokprobe"]), "demo", *options],
        env=environment(settings, **{**DESKTOP, "BROWSER": browser, **changes}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process, note
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Where a run of the demo's name is complete."""
    settings = settings_at(tmp_path_factory.mktemp("finished"))
    config = tiny_config(training={"steps": 2})
    assert start(settings, config, "quickstart", JsonReporter()) == 0
    return settings


def until(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """The lines up to one with these words."""
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError("".join(lines))


def test_the_page_is_named_first_and_opened(finished: Settings, tmp_path: Path) -> None:
    """The first line is its address; the browser gets that very address."""
    with demo(finished, tmp_path) as (process, note):
        [first, *_] = until(process, "Ctrl-C stops")
        assert eventually(lambda: note.exists() and note.read_text())
        [opened] = json.loads(note.read_text())
    assert first.split()[0] == opened
    assert opened.startswith("http://127.0.0.1:")
    assert opened.endswith("/#/runs/quickstart")


def test_it_opens_while_the_demo_trains(tmp_path: Path) -> None:
    """As soon as the run is there; its address stands before training begins."""
    with demo(settings_at(tmp_path / "home"), tmp_path) as (process, note):
        [first] = until(process, "#/runs/quickstart")
        assert eventually(lambda: note.exists() and note.read_text())
        assert json.loads(note.read_text()) == [first.split()[0]]
        assert process.poll() is None


@pytest.mark.parametrize(
    ("options", "changes"),
    [(["--no-browser"], {}), ([], {"CI": "true"}), ([], {"DISPLAY": ""})],
    ids=["told", "ci", "no-display"],
)
def test_it_stays_closed(
    finished: Settings, tmp_path: Path, options: list[str], changes: dict[str, str]
) -> None:
    """Where nobody looks, or somebody said so; the address is printed all the same."""
    with demo(finished, tmp_path, *options, **changes) as (process, note):
        assert "/#/runs/quickstart" in until(process, "Ctrl-C stops")[0]
    assert not note.exists()


def test_the_run_that_comes_with_the_package(tmp_path: Path) -> None:
    """It is there without a training, opens, and a second demo of the same HOME shows it again."""
    settings = settings_at(tmp_path / "home")
    for _ in range(2):
        with demo(settings, tmp_path, "--shipped") as (process, note):
            lines = until(process, "Ctrl-C stops")
            with Client(lines[0].partition("/#")[0]) as client:
                assert [run.run for run in client.runs().runs] == [RUN]
                assert client.run(RUN).at("generalised").predict([(1, 5)]).predictions[0].correct
            assert eventually(lambda: note.exists() and note.read_text().endswith(f'/{RUN}"]'))
            note.unlink()
        assert any("being trained: grokprobe demo" in line for line in lines)


HIDDEN = """
import sys
sys.modules["torch"] = None
from grokprobe.cli.main import main
sys.exit(main())
"""


def test_without_torch_that_run_is_shown(tmp_path: Path) -> None:
    """As where the extra `trainer` is not installed; its first module is hidden."""
    with demo(settings_at(tmp_path / "home"), tmp_path, "--no-browser", program=HIDDEN) as (
        process,
        _,
    ):
        lines = until(process, "Ctrl-C stops")
    assert f"/#/runs/{RUN}" in lines[0]
    assert any("being trained: pip install 'grokprobe[" in line for line in lines)


def test_a_complete_run_of_its_name_is_shown_as_it_is(tmp_path: Path) -> None:
    """As after `grokprobe train --preset narrow --run narrow`: nothing is published over it."""
    settings = settings_at(tmp_path / "home")
    assert start(settings, tiny_config(training={"steps": 2}), RUN, JsonReporter()) == 0
    with demo(settings, tmp_path, "--shipped", "--no-browser") as (process, _):
        lines = until(process, "Ctrl-C stops")
        with Client(lines[0].partition("/#")[0]) as client:
            assert client.run(RUN).about.latest_step == 2


def test_a_run_that_was_deleted(tmp_path: Path) -> None:
    """Its name is taken for ever, so another HOME is asked for; exit status 2."""
    settings = settings_at(tmp_path)
    publish_shipped(settings)
    assert run(["-m", "grokprobe", "delete", "--yes", RUN], settings).returncode == 0
    done = run(["-m", "grokprobe", "demo", "--shipped"], settings)
    assert done.returncode == 2
    assert done.stderr.startswith("error: GROKPROBE_HOME: its run narrow was deleted")


def test_memory_keeps_no_run_to_be_shown(tmp_path: Path) -> None:
    """Another process would not see it: refused as a training is."""
    settings = Settings(home=str(tmp_path), store_url="memory://")
    done = run(["-m", "grokprobe", "demo", "--shipped"], settings)
    assert done.returncode == 2
    assert done.stderr.startswith("error: GROKPROBE_STORE_URL: ")


def test_ctrl_c_at_any_time(tmp_path: Path) -> None:
    """Between the address and the run too: exit status 0, and the next demo goes on."""
    settings = settings_at(tmp_path / "home")
    for wait_s in (0.0, 0.2, 0.4, 0.8, 1.6):  # no bound is tried: each is some moment
        with demo(settings, tmp_path, "--shipped", "--no-browser") as (process, _):
            until(process, "serving on")
            time.sleep(wait_s)
    with demo(settings, tmp_path, "--shipped", "--no-browser") as (process, _):
        until(process, "Ctrl-C stops")


def test_a_signal_that_comes_where_errors_are_ignored(tmp_path: Path) -> None:
    """One is enough wherever it comes: here while the demo looks for what training needs."""
    program = ignoring("onnxscript") + HIDDEN
    with demo(settings_at(tmp_path / "home"), tmp_path, "--no-browser", program=program) as (
        process,
        _,
    ):
        until(process, "a signal comes")
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"SSH_CONNECTION": "a"}, "linux", False),
        ({"SSH_CONNECTION": "a", "DISPLAY": "localhost:10.0"}, "linux", True),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "a"}, "darwin", False),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
        ({"CI": "true", "DISPLAY": ":0"}, "linux", False),
        ({"CI": "1"}, "darwin", False),
        ({"CI": "false", "DISPLAY": ":0"}, "linux", True),
    ],
)
def test_where_a_desktop_is(environ: dict[str, str], platform: str, expected: bool) -> None:
    """A display, or a Mac that somebody sits before; not CI, and not ssh without a display."""
    assert has_desktop(environ, platform) is expected
