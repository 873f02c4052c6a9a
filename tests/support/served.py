"""A real service in a process of its own, over a published run."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from grokprobe.settings import Settings, variable

START_S = 30
TRAIN_S = 500  # a minute where two cores are free


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
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GROKPROBE_")}
    return {**clean, **ours, **changes}


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
    """The service with these settings on a free port; stopped by SIGTERM at the end."""
    port = str(free_port())
    log = folder / f"service-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service"],
            env=environment(settings, GROKPROBE_PORT=port, **changes),
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_live(process, f"http://127.0.0.1:{port}", log)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Served(client, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_until_live(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/livez").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the service did not start: {log.read_text()}")


@dataclass(frozen=True)
class Quickstart:
    """The real quickstart run: its service, and the steps that answered while it trained."""

    served: Served
    answered_while_training: list[int]


def train_quickstart(settings: Settings, served: Served) -> Quickstart:
    """Train the preset in a process of its own, asking the service all the while."""
    command = [sys.executable, "-m", "trainer", "train", "--preset", "quickstart"]
    trainer = subprocess.Popen(
        [*command, "--run", "quickstart"], env=environment(settings), stdout=subprocess.DEVNULL
    )
    answered: list[int] = []
    deadline = time.monotonic() + TRAIN_S
    while trainer.poll() is None and time.monotonic() < deadline:
        answer = served.client.get("/v1/runs/quickstart/checkpoints/latest/predictions?a=3&b=5")
        if answer.status_code == 200 and trainer.poll() is None:
            answered.append(answer.json()["step"])
        time.sleep(1)
    trainer.terminate()
    assert trainer.wait(60) == 0
    return Quickstart(served, answered)
