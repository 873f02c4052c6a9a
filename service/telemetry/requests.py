"""What each request is known by, and where its time went.

The outermost layer puts it into the state of the ASGI scope: `request_id`, `timing`, `headers` (by
their names, as they came) and, once the answer has begun, `begun`.
"""

import itertools
import re
import secrets
from dataclasses import dataclass
from typing import Any

from service.telemetry.logs import current_request

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_process, _numbers = secrets.token_hex(4), itertools.count(secrets.randbelow(2**31))


def request_id(given: bytes | None = None) -> str:
    """The id that a client gave, if it is short and plain, or a new one."""
    if given and SANE_ID.fullmatch(text := given.decode("latin-1")):
        return text
    return f"{_process}{next(_numbers) & 0xFFFFFFFF:08x}"


def header(request: Any, name: bytes) -> str:
    """A header of a request, empty where it has none; the framework's own builds all of them."""
    value: bytes = request.scope["state"]["headers"].get(name, b"")
    return value.decode("latin-1")


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


def current_timing() -> Timing:
    """The timing of the request that the running task answers, or of nobody."""
    scope = current_request.get()
    found: Timing = scope["state"]["timing"] if scope else Timing()
    return found
