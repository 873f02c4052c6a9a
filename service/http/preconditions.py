"""From a request to its answer: what is settled before any work, and how the work is sent."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from litestar import Response
from litestar.types import Receive, Scope, Send

from service.context import Context
from service.formats.negotiation import negotiate
from service.formats.registry import JSON, Format
from service.http.asgi import NO_BODY, AnyRequest, AnyResponse
from service.http.caching import cache_control, etag, same
from service.http.queries import FORMAT, Query, check_query
from service.http.resources import Resource, RestsOn
from service.http.target import Target, find
from service.telemetry.requests import header


class Reply(NamedTuple):
    """What is settled of an answer before any work: its format and headers, and who gets it."""

    format: Format
    headers: dict[str, str]
    known: str  # If-None-Match: the ETags of answers that the client has
    is_get: bool

    def stands(self, headers: Mapping[str, str]) -> bool:
        """Whether the client has the answer that these are the headers of."""
        return bool(self.known) and "ETag" in headers and same(self.known, headers["ETag"])


class SettledRequest(AnyRequest):
    """A request with what `settle` found, which is handed to its handler.

    As dependencies of the framework the two would cost a request 10 us; or 110, where they do not
    wait for each other.
    """

    __slots__ = ("reply", "target")

    reply: Reply
    target: Target  # where the path names a run


class NotModified(Response[bytes]):
    """304, with the headers of the answer that still stands.

    Sent past the framework's rendering, which would take as long as all that was done before it.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(b"")
        self._lines = [(n.lower().encode(), value.encode()) for n, value in headers.items()]

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """The application that sends it."""
        return self._send

    async def _send(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": self._lines})
        await send(NO_BODY)


async def settle(context: Context, request: AnyRequest) -> AnyResponse | None:
    """Check the query, agree on the format, find the run and step; 304 for what still stands.

    Raises InvalidInput, FormatNotOffered, Overloaded, RunNotFound, StepNotFound, LabelNotReached.
    """
    if request.method == "OPTIONS":
        return _options(request)
    assert isinstance(request, SettledRequest)
    resource: Resource = request.route_handler.opt["resource"]
    query = check_query(request)
    chosen, headers = JSON, {}
    if resource.formats:
        accept = header(request.scope, b"accept")
        chosen = negotiate(dict(query).get(FORMAT), accept, resource.formats)
        headers["Vary"] = "Accept, Accept-Encoding"
    if resource.takes_body:
        context.inference.admission.check()
    is_get = request.method == "GET"
    if "run" in request.path_params:
        request.target = await find(context, request)
        if is_get and resource.rests_on:
            headers |= _validators(request, resource.rests_on, query, chosen)
    request.reply = reply = Reply(chosen, headers, header(request.scope, b"if-none-match"), is_get)
    # Whether `*` names anything is known only after the work.
    return NotModified(headers) if reply.known != "*" and reply.stands(headers) else None


def _options(request: AnyRequest) -> Response[None]:
    """The answer to OPTIONS; the framework's own names one method where a path has two."""
    path = request.scope["path_template"]
    [methods] = (route.methods for route in request.app.routes if route.path_format == path)
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})


def _validators(
    request: SettledRequest, rests_on: RestsOn, query: Query, chosen: Format
) -> dict[str, str]:
    """ETag, Cache-Control and, for a label, the Content-Location of the numbered resource."""
    if rests_on == "keys" and dict(query).get("keys", "final") != "final":
        rests_on = "checkpoint"  # the request names other frequencies than the run's
    target, rest = request.target, [item for item in query if item[0] != FORMAT]
    headers = {
        "ETag": etag(target, rests_on, rest, chosen),
        "Cache-Control": cache_control(
            target, rests_on, bool(header(request.scope, b"authorization"))
        ),
    }
    if target.label:
        text = request.scope["query_string"].decode("latin-1")
        headers["Content-Location"] = f"{target.path}?{text}" if text else target.path
    return headers
