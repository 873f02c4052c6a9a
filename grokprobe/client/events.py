"""Live events, read as a stream of server-sent events has them."""

from collections.abc import Iterator
from typing import Any

import msgspec

from grokprobe.client.asking import is_of_headers
from grokprobe.client.errors import Answered, ClientError, Damaged
from grokprobe.client.replies import FIRST_S, MOST_S

LAST = ("complete", "deleted")


class Event(msgspec.Struct):
    """`checkpoint`, `complete`, `deleted` or `reset`, with its data; `id` is where to go on."""

    event: str
    id: str
    data: dict[str, Any]


class Reader:
    """Lines in, events out; what a cut left unfinished is dropped."""

    def __init__(self, last_id: str | None) -> None:
        """Raise ClientError for what is no id."""
        if last_id is not None and not is_of_headers(last_id):
            raise ClientError(f"expected the id of an event, got {last_id!r:.80}")
        self.last_id = last_id
        self._clear()

    def _clear(self) -> None:
        self._event, self._id = "message", self.last_id
        self._data: list[str] = []

    def headers(self) -> dict[str, str]:
        """Those that go on after the last event."""
        self._clear()
        more = {"Last-Event-ID": self.last_id} if self.last_id else {}
        return {"Accept": "text/event-stream", **more}

    def read(self, line: str) -> Iterator[Event]:
        """The event that a line ends, if it ends one."""
        if line:
            name, _, value = line.partition(":")
            self._take(name, value.removeprefix(" "))
            return
        found, event, self.last_id = self._data, self._event, self._id
        self._clear()
        if found:
            try:
                data = msgspec.json.decode("\n".join(found), type=dict[str, Any])
            except msgspec.MsgspecError as error:
                raise Damaged(f"the data of an event: {error}") from error
            yield Event(event, self.last_id or "", data)

    def _take(self, name: str, value: str) -> None:
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value


class Returning:
    """How long to wait before coming back, and no longer in all than is allowed."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self.succeeded()

    def succeeded(self) -> None:
        """The service answered."""
        self._failures, self._waited_s = 0, 0.0

    def pause(self, error: ClientError | None) -> float:
        """Seconds. Raises the error if all that is allowed has been waited."""
        asked = error.retry_after_s if isinstance(error, Answered) else None
        found = min(MOST_S, FIRST_S * 2**self._failures) if asked is None else asked
        self._failures += 1
        self._waited_s += found
        if error and self._waited_s > self._wait_s:
            raise error
        return found
