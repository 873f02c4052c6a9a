"""Errors of the domain -> HTTP: one table, and RFC 9457 bodies for all of them."""

import logging
from http import HTTPStatus

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import HTTPScope, Send

from grokprobe import errors
from service import errors as service_errors
from service.http.asgi import AnyRequest, send_whole
from service.http.links import link
from service.telemetry.requests import state_of

logger = logging.getLogger("grokprobe.service")

MEDIA_TYPE = "application/problem+json"
# Nothing here is wrong, though the status says that something is.
EXPECTED = {"store-unavailable", "memory-busy", "stopping", "unfinished", "deadline-exceeded"}
RETRY_AFTER_S = 2  # object storage: long enough for a reconnect, short enough for a person


class FieldError(msgspec.Struct):
    """One thing wrong in a request: where it stands and what was expected."""

    path: str
    message: str


class Problem(msgspec.Struct, omit_defaults=True):
    """An error, by RFC 9457; `error` repeats `detail` for clients that look there."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str
    request_id: str
    errors: list[FieldError] = []


# error -> status and the last part of the problem's type; a subclass without a row has its base's.
TABLE: dict[type[errors.GrokprobeError], tuple[int, str]] = {
    errors.InvalidInput: (400, "invalid-input"),
    service_errors.Unauthorised: (401, "unauthorised"),
    errors.RunNotFound: (404, "run-not-found"),
    errors.GroupNotFound: (404, "group-not-found"),
    errors.StepNotFound: (404, "step-not-found"),
    errors.LabelNotReached: (404, "label-not-reached"),
    errors.NamesMissing: (404, "names-missing"),
    service_errors.OutputMissing: (404, "output-missing"),
    service_errors.WeightMissing: (404, "weight-missing"),
    service_errors.SplitUnknown: (404, "split-unknown"),
    service_errors.DigestDiffers: (404, "digest-differs"),
    service_errors.FormatNotOffered: (406, "format-not-offered"),
    service_errors.IncompleteBody: (408, "incomplete-body"),
    service_errors.ClientGone: (408, "client-gone"),
    service_errors.PreconditionFailed: (412, "precondition-failed"),
    service_errors.TooLarge: (413, "too-large"),
    service_errors.EncodedBody: (415, "encoded-body"),
    service_errors.RateExceeded: (429, "rate-exceeded"),
    service_errors.TooManyListeners: (429, "too-many-listeners"),
    service_errors.RangeNotSatisfiable: (416, "range-not-satisfiable"),
    service_errors.PictureTooLarge: (422, "picture-too-large"),
    service_errors.NeverFits: (422, "never-fits"),
    service_errors.WorkTooLong: (422, "work-too-long"),
    service_errors.Overloaded: (429, "overloaded"),
    errors.CheckpointCorrupt: (500, "checkpoint-corrupt"),
    errors.StoreUnavailable: (503, "store-unavailable"),
    errors.CatalogueUnavailable: (503, "catalogue-unavailable"),
    service_errors.MemoryBusy: (503, "memory-busy"),
    service_errors.Unfinished: (503, "unfinished"),
    service_errors.InferenceTooLong: (503, "inference-too-long"),
    service_errors.PictureLost: (503, "picture-lost"),
    service_errors.Stopping: (503, "stopping"),
    service_errors.DeadlineExceeded: (504, "deadline-exceeded"),
}

REFUSALS = (
    service_errors.RateExceeded,
    service_errors.TooManyListeners,
    service_errors.MemoryBusy,
    service_errors.Overloaded,
)


def row(kind: type[BaseException]) -> tuple[int, str] | None:
    """The table's row of an error class: its own or its nearest base's; None if it has none."""
    return next((TABLE[base] for base in kind.__mro__ if base in TABLE), None)


def _from_framework(error: HTTPException) -> tuple[int, str, str, list[FieldError]]:
    """Status, slug, detail and field errors of an error that the framework raised."""
    status = error.status_code
    slug = HTTPStatus(status).phrase.lower().replace(" ", "-")
    if not isinstance(error, ValidationException):
        return status, slug, error.detail, []
    found = [
        FieldError(str(item.get("key", "")), str(item.get("message", "")))
        for item in error.extra or []
        # Beside a bad value the framework names the optional ones that were not sent, by key.
        if isinstance(item, dict) and item.get("message") != repr(item.get("key"))
    ]
    detail = "; ".join(f"{e.path}: {e.message}" for e in found) or error.detail
    return status, "invalid-input", detail, found


def _describe(error: Exception) -> tuple[int, str, str, list[FieldError]]:
    if isinstance(error, HTTPException):
        return _from_framework(error)
    known = row(type(error))
    if known is None:
        return 500, "internal", "the service failed on this request; its log says why", []
    place = (
        [FieldError(error.path, error.message)] if isinstance(error, errors.InvalidInput) else []
    )
    return *known, str(error), place


def _detail_of_unmatched(scope: HTTPScope, status: int, detail: str) -> str:
    """The framework says "Not Found"; a person wants to know what was not found."""
    path = link(scope, scope["path"])
    if status == 404 and detail == "Not Found":
        if scope["path"].startswith("/v2/"):
            return f"{path} is not offered; GET {link(scope, '/v2')} lists the extensions that are"
        return f"no such resource: {path}; {link(scope, '/schema')} lists those that exist"
    if status == 405:
        return f"{scope['method']} is not allowed on {path}"
    return detail


def problem(scope: HTTPScope, error: Exception) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for any exception, logged; what is not in the table says nothing."""
    status, slug, detail, found = _describe(error)
    detail = _detail_of_unmatched(scope, status, detail)
    _log(scope, error, status, slug, detail)
    body = Problem(
        type=f"urn:grokprobe:{slug}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=link(scope, scope["path"]),
        error=detail,
        request_id=state_of(scope).request_id,
        errors=found,
    )
    return status, _headers(error, status), msgspec.json.encode(body)


def problem_response(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The response for any exception within the framework."""
    status, headers, body = problem(request.scope, error)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


async def send_problem(scope: HTTPScope, send: Send, error: Exception) -> None:
    """The same outside the framework."""
    status, headers, body = problem(scope, error)
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send_whole(send, status, [(b"content-type", MEDIA_TYPE.encode()), *lines], body)


def unnamed_problem(status: int, detail: str, request_id: str) -> bytes:
    """The body for what never became a request, so that nobody knows what it was about."""
    phrase = HTTPStatus(status).phrase
    slug = phrase.lower().replace(" ", "-")
    body = Problem(f"urn:grokprobe:{slug}", phrase, status, detail, "", detail, request_id)
    return msgspec.json.encode(body)


def _log(scope: HTTPScope, error: Exception, status: int, slug: str, detail: str) -> None:
    """One line; none for 429, which comes in thousands when there is no time for lines."""
    if status == 429:
        return
    ours = status >= 500 and slug not in EXPECTED
    unexpected = error if slug == "internal" else None
    if isinstance(error, errors.Unavailable):
        detail = error.told
    logger.log(
        logging.ERROR if ours else logging.INFO,
        "%s %s: %d %s",
        scope["method"],
        scope["path"],
        status,
        error if unexpected else detail,
        exc_info=unexpected,
    )


def _headers(error: Exception, status: int) -> dict[str, str]:
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    headers["Cache-Control"] = "no-store"
    if isinstance(error, service_errors.Unauthorised):
        headers["WWW-Authenticate"] = error.challenge
    elif isinstance(error, REFUSALS):
        headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, service_errors.RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.size}"
    elif status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return headers
