"""A server in front of a real one that does what it is told to first: refuse, cut, go away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.proxy import Forwarding, forwarding, listening


@dataclass
class Faulty:
    """`faults` come one a request: a status with Retry-After, or `cut` in the middle of the body.

    After them each request is the real server's. `asked` has path and headers of each.
    """

    url: str = ""
    faults: list[int | str] = field(default_factory=list)
    retry_after: str = "0"
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """What was asked for."""
        return [path for path, _ in self.asked]

    def act_on(self, request: Forwarding) -> None:
        """Forward it, or do the next fault."""
        self.asked.append((request.path, dict(request.headers)))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            request.send_response_only(fault)
            request.send_header("Retry-After", self.retry_after)
            request.send_header("Content-Length", "0")
            request.end_headers()
        elif fault == "cut":
            request.cut(request.path)
        else:
            request.forward(request.path)


@contextmanager
def faulty(behind: str, port: int = 0) -> Iterator[Faulty]:
    """The server, answering."""
    found = Faulty()
    with listening(forwarding(behind, found.act_on), port) as found.url:
        yield found
