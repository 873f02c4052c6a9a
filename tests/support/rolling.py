"""Replicas behind a balancer, replaced one after the other under clients that keep connections."""

import asyncio
import itertools
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from grokprobe.settings import Settings
from tests.support.forwarding import Forwarder
from tests.support.served import PATIENCE_S, Served, eventually, serving

LOOK_S = 0.2  # between two looks at a replica's readiness


class Balancer(Forwarder):
    """Takes connections and hands each to the next ready replica, as kube-proxy does.

    It learns of a stop by `/readyz` and by nothing else.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ready: dict[int, bool] = {}  # by port
        self._turn = itertools.count()

    def ready(self) -> list[int]:
        """The ports of the replicas that get new connections."""
        return [port for port, is_ready in list(self._ready.items()) if is_ready]

    def add(self, port: int) -> None:
        """Take in a replica; it gets connections once it was seen to be ready."""
        self._ready[port] = False

    def remove(self, port: int) -> None:
        """Forget a replica that has ended."""
        del self._ready[port]

    def target(self) -> int:
        """The next of the ready ones."""
        ports = self.ready()
        return ports[next(self._turn) % len(ports)]

    async def work(self) -> None:
        """Look at every replica again and again."""
        while True:
            for port in list(self._ready):
                is_ready = await _is_ready(port)
                if port in self._ready:
                    self._ready[port] = is_ready
            await asyncio.sleep(LOOK_S)


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200 ")


@dataclass
class Client:
    """One that keeps its connection and sends without a look whether it is still open."""

    port: int
    path: str
    pause_s: float
    outcomes: Counter[str] = field(default_factory=Counter)  # `200`, or what went wrong
    closes: int = 0  # answers that said `connection: close`

    def run(self, stop: threading.Event) -> None:
        """Ask, pause, ask again."""
        request = f"GET {self.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        connection: socket.socket | None = None
        while not stop.is_set():
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self.port))
                connection.sendall(request)
                head = read_answer(connection)
                self.outcomes[head.split()[1].decode()] += 1
                keep = b"\r\nconnection: close\r\n" not in head
                self.closes += not keep
            except OSError as error:
                self.outcomes[repr(error)] += 1
                keep = False
            if connection and not keep:
                connection.close()
                connection = None
            stop.wait(self.pause_s)
        if connection:
            connection.close()


def read_answer(connection: socket.socket) -> bytes:
    """The head of an answer whose body has come whole. Raises ConnectionError where it has not."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + _length(data[:end]):
        if not (more := connection.recv(65_536)):
            raise ConnectionError(f"closed after {len(data)} bytes")
        data += more
    return data[: end + 4]


def _length(head: bytes) -> int:
    return int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])


@dataclass(frozen=True)
class Rolled:
    """What clients saw of restarts, and how long each process took from SIGTERM to its end."""

    outcomes: Counter[str]
    closes: int
    stops_s: list[float]

    @property
    def failed(self) -> int:
        """Requests without the answer 200."""
        return self.outcomes.total() - self.outcomes["200"]


def roll(settings: Settings, folder: Path, path: str, rolls: int, clients: int) -> Rolled:
    """Replace one of two replicas after the other, `rolls` times, and stop with exit status 0.

    Clients pause 0 s, 0.1 s, 0.2 s ... between requests.
    """
    balancer, stop = Balancer(), threading.Event()
    stops_s: list[float] = []
    with ExitStack() as stack, balancer.listening() as port:
        replicas = [_join(stack, balancer, settings, folder) for _ in range(2)]
        asking = [Client(port, path, number / 10) for number in range(clients)]
        threads = [threading.Thread(target=one.run, args=(stop,)) for one in asking]
        for thread in threads:
            thread.start()
        try:
            for _ in range(rolls):
                replicas.append(_join(stack, balancer, settings, folder))
                stops_s.append(_leave(balancer, replicas.pop(0)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    outcomes = sum((one.outcomes for one in asking), Counter[str]())
    return Rolled(outcomes, sum(one.closes for one in asking), stops_s)


def _join(stack: ExitStack, balancer: Balancer, settings: Settings, folder: Path) -> Served:
    """A new replica that gets connections."""
    served = stack.enter_context(serving(settings, folder))
    served.client.close()  # it is no client of the balancer's
    port = served.client.base_url.port or 0
    balancer.add(port)
    assert eventually(lambda: port in balancer.ready())
    return served


def _leave(balancer: Balancer, served: Served) -> float:
    """Stop a replica by SIGTERM; the seconds until it has ended."""
    began = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(PATIENCE_S) == 0
    balancer.remove(served.client.base_url.port or 0)
    return time.monotonic() - began
