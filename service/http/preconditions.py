"""From a request to its answer: what is settled before any work, and how the work is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response
from litestar.types import Receive, Scope, Send

from service.context import Context
from service.formats.negotiation import negotiate
from service.formats.registry import JSON, Format
from service.http.asgi import NO_BODY
from service.http.caching import (
    cache_control,
    etag,
    same,
)
from service.http.queries import Query, check_query
from service.http.resources import Resource, RestsOn
from service.http.target import Target, find
from service.telemetry.requests import header


@dataclass(frozen=True)
class Negotiated:
    """What is settled of an answer before any work: its format and headers."""

    format: Format
    headers: dict[str, str]


class NotModified(Response[bytes]):
    """304, with the headers of the answer that still stands.

    Sent past the framework's rendering, which would take as long as all that was done before it.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(b"")
        lines = [(n.lower().encode(), value.encode()) for n, value in headers.items()]
        self._start: Any = {"type": "http.response.start", "status": 304, "headers": lines}

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """The application that sends it."""
        return self._send

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(self._start)
        await send(NO_BODY)


async def settle(context: Context, request: Request[Any, Any, Any]) -> Response[Any] | None:
    """Check the query, agree on the format, find the run and step; 304 for what still stands.

    Raises InvalidInput, FormatNotOffered, Overloaded, RunNotFound, StepNotFound, LabelNotReached.
    """
    if request.method == "OPTIONS":
        return _options(request)
    resource: Resource = request.route_handler.opt["resource"]
    query = check_query(request)
    chosen, headers = JSON, {}
    if resource.formats:
        accept = header(request, b"accept")
        chosen = negotiate(dict(query).get("format"), accept, resource.formats)
        headers["Vary"] = "Accept, Accept-Encoding"
    if resource.takes_body:
        context.inference.admission.check()
    if "run" in request.path_params:
        request.scope["state"]["asked"] = asked = await find(context, request)
        if request.method == "GET" and resource.rests_on:
            headers |= _validators(request, asked, resource.rests_on, query, chosen)
    request.scope["state"]["agreed"] = Negotiated(chosen, headers)
    given = header(request, b"if-none-match")
    # Whether `*` names anything is known only after the work.
    if given and given != "*" and "ETag" in headers and same(given, headers["ETag"]):
        return NotModified(headers)
    return None


def _options(request: Request[Any, Any, Any]) -> Response[None]:
    """The answer to OPTIONS; the framework's own names one method where a path has two."""
    path = request.scope["path_template"]
    [methods] = (route.methods for route in request.app.routes if route.path_format == path)
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})


def _validators(
    request: Request[Any, Any, Any],
    asked: Target,
    rests_on: RestsOn,
    query: Query,
    chosen: Format,
) -> dict[str, str]:
    """ETag, Cache-Control and, for a label, the Content-Location of the numbered resource."""
    if rests_on == "keys" and dict(query).get("keys", "final") != "final":
        rests_on = "checkpoint"  # the request names other frequencies than the run's
    rest = [item for item in query if item[0] != "format"]
    headers = {
        "ETag": etag(asked, rests_on, rest, chosen),
        "Cache-Control": cache_control(asked, rests_on, bool(header(request, b"authorization"))),
    }
    if asked.label:
        text = request.scope["query_string"].decode("latin-1")
        headers["Content-Location"] = f"{asked.path}?{text}" if text else asked.path
    return headers


def negotiated(request: Request[Any, Any, Any]) -> Negotiated:
    """What `settle` settled for a request."""
    found: Negotiated = request.scope["state"]["agreed"]
    return found


def stands(request: Request[Any, Any, Any], headers: Mapping[str, str]) -> bool:
    """Whether the client has the answer that these are the headers of."""
    given = header(request, b"if-none-match")
    return bool(given) and "ETag" in headers and same(given, headers["ETag"])
