"""From a service's reply to what a client raises, and when to ask again."""

import email.utils
import time
from collections.abc import Callable

import httpx
import msgspec
from tenacity import RetryCallState

from grokprobe.client.errors import (
    Answered,
    Busy,
    Interrupted,
    InvalidRequest,
    NotFound,
    ServiceFault,
    Unauthorised,
    Unreachable,
)

KINDS = {401: Unauthorised, 403: Unauthorised, 404: NotFound}
BUSY = (429, 502, 503, 504)
AGAIN = (Busy, Interrupted, Unreachable)
FIRST_S, MOST_S = 0.25, 10.0  # where no Retry-After says it: doubled each time
KNOCK_S = 2.0  # where nobody has ever listened: the address may be wrong
PROBLEM_BYTES = 2000  # of an answer that is no problem's form


def problem(status: int, headers: httpx.Headers, body: bytes) -> Answered:
    """The error that a reply with a status of 400 or more means."""
    try:
        told = msgspec.json.decode(body, type=dict)
    except msgspec.MsgspecError:  # a proxy's page
        told = {}
    text = body[:PROBLEM_BYTES].decode(errors="replace").strip()
    told |= {
        "title": str(told.get("title") or httpx.codes.get_reason_phrase(status) or "Error"),
        "detail": str(told.get("detail") or text or "the answer has no words"),
    }
    told.pop("status", None)
    kind = KINDS.get(status) or (Busy if status in BUSY else None)
    kind = kind or (InvalidRequest if status < 500 else ServiceFault)
    return kind(status, retry_after_s=retry_after(headers.get("Retry-After")), **told)


def retry_after(value: str | None) -> float | None:
    """Seconds, from seconds or a date (RFC 9110); None for what is neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def failed(where: str, error: httpx.TransportError) -> Unreachable | Interrupted:
    """The error of a connection that was not made, or cut."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
        return Unreachable(
            f"nobody answers at {where} ({error}); is the service running? "
            "`grokprobe serve` starts one, Client.local() opens a folder without"
        )
    return Interrupted(f"{where} did not finish its answer: {error or type(error).__name__}")


def pause(state: RetryCallState) -> float:
    """How long until the next attempt: what the service asks for, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, Answered) else None
    return min(MOST_S, FIRST_S * 2 ** (state.attempt_number - 1)) if asked is None else asked


def enough(wait_s: float, is_known: Callable[[], bool]) -> Callable[[RetryCallState], bool]:
    """Whether the next attempt would come after the wait that is allowed."""

    def told(state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        is_there = is_known() or not isinstance(error, Unreachable)
        most = wait_s if is_there else min(wait_s, KNOCK_S)
        return (state.seconds_since_start or 0) + state.upcoming_sleep > most

    return told
