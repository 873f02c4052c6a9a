"""A reverse proxy on a path of its own, which it takes from requests or leaves."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.support.served import PATIENCE_S


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """The URL of a server whose requests a handler answers, each in a thread."""
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Forwarding(BaseHTTPRequestHandler):
    """Passes a request on to the service at `address`, and its answer back, as they are."""

    address: str

    @contextmanager
    def ask(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """The service's answer to this request at a path."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with closing(http.client.HTTPConnection(self.address, timeout=PATIENCE_S)) as behind:
            behind.putrequest(self.command, path or "/", True, True)
            for name, value in self.headers.items():
                behind.putheader(name, value)
            behind.endheaders(body)
            yield behind.getresponse()

    def forward(self, path: str) -> None:
        """Give its status, headers and body back; this connection ends with it."""
        with self.ask(path) as found:
            self.send_response_only(found.status)
            for name, value in found.headers.items():
                if name not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.read())

    def cut(self, path: str) -> None:
        """Give half of its body back, of which the head says that it is longer."""
        with self.ask(path) as found:
            body = found.read()
            self.send_response_only(found.status)
            for name, value in found.headers.items():
                if name not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def forwarding(upstream: str, act: Callable[[Forwarding], None]) -> type[Forwarding]:
    """The handler that does this to every request for a service."""

    class Handler(Forwarding):
        """Bound to the service."""

        address = urlsplit(upstream).netloc

        def do_GET(self) -> None:
            """Any request."""
            act(self)

        do_HEAD = do_POST = do_GET

    return Handler


@contextmanager
def proxy(upstream: str, root: str, strips: bool = True) -> Iterator[str]:
    """The URL of a proxy that sends what lies below a root to a service, and knows nothing else."""

    def act(request: Forwarding) -> None:
        """All but the path stays."""
        if f"{request.path}/".startswith(f"{root}/"):
            request.forward(request.path.removeprefix(root) if strips else request.path)
        else:
            request.send_error(404, "not of this proxy")

    with listening(forwarding(upstream, act)) as url:
        yield url
