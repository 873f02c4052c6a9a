"""Where what Linux alone has is lacking: the programs run all the same.

A module that Python imports at its start takes it away, in every program and in those that they
start: files of /proc and /sys, functions and options, uvloop and the module `resource`.
"""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from grokprobe.settings import Settings
from service.__main__ import OPEN_FILES, allow_open_files
from service.rendering.program import DRAWN, HEAD, LENGTH
from service.rendering.renderer import PROGRAM, site_packages
from tests.support.served import PATIENCE_S, environment, free_port, started
from tests.trainer.test_trainer_faults import configured

TAKEN_AWAY = """
import ctypes, os, socket, sys

sys.modules.update(uvloop=None, resource=None)
del socket.TCP_USER_TIMEOUT, os.sched_getaffinity, os.sched_setaffinity
RealCDLL = ctypes.CDLL


class CDLL(RealCDLL):
    def __getattr__(self, name):
        if name in ("mallopt", "prctl"):
            raise AttributeError(name)
        return super().__getattr__(name)


def lacking(event, arguments):
    path = os.fsdecode(arguments[0]) if event == "open" and arguments[0] is not None \\
        and not isinstance(arguments[0], int) else ""
    # threadpoolctl reads its maps on Linux, and asks the loader elsewhere.
    if path.startswith(("/proc/", "/sys/")) and path != "/proc/self/maps":
        raise FileNotFoundError(2, "No such file or directory", path)


ctypes.CDLL = CDLL
sys.addaudithook(lacking)
"""
LACKING = """
import ctypes, os, socket, sys
for absent in ("uvloop", "resource"):
    try:
        __import__(absent)
    except ImportError:
        print(absent)
print(*(name for name in ("mallopt", "prctl") if not hasattr(ctypes.CDLL(None), name)))
print(*(name for name in ("sched_getaffinity",) if not hasattr(os, name)))
try:
    open("/proc/self/cgroup")
except FileNotFoundError:
    print("proc")
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder from which Python takes it away, for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "sitecustomize.py").write_text(TAKEN_AWAY)
    return str(folder)


def test_it_is_lacking(elsewhere: str) -> None:
    """What the tests below rest on."""
    done = subprocess.run(
        [sys.executable, "-c", LACKING],
        env={"PYTHONPATH": elsewhere},
        capture_output=True,
        text=True,
        check=True,
    )
    told = "uvloop resource mallopt prctl sched_getaffinity proc"
    assert done.stdout.split() == told.split()


@pytest.mark.timeout(600)  # the trainer's first checkpoint, where others have the cores
def test_a_run_is_trained_and_served(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From training over the embedded Redis to a prediction, a picture and a stop by SIGTERM."""
    monkeypatch.setenv("PYTHONPATH", elsewhere)
    settings = Settings(home=str(tmp_path / "home"), port=free_port(), log_format="json")
    train = [sys.executable, "-m", "grokprobe", "train", "--config", configured(tmp_path)]
    trained = subprocess.run(
        [*train, "--run", "tiny"],
        cwd=tmp_path,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert trained.returncode == 0, trained.stdout + trained.stderr
    with started([sys.executable, "-m", "service"], settings, tmp_path, "serving on") as process:
        with httpx.Client(base_url=settings.url, timeout=PATIENCE_S) as client:
            run = "/v1/runs/tiny"
            found = client.get(f"{run}/checkpoints/latest/predictions?a=1&b=5").json()
            assert found["predictions"][0]["answer"] == 6
            drawn = client.get(f"{run}/trajectory?format=svg")
            assert drawn.content.startswith(b"<svg"), drawn.text
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


def test_the_renderer_draws(elsewhere: str) -> None:
    """One picture, then it ends with its input."""
    work = {"spec": {"data": {"values": [{"a": 1}]}, "mark": "point"}, "format": "svg"}
    message = json.dumps(work).encode()
    program = f"import runpy; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program, str(site_packages())],
        env={"PYTHONPATH": elsewhere},
        input=LENGTH.pack(len(message)) + message,
        capture_output=True,
        check=True,
    )
    kind, length = HEAD.unpack_from(done.stdout)
    assert (kind, length) == (DRAWN, len(done.stdout) - HEAD.size)


def test_a_kernel_that_allows_fewer_open_files_than_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS, which tells of no limit and refuses it: as many as it allows anyone."""
    given = []

    def refuse(_which: int, limits: tuple[int, int]) -> None:
        if limits[0] > OPEN_FILES:
            raise ValueError("current limit exceeds maximum limit")
        given.append(limits)

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 2**63 - 1))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    allow_open_files()
    assert given == [(OPEN_FILES, 2**63 - 1)]
