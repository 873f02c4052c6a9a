"""A deployment of real parts, each a process of its own that can be hurt and comes back.

    trainers --> object storage, Redis <-- services <-- clients

A part keeps its address when it is started again, and what it had acknowledged.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from grokprobe.settings import Settings
from grokprobe.store.catalogue.embedded.program import find_program
from tests.support.s3_servers import READER, S3Server
from tests.support.served import PATIENCE_S, environment, eventually, free_port

BUCKET = "runs"


@dataclass
class Part:
    """A process that is started with a command, and ready once it answers."""

    command: Sequence[str]
    log: Path
    answers: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, and return once it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log
            )
        assert eventually(lambda: self.gone or self.answers())
        assert not self.gone, self.log.read_text()

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self.process is None or self.process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as the kernel would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Silent meanwhile: connections are accepted, nothing is answered."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Killed meanwhile: connections are refused."""
        self.kill()
        try:
            yield
        finally:
            self.start()


def redis_part(folder: Path, *options: str) -> tuple[Part, int]:
    """A Redis that keeps what it acknowledges, and its port; Debian's where it is installed."""
    port = free_port()
    binary = str(find_program("").path)
    kept = ("--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always")
    command = [binary, "--bind", "127.0.0.1", "--port", str(port), *kept, *options]

    def answers() -> bool:
        with Redis(port=port, socket_timeout=1) as client:
            try:
                return bool(client.ping())
            except RedisConnectionError:
                return False

    return Part(command, folder / "redis.log", answers), port


@dataclass
class Deployment:
    """The parts; `variables` are those of every program of ours, beside its settings.

    Where object storage is a server, services have the key that may only read.
    """

    folder: Path
    settings: Settings
    variables: dict[str, str]
    redis: Part
    storage: S3Server | None  # None where it is a folder
    _stack: ExitStack
    services: list[Part] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def add_service(self) -> httpx.Client:
        """Start one more service, which has nothing in memory; a client of it."""
        port = free_port()
        reading = self.storage.environment(READER) if self.storage else {}
        given = {**self.variables, **reading, "GROKPROBE_PORT": str(port)}
        service = Part(
            [sys.executable, "-m", "service"],
            self.folder / f"service-{len(self.services)}.log",
            partial(_is_live, f"http://127.0.0.1:{port}"),
            environment(self.settings, **given),
        )
        self._stack.callback(service.kill)
        service.start()
        self.services.append(service)
        self.urls.append(f"http://127.0.0.1:{port}")
        return self.client(-1)

    def client(self, number: int = 0) -> httpx.Client:
        """A client of one of the services."""
        client = httpx.Client(base_url=self.urls[number], timeout=PATIENCE_S)
        return self._stack.enter_context(client)

    def start(self, *arguments: str, folder: Path | None = None) -> "subprocess.Popen[str]":
        """Start a program of ours, `trainer train ...` or `grokprobe verify`.

        In a folder it works as on another host: nothing but the settings is the others'.
        """
        home = {"GROKPROBE_HOME": str(folder)} if folder else {}
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment(self.settings, **self.variables, **home),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(process.communicate)  # closes its pipes
        self._stack.callback(process.kill)
        return process

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The same, once it has ended."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def catalogue(self) -> Redis:
        """A client that goes around the catalogue."""
        port = int(self.settings.redis_url.rpartition(":")[2])
        client: Redis = self._stack.enter_context(Redis(port=port, socket_timeout=PATIENCE_S))
        return client


def _is_live(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def deployed(
    folder: Path,
    services: int = 1,
    storage: S3Server | None = None,
    redis_options: Sequence[str] = (),
    **changes: Any,
) -> Iterator[Deployment]:
    """All parts, started, `changes` among the settings; ended by process id."""
    with ExitStack() as stack:
        redis, port = redis_part(folder, *redis_options)
        stack.callback(redis.kill)
        redis.start()
        url, home = f"redis://127.0.0.1:{port}", str(folder / "home")
        settings = Settings(home=home, log_format="json", redis_url=url, **changes)
        variables: dict[str, str] = {}
        if storage:
            stack.callback(storage.kill)
            storage.start()
            storage.client().create_bucket(Bucket=BUCKET)
            settings = msgspec.structs.replace(
                settings, store_url=f"s3://{BUCKET}/some/prefix", s3_endpoint=storage.endpoint
            )
            variables = storage.environment()
        found = Deployment(folder, settings, variables, redis, storage, stack)
        for _ in range(services):
            found.add_service()
        yield found


# -- what clients see --------------------------------------------------------------------------

OF_A_RUN = ("", "/checkpoints", "/trajectory", "/emergence")
OF_A_CHECKPOINT = (
    "",
    "/predictions?a=1&b=2",
    "/embedding",
    "/spectrum",
    "/measures",
    "/model.onnx",
)

ASKERS = 4

Answers = dict[str, tuple[int, bytes]]


def paths(client: httpx.Client, run: str) -> list[str]:
    """What there is to ask of a run: its answers of the whole, and of every checkpoint."""
    of_run = f"/v1/runs/{run}"
    steps = [row["step"] for row in _pages(client, f"{of_run}/checkpoints", "checkpoints")]
    return [
        *(of_run + part for part in OF_A_RUN),
        *(f"{of_run}/checkpoints/{step}{part}" for step in steps for part in OF_A_CHECKPOINT),
        *(f"/v2/models/{run}/versions/{step}" for step in steps),
    ]


def _pages(client: httpx.Client, path: str, rows: str) -> Iterator[dict[str, Any]]:
    answer = client.get(path, params={"limit": 1000}).json()
    yield from answer[rows]
    while answer.get("next"):
        answer = client.get(path, params={"limit": 1000, "after": answer["next"]}).json()
        yield from answer[rows]


def asked(client: httpx.Client, of: Sequence[str]) -> Answers:
    """The status and the body of each path, by as many askers as ASKERS."""
    with ThreadPoolExecutor(ASKERS) as askers:
        answers = askers.map(client.get, of)
        return {p: (a.status_code, a.content) for p, a in zip(of, answers, strict=True)}


def one_of_each(of: Iterable[str]) -> list[str]:
    """A path of each kind: a checkpoint's last step stands for all."""
    return list({re.sub(r"/\d+", "/", path): path for path in of}.values())


def differing(before: Answers, after: Answers) -> dict[str, tuple[int, str]]:
    """What is answered otherwise than before: path, status and the beginning of the body."""
    return {
        path: (status, body[:200].decode(errors="replace"))
        for path, (status, body) in after.items()
        if (status, body) != before[path]
    }


def dishonest(before: Answers, after: Answers) -> dict[str, tuple[int, str]]:
    """The same, but for what says that it cannot be answered now."""
    return {path: told for path, told in differing(before, after).items() if told[0] != 503}
