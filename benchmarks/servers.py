"""Servers for the benchmarks: ours and others, each a process of its own on a free port."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_S = 120
PREDICTIONS = "/v1/runs/mainline/checkpoints/latest/predictions"
BODY = b'{"pairs":[[3,5]]}'


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]

    def memory_mib(self) -> float:
        """What the process holds of memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, folder: Path, **environment: str
) -> Iterator[Server]:
    """A command that listens on the port, until the end. Raises RuntimeError with what it said."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log
        )
        try:
            if not _answers(process, port):
                log.seek(0)
                raise RuntimeError(f"{command[0]} did not start: {log.read()[-2000:]!r}")
            yield Server(port, process)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether something listens on the port before START_S have passed."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        time.sleep(0.1)
    return False


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def service(home: Path, **settings: str) -> Iterator[Server]:
    """Our service over a HOME."""
    port = free_port()
    ours = {"GROKPROBE_HOME": str(home), "GROKPROBE_PORT": str(port), **settings}
    with running([sys.executable, "-m", "service"], port, ROOT, **ours) as server:
        yield server


def train_mainline(home: Path, *changes: str) -> Path:
    """A few steps of the mainline run (p 113), published under HOME; the last model's file."""
    changes = ("training.steps=2", "checkpoints.every=1", "checkpoints.log_spaced=0", *changes)
    assignments = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "trainer", "train", "--preset", "mainline"]
    subprocess.run(
        [*command, "--run", "mainline", *assignments],
        env={**os.environ, "GROKPROBE_HOME": str(home)},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return max((home / "store/runs/mainline/checkpoints").iterdir()) / "model.onnx"


def how_quiet() -> str:
    """How busy the machine is with other things, to be printed beside figures."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start"
