"""What each request is known by, and where its time went.

The outermost layer puts one record of it into the state of the ASGI scope, for the layers around
the framework and for what is within.
"""

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from litestar.types import HTTPScope, Receive, Scope, Send

from grokprobe.errors import GrokprobeError

HTTPApp = Callable[[HTTPScope, Receive, Send], Awaitable[None]]  # what a layer stands around

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
KEY = "grokprobe"  # in the scope's state, which the framework shares
_process, _numbers = secrets.token_hex(4), itertools.count(secrets.randbelow(2**31))

# The ASGI scope of the request that the running task answers.
current_request: ContextVar[HTTPScope | None] = ContextVar("current_request", default=None)


@dataclass(slots=True)
class Timing:
    """Seconds of a request in the queue and in ONNX Runtime, added up over its batches."""

    queue_s: float = 0.0
    inference_s: float = 0.0

    def header(self) -> str | None:
        """The Server-Timing header, in milliseconds; None where there was no inference."""
        if not self.inference_s:
            return None
        return f"queue;dur={1e3 * self.queue_s:.3f}, inference;dur={1e3 * self.inference_s:.3f}"


@dataclass(slots=True)
class RequestState:
    """What every layer may know of a request."""

    request_id: str
    headers: dict[bytes, bytes]  # as `by_name` has them
    is_head: bool = False  # HEAD: the scope says GET
    timing: Timing = field(default_factory=Timing)
    root: str = ""  # what a proxy puts before our paths: see service/http/links.py
    begun: bool = False  # the answer has
    unfinished: GrokprobeError | None = None  # at a deadline, where what is done stays
    may_stay: Callable[[], bool] = lambda: True  # an answer without end asks: keys are revoked


def state_of(scope: Scope) -> RequestState:
    """The record of a request."""
    found: RequestState = scope["state"][KEY]
    return found


def request_id(given: bytes | None = None) -> str:
    """The id that a client gave, if it is short and plain, or a new one."""
    if given and SANE_ID.fullmatch(text := given.decode("latin-1")):
        return text
    return f"{_process}{next(_numbers) & 0xFFFFFFFF:08x}"


def header(scope: Scope, name: bytes) -> str:
    """A header of a request, empty where it has none; the framework's own builds all of them."""
    return state_of(scope).headers.get(name, b"").decode("latin-1")


def current_timing() -> Timing:
    """The timing of the request that the running task answers, or of nobody."""
    scope = current_request.get()
    return state_of(scope).timing if scope else Timing()


def request_facts() -> dict[str, str]:
    """`request_id`, `run` and `step` of the request that is being answered."""
    scope = current_request.get()
    if scope is None:
        return {}
    named = {**scope.get("path_params", {}), "request_id": state_of(scope).request_id}
    return {name: named[name] for name in ("request_id", "run", "step") if name in named}
