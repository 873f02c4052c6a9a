"""What is known of the request at hand wherever its work is done: its id, and where time went."""

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass
class RequestFacts:
    """One request; seconds add up over its batches."""

    id: str
    scope: Any  # ASGI's
    queue_s: float = 0.0
    inference_s: float = 0.0

    def named(self) -> dict[str, str]:
        """The run and the step that its path names, as far as it has been routed."""
        found = self.scope.get("path_params", {})
        return {name: found[name] for name in ("run", "step") if name in found}

    def server_timing(self) -> str | None:
        """The Server-Timing header, in milliseconds; None where there was no inference."""
        if not self.inference_s:
            return None
        return f"queue;dur={1e3 * self.queue_s:.3f}, inference;dur={1e3 * self.inference_s:.3f}"


current_request: ContextVar[RequestFacts | None] = ContextVar("current_request", default=None)


def request_id(given: str) -> str:
    """The id that a client gave, if it is short and plain, or a new one."""
    return given if SANE_ID.fullmatch(given) else secrets.token_hex(8)
