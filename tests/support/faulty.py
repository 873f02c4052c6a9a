"""A server in front of a real one that does what it is told to first: refuse, cut, go away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

OWN = ("transfer-encoding", "connection", "content-length", "content-encoding", "date", "server")


class Faulty(ThreadingHTTPServer):
    """`faults` come one a request: a status with Retry-After, or `cut` in the middle of the body.

    After them each request is the real server's. `asked` has path and headers of each.
    """

    daemon_threads = True

    def __init__(self, behind: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behind = behind
        self.faults: list[int | str] = []
        self.retry_after = "0"
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        """What was asked for."""
        return [path for path, _ in self.asked]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Faulty

    def do_GET(self) -> None:
        """Forward it, or do the next fault."""
        self.server.asked.append((self.path, dict(self.headers)))
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, int):
            self.send_response(fault)
            self.send_header("Retry-After", self.server.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        length = int(self.headers.get("Content-Length") or 0)
        reply = httpx.request(
            self.command,
            self.server.behind + self.path,
            content=self.rfile.read(length),
            headers={**self.headers, "Accept-Encoding": "identity"},
        )
        self.send_response(reply.status_code)
        for name, value in reply.headers.items():
            if name not in OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        body = reply.content
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""


@contextmanager
def faulty(behind: str, port: int = 0) -> Iterator[Faulty]:
    """The server, answering."""
    with Faulty(behind, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
