"""A load generator in a process of its own: HTTP/1.1 over raw sockets with keep-alive.

`python -m benchmarks.load` reads a Load as JSON on standard input and prints a Report. httpx and
the like cost more a request than the servers measured here.
"""

import heapq
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque

import msgspec
import numpy as np

READ = 1 << 20


class Load(msgspec.Struct, kw_only=True):
    """What to send. With a rate the load is open: it does not wait for answers."""

    port: int
    requests: list[bytes]  # by turns
    connections: int
    seconds: float
    rate: float = 0  # requests/s; 0: each connection sends when it has its answer
    honour: bool = False  # a 429 is sent again after its Retry-After, on its connection
    once: bool = False  # each connection stops after its first answer that is no 429


class Report(msgspec.Struct):
    """What came back. Latencies in ms, but for 429; open loads count from the due time."""

    seconds: float
    statuses: dict[str, int]
    rate: float  # of status 200, a second
    offered: float  # sent, a second
    p50: float
    p99: float
    longest: float
    attempts: dict[str, int]  # of a loop with `once`: how many sends a 200 took -> connections
    retry_after: list[int]  # the smallest and the largest seen


class Connection:
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = b""
        self.missing = -1  # bytes of the answer still to come; -1: its head is not whole
        self.status = b""
        self.retry_s = 0
        self.due = 0.0
        self.attempts = 0

    def read(self) -> bool:
        """Take what has come; whether the answer is whole. Raises ConnectionError at its end."""
        data = self.socket.recv(READ)
        if not data:
            raise ConnectionError("the server closed the connection")
        if self.missing >= 0:
            self.missing -= len(data)
            return self.missing == 0
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self.received[:end].lower()
        self.status = head[9:12]
        length = 0
        if self.status not in (b"204", b"304"):
            start = head.index(b"content-length: ") + 16
            length = int(head[start:].split(b"\r", 1)[0])
        self.missing = length - (len(self.received) - end - 4)
        if self.status == b"429":
            self.retry_s = int(head[head.index(b"retry-after: ") + 13 :].split(b"\r", 1)[0])
        self.received = b""
        return self.missing == 0


class Generator:
    """One load, from its first request to its report."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.connections = [Connection(load.port) for _ in range(load.connections)]
        self.poll = select.epoll()
        self.by_number = {c.socket.fileno(): c for c in self.connections}
        for number in self.by_number:
            self.poll.register(number, select.EPOLLIN)
        self.idle = deque(self.connections)
        self.sleeping: list[tuple[float, int]] = []  # when to send again, and on which socket
        self.statuses: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.retries: list[int] = []
        self.sent = 0

    def send(self, connection: Connection, due: float) -> None:
        """Send the next request, small enough for the socket's buffer."""
        connection.due, connection.missing = due, -1
        connection.attempts += 1
        connection.socket.sendall(self.load.requests[self.sent % len(self.load.requests)])
        self.sent += 1

    def finished(self, connection: Connection, now: float) -> None:
        """Note an answer, and send the next request if it is time."""
        self.statuses[connection.status.decode()] += 1
        if connection.status == b"429":
            self.retries.append(connection.retry_s)
            if self.load.honour:
                heapq.heappush(
                    self.sleeping, (now + connection.retry_s, connection.socket.fileno())
                )
                return
        else:
            self.latencies.append(now - connection.due)
            if self.load.once:
                self.attempts[str(connection.attempts)] += 1
                return
        if self.load.rate:
            self.idle.append(connection)
        else:
            self.send(connection, now)

    def wake(self, now: float) -> None:
        """Send again what has waited for its Retry-After."""
        while self.sleeping and self.sleeping[0][0] <= now:
            self.send(self.by_number[heapq.heappop(self.sleeping)[1]], now)

    def run(self) -> Report:
        """Load for the given time and report."""
        began = now = time.perf_counter()
        end, due = began + self.load.seconds, began
        if not self.load.rate:
            for connection in self.connections:
                self.send(connection, now)
        while now < end and not self.all_served():
            if self.load.rate:
                while due <= now and self.idle:
                    self.send(self.idle.popleft(), due)
                    due += 1 / self.load.rate
            for number, _ in self.poll.poll(0.001 if self.load.rate else 0.05):
                connection = self.by_number[number]
                if connection.read():
                    self.finished(connection, time.perf_counter())
            now = time.perf_counter()
            self.wake(now)
        return self.report(now - began)

    def all_served(self) -> bool:
        """Whether a load of one answer a connection has them all."""
        return self.load.once and sum(self.attempts.values()) == len(self.connections)

    def report(self, seconds: float) -> Report:
        """The figures."""
        found = np.array(self.latencies or [0.0]) * 1e3
        return Report(
            seconds=seconds,
            statuses=dict(self.statuses),
            rate=self.statuses["200"] / seconds,
            offered=self.sent / seconds,
            p50=float(np.percentile(found, 50)),
            p99=float(np.percentile(found, 99)),
            longest=float(found.max()),
            attempts=dict(self.attempts),
            retry_after=[min(self.retries, default=0), max(self.retries, default=0)],
        )


def post(path: str, body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: */*\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get(path: str, **headers: str) -> bytes:
    """A GET as it goes over the wire."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n{lines}\r\n".encode()


def send(load: Load) -> Report:
    """A load, generated by another process. Raises RuntimeError with what it said."""
    command = [sys.executable, "-m", "benchmarks.load"]
    data = msgspec.json.encode(load)
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"no load on port {load.port}: {done.stderr.decode()[-1000:]}")
    return msgspec.json.decode(done.stdout, type=Report)


def main() -> None:
    """Read a load, run it, print its report."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(Generator(load).run()))


if __name__ == "__main__":
    main()
