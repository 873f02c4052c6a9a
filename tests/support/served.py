"""A real service in a process of its own, over a published run."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from grokprobe.settings import Settings, variable

# What a test waits for an event at most: for ever, as far as a slow or busy machine is concerned.
PATIENCE_S = 600.0


def has_ipv6() -> bool:
    """Whether this machine has a loopback address of IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@dataclass(frozen=True)
class Served:
    """A running service: its client, its process and its log."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """The address, such as http://127.0.0.1:41234."""
        return str(self.client.base_url)


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    """The environment that gives a child process these settings, and no others of ours."""
    ours = {variable(f): str(getattr(settings, f)) for f in Settings.__struct_fields__}
    ours = {
        name: value.lower() if value in ("True", "False") else value for name, value in ours.items()
    }
    if settings.port == Settings().port:  # which anybody on this machine may have taken
        ours[variable("port")] = str(free_port())
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GROKPROBE_")}
    return {**clean, **ours, **changes}


def eventually(holds: Callable[[], object]) -> bool:
    """Whether something holds in the end; asked again until it does."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(found)


def peak_bytes(served: "Served") -> int:
    """The most memory that the service's process ever held."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def have_read(served: "Served") -> None:
    """Return when the service has read what was sent to it before, on any connection.

    A turn of its event loop reads all that has come; the second answer is of a later turn.
    """
    for _ in range(2):
        assert served.client.get("/livez").status_code == 200


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def started(
    command: list[str], settings: Settings, folder: Path, event: str
) -> Iterator[subprocess.Popen[str]]:
    """A program of ours in a folder, once a line of its output has told the event."""
    out, err = subprocess.PIPE, subprocess.STDOUT
    given = environment(settings)
    with subprocess.Popen(
        command, cwd=folder, env=given, stdout=out, stderr=err, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert any(event in line for line in process.stdout)
            yield process
        finally:
            process.kill()


@contextmanager
def serving(settings: Settings, folder: Path, **changes: str) -> Iterator[Served]:
    """The service with these settings on a free port; stopped by Ctrl-C at the end."""
    process, url, log = _start(settings, folder, changes)
    try:
        with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
            assert client.get("/livez").status_code == 200
            yield Served(client, process, log)
    finally:
        process.send_signal(signal.SIGINT)  # after SIGTERM it would wait for clients to come
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()


def _start(
    settings: Settings, folder: Path, changes: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], str, Path]:
    """The process, address and log of a service that serves.

    Started again where another program has taken the port since it was found free.
    """
    port = free_port()
    log = folder / f"service-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            env=environment(settings, **{"GROKPROBE_PORT": str(port), **changes}),
            stdout=output,
            stderr=output,
        )
    assert eventually(lambda: "serving on" in log.read_text() or process.poll() is not None)
    if process.poll() is None:
        [url] = re.findall(r'serving on (http://[^\s"]+)', log.read_text())
        return process, url, log
    assert "error: GROKPROBE_PORT: cannot listen" in log.read_text(), log.read_text()
    return _start(settings, folder, changes)


@dataclass(frozen=True)
class Quickstart:
    """The real quickstart run: its service, and the steps that answered while it trained."""

    served: Served
    answered_while_training: list[int]


def train_quickstart(settings: Settings, served: Served) -> Quickstart:
    """Train the preset in a process of its own; at each checkpoint it reports, ask the service.

    On one thread: where two processes run the tests, two would wait for each other at every step.
    """
    command = [sys.executable, "-m", "trainer", "train", "--preset", "quickstart"]
    answered: list[int] = []
    with subprocess.Popen(
        [*command, "--run", "quickstart", "--set", "training.threads=1"],
        env=environment(settings),
        stdout=subprocess.PIPE,
    ) as trainer:
        assert trainer.stdout is not None
        try:
            for _ in trainer.stdout:
                path = "/v1/runs/quickstart/checkpoints/latest/predictions?a=3&b=5"
                answer = served.client.get(path)
                if answer.status_code == 200 and trainer.poll() is None:
                    answered.append(answer.json()["step"])
            assert trainer.wait(PATIENCE_S) == 0
        finally:
            trainer.kill()
    return Quickstart(served, answered)
