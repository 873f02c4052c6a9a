"""What users write by hand, and what others offer, on the same ONNX model as ours.

Each runs in a virtual environment of its own under `.peers/`, made when it is first needed: their
packages are no part of ours. One that cannot be installed or started is left out, with its reason.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers import BODY, ROOT, free_port, running

ENVIRONMENTS = ROOT / ".peers"
HERE = Path(__file__).parent
UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools")
QUIET = ("--no-access-log", "--log-level", "warning")
TENSOR = {"name": "pairs", "shape": [1, 2], "datatype": "INT64", "data": [3, 5]}
INFER = json.dumps({"inputs": [TENSOR]}).encode()


@dataclass(frozen=True)
class Peer:
    """A program to compare with: what it needs, how it starts, and where it answers."""

    environment: str  # "" is ours
    packages: tuple[str, ...]
    command: tuple[str, ...]  # of its Python; PORT is replaced
    paths: dict[str, str]  # what is printed -> path
    body: bytes = BODY
    settings: dict[str, object] = field(default_factory=dict)  # a settings.json where it starts


def _mlserver(name: str, workers: int) -> Peer:
    return Peer(
        "mlserver",
        ("mlserver==1.7.*", "onnxruntime", "uvloop<0.22"),
        ("-c", "from mlserver.cli import main; main()", "start", "."),
        {name: "/v2/models/probe/infer"},
        INFER,
        {"parallel_workers": workers, "host": "127.0.0.1", "debug": False},
    )


PEERS = [
    Peer(
        "",
        (),
        (*UVICORN, *QUIET, "--port", "PORT", "litestar_floor:app"),
        {
            "Litestar, constant, body read": "/read",
            "Litestar, the same as bytes": "/read_bytes",
            "Litestar, bytes, body not read": "/unread",
        },
    ),
    Peer(
        "fastapi",
        ("fastapi", "uvicorn", "uvloop", "httptools", "onnxruntime"),
        (*UVICORN, *QUIET, "--port", "PORT", "fastapi_onnx:app"),
        {"FastAPI by hand": "/predict", "FastAPI, session of one thread": "/one_thread"},
    ),
    _mlserver("MLServer, in process", 0),
    _mlserver("MLServer, default worker", 1),
    Peer(
        "bentoml",
        ("bentoml==1.4.*", "onnxruntime"),
        ("-m", "bentoml", "serve", "bentoml_onnx:Probe", "--host", "127.0.0.1", "--port", "PORT"),
        {"BentoML": "/predict"},
    ),
]


def python_of(peer: Peer) -> str:
    """The Python of a peer's environment, made if need be. Raises RuntimeError."""
    if not peer.environment:
        return sys.executable
    folder = ENVIRONMENTS / peer.environment
    python = str(folder / "bin/python")
    if not (folder / "installed").exists():
        free = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [python, "-m", "pip", "install", "--quiet", *peer.packages],
        ):
            done = subprocess.run(command, env=free, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"it cannot be installed: {done.stderr.strip()[-300:]}")
        (folder / "installed").touch()
    return python


@contextlib.contextmanager
def serving(peer: Peer, model: Path, folder: Path) -> Iterator[int]:
    """A peer that serves the model; its port. Raises RuntimeError."""
    port = free_port()
    folder.mkdir()
    if peer.settings:
        ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
        (folder / "settings.json").write_text(json.dumps({**peer.settings, **ports}))
        named = {"name": "probe", "implementation": "mlserver_onnx.Probe"}
        (folder / "model-settings.json").write_text(json.dumps(named))
    command = [python_of(peer), *(str(port) if word == "PORT" else word for word in peer.command)]
    environment = {"MODEL": str(model), "PYTHONPATH": str(HERE), "BENTOML_HOME": str(folder)}
    where = folder if peer.settings else HERE
    with running(command, port, where, **environment):
        yield port
