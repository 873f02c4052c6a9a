"""Errors of the domain -> HTTP: one table, and RFC 9457 bodies for all of them."""

import logging
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Send

from grokprobe import errors
from service import errors as service_errors

logger = logging.getLogger("grokprobe.service")

MEDIA_TYPE = "application/problem+json"
NOT_LOGGED = {"store-unavailable", "stopping", "deadline-exceeded"}  # nothing here is wrong
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
    errors: list[FieldError] = []


# error -> status and the last part of the problem's type; a subclass without a row has its base's.
TABLE: dict[type[errors.GrokprobeError], tuple[int, str]] = {
    errors.InvalidInput: (400, "invalid-input"),
    errors.RunNotFound: (404, "run-not-found"),
    errors.StepNotFound: (404, "step-not-found"),
    errors.LabelNotReached: (404, "label-not-reached"),
    service_errors.OutputMissing: (404, "output-missing"),
    service_errors.WeightMissing: (404, "weight-missing"),
    service_errors.FormatNotOffered: (406, "format-not-offered"),
    service_errors.IncompleteBody: (408, "incomplete-body"),
    service_errors.ClientGone: (408, "client-gone"),
    service_errors.TooLarge: (413, "too-large"),
    service_errors.EncodedBody: (415, "encoded-body"),
    service_errors.Overloaded: (429, "overloaded"),
    errors.CheckpointCorrupt: (500, "checkpoint-corrupt"),
    errors.StoreUnavailable: (503, "store-unavailable"),
    errors.CatalogueUnavailable: (503, "catalogue-unavailable"),
    service_errors.Stopping: (503, "stopping"),
    service_errors.DeadlineExceeded: (504, "deadline-exceeded"),
}


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
        if isinstance(item, dict)
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


def _detail_of_unmatched(scope: Any, status: int, detail: str) -> str:
    """The framework says "Not Found"; a person wants to know what was not found."""
    if status == 404 and detail == "Not Found":
        return f"no such resource: {scope['path']}; /schema lists those that exist"
    if status == 405:
        return f"{scope['method']} is not allowed on {scope['path']}"
    return detail


def problem(scope: Any, error: Exception) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for any exception.

    What is not in the table is logged and says nothing.
    """
    status, slug, detail, found = _describe(error)
    if status >= 500 and slug not in NOT_LOGGED:
        unexpected = slug == "internal"
        logger.error("%s %s: %s", scope["method"], scope["path"], error, exc_info=unexpected)
    detail = _detail_of_unmatched(scope, status, detail)
    body = Problem(
        type=f"urn:grokprobe:{slug}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=scope["path"],  # never the URL: a strange Host header breaks it
        error=detail,
        errors=found,
    )
    return status, _headers(error, status), msgspec.json.encode(body)


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The response for any exception within the framework."""
    status, headers, body = problem(request.scope, error)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


async def send_problem(scope: Any, send: Send, error: Exception) -> None:
    """The same outside the framework."""
    status, headers, body = problem(scope, error)
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send_whole(send, status, [(b"content-type", MEDIA_TYPE.encode()), *lines], body)


async def send_whole(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """A response in one piece."""
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _headers(error: Exception, status: int) -> dict[str, str]:
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, service_errors.Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    elif status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return headers
