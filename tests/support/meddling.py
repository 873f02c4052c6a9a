"""A reverse proxy that does to answers what a test tells it to, and passes on all others."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.proxy import Forwarding, forwarding, listening

Act = Callable[[Forwarding], None]


@dataclass
class Meddler:
    """What is done to requests whose path a pattern finds, and which were asked."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    _acts: list[tuple[str, Act]] = field(default_factory=list)

    def heal(self) -> None:
        """Pass on everything from now on."""
        self._acts = []

    def answer(
        self, path: str, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer in the service's place."""

        def act(request: Forwarding) -> None:
            request.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)

        self._acts.append((path, act))

    def cut(self, path: str, after: int = 20) -> None:
        """Close the connection after so many bytes of a body that says it is longer."""
        self.answer(path, 200, b'{"a": [1, 2, 3, 4, 5'[:after], {"Content-Length": "10000"})

    def drop(self, path: str) -> None:
        """Close the connection without any answer."""
        self._acts.append((path, lambda _: None))

    def alter(self, path: str, change: Callable[[Any], None]) -> None:
        """Change the JSON that the service gives."""

        def act(request: Forwarding) -> None:
            del request.headers["accept-encoding"]  # what is packed cannot be read here
            with request.ask(request.path) as found:
                body = json.loads(found.read())
            change(body)
            request.send_response_only(found.status)
            request.send_header("Content-Type", found.headers["content-type"])
            request.end_headers()
            request.wfile.write(json.dumps(body).encode())

        self._acts.append((path, act))

    def act_on(self, request: Forwarding) -> None:
        """Do to a request what was told last, or pass it on."""
        self.asked.append(request.path)
        told = [act for path, act in self._acts if re.search(path, request.path)]
        if told:
            told[-1](request)
        else:
            request.forward(request.path)


@contextmanager
def meddling(upstream: str) -> Iterator[Meddler]:
    """Such a proxy before a service."""
    meddler = Meddler()
    with listening(forwarding(upstream, meddler.act_on)) as meddler.url:
        yield meddler
