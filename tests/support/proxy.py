"""A reverse proxy on a path of its own, which it takes from requests or leaves."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.support.served import PATIENCE_S


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server whose requests a handler answers, each in a thread."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def proxy(upstream: str, root: str, strips: bool = True) -> Iterator[str]:
    """The URL of a proxy that sends what lies below a root to a service, and knows nothing else."""
    address = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        """Passes one request on, and its answer back, as they are."""

        def forward(self) -> None:
            """All but the path stays."""
            if not f"{self.path}/".startswith(f"{root}/"):
                self.send_error(404, "not of this proxy")
                return
            path = self.path.removeprefix(root) if strips else self.path
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with closing(http.client.HTTPConnection(address, timeout=PATIENCE_S)) as behind:
                behind.putrequest(self.command, path or "/", True, True)
                for name, value in self.headers.items():
                    behind.putheader(name, value)
                behind.endheaders(body)
                self.answer(behind.getresponse())

        def answer(self, found: http.client.HTTPResponse) -> None:
            """Its status, headers and body; this connection ends with it."""
            self.send_response_only(found.status)
            for name, value in found.headers.items():
                if name not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.read())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        do_GET = do_HEAD = do_POST = forward

    with listening(Handler) as url:
        yield url
