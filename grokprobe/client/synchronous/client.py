"""A client of one service: its runs, its groups, and what compares."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from grokprobe.client.answers import Table
from grokprobe.client.errors import ClientError
from grokprobe.client.local import Child, started
from grokprobe.client.place import (
    MOST_TIMEOUT_S,
    TIMEOUT_S,
    WAIT_S,
    Place,
    address,
    cache_of,
    checked_key,
    checked_number,
)
from grokprobe.client.records import CompareAnswer, RunAnswer, RunList
from grokprobe.client.synchronous.checkpoint import Checkpoint
from grokprobe.client.synchronous.connection import Connection
from grokprobe.client.synchronous.group import Group
from grokprobe.client.synchronous.resource import Resource
from grokprobe.client.synchronous.run import Run

PAGE = 1000
Status = Literal["running", "complete", "stopped", "failed"]


class Client(Resource):
    """Reads a service.

    Without `url` that of GROKPROBE_CLIENT_URL, with the key of GROKPROBE_CLIENT_KEY, else
    http://127.0.0.1:8000. `wait_s` is how long one question may take with all that is waited for,
    seconds; `timeout_s` how long the service may be silent. `cache` is a folder, True for the
    system's own, False for none. `bars` are those of long downloads.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        cache: bool | str | Path | None = True,
        cache_bytes: int | None = None,
        timeout_s: float = TIMEOUT_S,
        wait_s: float = WAIT_S,
        bars: bool = True,
        _child: Child | None = None,
    ) -> None:
        self._child = _child
        base, key = ("http://localhost", checked_key(key)) if _child else address(url, key)
        place = Place(
            base,
            _child.scope if _child else base,
            key,
            str(_child.socket) if _child else None,
            cache_of(cache, cache_bytes),
            checked_number("timeout_s", timeout_s, MOST_TIMEOUT_S),
            checked_number("wait_s", wait_s),
            bars,
        )
        super().__init__(Connection(place), {})

    @classmethod
    def local(cls, where: str | Path | None = None, **options: Any) -> "Client":
        """A client of a folder, a bucket or the demo's HOME, without a server.

        `where` is a folder that holds `runs/` or `store/`, or an address such as
        s3://BUCKET/PREFIX; by default GROKPROBE_HOME. The service is started as a child on a
        Unix socket, and stopped by `close` or when this process ends. `options` are those of the
        class. Raises NotHere.
        """
        child = started(where)
        try:
            return cls(_child=child, **options)
        except BaseException:  # an option that is none, or Ctrl-C
            child.stop()
            raise

    def close(self) -> None:
        """Close connections; a service of our own stops."""
        self._connection.close()
        if self._child:
            self._child.stop()

    def __enter__(self) -> "Client":
        """The client, closed when the block is left."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def runs(
        self,
        *,
        operation: str | None = None,
        modulus: int | None = None,
        status: Status | None = None,
        group: str | None = None,
    ) -> RunList:
        """All published runs by name, of all pages; those of an operation, a modulus and so on."""
        route = "GET /v1/runs"
        query: dict[str, Any] = {"operation": operation, "modulus": modulus, "status": status}
        query |= {"group": group, "limit": PAGE}
        return self._get_pages(RunList, route, "runs", **query)

    def run(self, name: str) -> Run:
        """One run. Raises NotFound, which names the nearest."""
        about = self._get(RunAnswer, "GET /v1/runs/{run}", more={"run": name})
        return Run(self._connection, about)

    def group(self, name: str) -> Group:
        """A group of runs; not asked for until one of its answers is."""
        return Group(self._connection, {"group": name})

    def compare(
        self,
        a: str | Checkpoint,
        b: str | Checkpoint,
        *,
        table: Literal["parts", "weights", "keys", "pairs"] | None = None,
    ) -> CompareAnswer:
        """Two checkpoints of one task: `run.at(60)`, or RUN@STEP; `table` is what tables hold."""
        first, second = self._checkpoint(a), self._checkpoint(b)
        both = Resource(self._connection, {}, first.identity + second.identity)
        return both._get(
            CompareAnswer,
            "GET /v1/compare",
            a=first._address(),
            b=second._address(),
            table=table,
        )

    def _checkpoint(self, given: str | Checkpoint) -> Checkpoint:
        if isinstance(given, Checkpoint):
            return given
        name, _, step = str(given).replace("/", "@").rpartition("@")
        if not (name and step):
            raise ClientError(f"expected RUN@STEP, such as quickstart@generalised, got {given!r}")
        return (self.run(name)).at(step)

    def read(self, answers: Sequence[Table], form: str) -> None:
        """Fetch another format of answers now, so that their `to_...` need not wait for it."""
        for answer in answers:
            source: Any = answer._source()
            asked = source.ask.at(format=form)
            source.known[(("format", form),)] = (self._connection.answer(asked)).body
