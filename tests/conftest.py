"""Fixtures that several files use: a run really trained, a service really serving it."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import hypothesis
import pytest
import torch

from grokprobe.settings import Settings
from tests.support.served import Quickstart, Served, serving, train_quickstart
from tests.support.trained import Trained, train_tiny

# The same examples in every run, nothing kept from one for the next, and no time limit.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes, and text that is long or unprintable, are no names: they may hold the second."""
    plain = not isinstance(val, str | bytes) or (isinstance(val, str) and val.isprintable())
    return None if plain and len(str(val)) <= 200 else argname


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes run the tests, a file stays together, and what needs the quickstart."""
    for item in items:
        needs_quickstart = "quickstart" in getattr(item, "fixturenames", ())
        whole = "quickstart" if needs_quickstart else item.location[0]
        item.add_marker(pytest.mark.xdist_group(whole))


@pytest.fixture(scope="session", autouse=True)
def _no_server_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stop each Redis whose users were killed, as some tests do and any may when it fails."""
    yield
    for record in tmp_path_factory.getbasetemp().rglob("redis.pid"):
        with suppress(OSError, ValueError):
            process = int(record.read_text())
            if str(record.parent) in Path(f"/proc/{process}/cmdline").read_text():
                os.kill(process, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """After a training in this process, other tests' arithmetic is whole again."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: bound, so that nobody else can have it, and never listening."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield int(closed.getsockname()[1])


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for temporary files, not too deep for sockets, as a test's own may be."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run `tiny`, complete; for tests that change nothing."""
    return train_tiny(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def home(trained: Trained, tmp_path: Path) -> Path:
    """A folder with a copy of the run `tiny`, to be damaged."""
    home = tmp_path / "home"
    shutil.copytree(trained.settings.home_path / "store", home / "store")
    return home


@pytest.fixture(scope="session")
def served(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over the run `tiny`; for tests that change nothing."""
    with serving(trained.settings, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(params=["fast", "routes"])
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of the service over the run `tiny`, and one that only the routes answer.

    A quality in Accept is special enough for the way past the framework to leave a request alone.
    """
    served.client.headers["Accept"] = "*/*" if request.param == "fast" else "*/*;q=0.9"
    yield served.client
    served.client.headers["Accept"] = "*/*"


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    """The run `quickstart` of the demo, really trained beside a service that serves it."""
    folder = tmp_path_factory.mktemp("quickstart")
    settings = Settings(home=str(folder / "home"), log_format="json")
    with serving(settings, folder) as served:
        yield train_quickstart(settings, served)
