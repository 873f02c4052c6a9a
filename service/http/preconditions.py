"""From a request to its answer: what is settled before any work, and how the work is sent."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from litestar import Response
from litestar.types import Receive, Scope, Send

from service.context import Context
from service.errors import PreconditionFailed
from service.formats.answers import NO_HEADERS, KeptAnswer
from service.formats.negotiation import negotiate
from service.formats.pictures import CHARTS_VERSION, Picture, on_offer
from service.formats.registry import JSON, Format
from service.http.asgi import NO_BODY, AnyRequest, AnyResponse
from service.http.caching import cache_control, etag, named, never_changes, very_same
from service.http.links import link
from service.http.pictures import Look, look_of
from service.http.queries import FORMAT, Query, check_query
from service.http.ranges import Parts, content_range
from service.http.resources import Resource, RestsOn
from service.http.target import Target, find, numbered
from service.telemetry.requests import header, state_of

PICTURE = "picture"  # what `context.derived` keeps of an answer, by its ETag


class Reply(NamedTuple):
    """What is settled of an answer before any work: its format and headers, and who gets it."""

    format: Format
    headers: dict[str, str]
    known: str  # If-None-Match: the ETags of answers that the client has
    is_get: bool
    parts: Parts | None = None  # what is asked of an answer that never changes
    look: Look = Look()  # of a picture

    def not_modified(self, headers: Mapping[str, str]) -> "NotModified | None":
        """304 where the client has the answer that these are the headers of, named as it was."""
        tag = named(self.known, headers["ETag"]) if self.known and "ETag" in headers else None
        return NotModified({**headers, "ETag": tag}) if tag else None


class SettledRequest(AnyRequest):
    """A request with what `settle` found, which is handed to its handler.

    As dependencies of the framework the two would cost a request 10 us; or 110, where they do not
    wait for each other.
    """

    __slots__ = ("reply", "targets")

    reply: Reply
    targets: tuple[Target, ...]  # where the path names a run, or parameters name checkpoints

    @property
    def target(self) -> Target:
        """The only one."""
        [target] = self.targets
        return target


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


def send(
    reply: Reply, body: bytes, media_type: str, own: Mapping[str, str] = NO_HEADERS
) -> AnyResponse:
    """An answer whose bytes are at hand, with headers of its own: whole, or the part asked for.

    Raises RangeNotSatisfiable.
    """
    headers = {**reply.headers, **own}
    if unchanged := reply.not_modified(headers):
        return unchanged
    if reply.parts is None:
        return Response(body, media_type=media_type, headers=headers)
    headers["Accept-Ranges"] = "bytes"
    part = reply.parts.of(headers["ETag"], len(body))
    if part is None:
        return Response(body, media_type=media_type, headers=headers)
    headers |= content_range(part, len(body))
    body = body[part.start : part.stop]
    return Response(body, status_code=206, media_type=media_type, headers=headers)


async def settle(context: Context, request: AnyRequest) -> AnyResponse | None:
    """Check the query, agree on the format, find the run and step.

    Answers what needs no work: 304 for what still stands, pictures that are kept, and what is kept
    for readers by parts.
    Raises InvalidInput, FormatNotOffered, Overloaded, RunNotFound, StepNotFound, LabelNotReached,
    PreconditionFailed, RangeNotSatisfiable.
    """
    if request.method == "OPTIONS":
        return _options(request)
    assert isinstance(request, SettledRequest)
    resource: Resource = request.route_handler.opt["resource"]
    query = check_query(request)
    chosen, headers = JSON, {}
    if resource.formats:
        accept = header(request.scope, b"accept")
        offered = on_offer(resource.formats, context.renderer.is_there)
        chosen = negotiate(dict(query).get(FORMAT), accept, offered)
        headers["Vary"] = "Accept, Accept-Encoding"
    look = look_of(dict(query), chosen)
    if resource.takes_body:
        context.inference.admission.check()
    is_get, parts = request.method == "GET", None
    request.targets = targets = await find(context, request, query)
    if targets and is_get and (rests_on := _rests_on(resource, query)):
        asked = numbered(query, resource.named_by, targets)
        rest = [item for item in asked if item[0] != FORMAT]
        tag = etag(targets, rests_on, rest, chosen, made_by(context, chosen))
        headers |= {"ETag": tag, **_kept_for(request, rests_on, asked)}
        if all(never_changes(target, rests_on) for target in targets):
            parts = _parts(context, request)
    known = header(request.scope, b"if-none-match")
    request.reply = reply = Reply(chosen, headers, known, is_get, parts, look)
    return _without_work(context, request, reply)


def made_by(context: Context, chosen: Format) -> str:
    """What an answer's bytes depend on beside its question: arithmetic, and what draws pictures."""
    if not isinstance(chosen, Picture):
        return context.runtime.arithmetic
    drawn_by = context.renderer.version if chosen.is_drawn else ""
    return f"{context.runtime.arithmetic} {CHARTS_VERSION} {drawn_by}"


def kept_picture(context: Context, chosen: Format, tag: str) -> bytes | None:
    """The picture of this ETag, if it is kept, counted."""
    if not isinstance(chosen, Picture):
        return None
    kept: bytes | None = context.derived.known(tag, PICTURE)
    if kept is not None:
        context.metrics.pictures.inc(chosen.name, "kept")
    return kept


def _without_work(context: Context, request: AnyRequest, reply: Reply) -> AnyResponse | None:
    """What can be answered already, if anything can. Raises PreconditionFailed."""
    expected, tag = header(request.scope, b"if-match"), reply.headers.get("ETag", "")
    if expected and tag and not very_same(expected, tag):
        raise PreconditionFailed(expected, tag)
    # Whether `*` names anything is known only after the work.
    if reply.known != "*" and (unchanged := reply.not_modified(reply.headers)):
        return unchanged
    if picture := kept_picture(context, reply.format, tag):
        return send(reply, picture, reply.format.media_type)
    kept = reply.parts.answers.known(tag) if reply.parts else KeptAnswer(None)
    if kept.body is None:
        return None
    return send(reply, kept.body, reply.format.media_type, kept.headers)


def _options(request: AnyRequest) -> Response[None]:
    """The answer to OPTIONS; the framework's own names one method where a path has two."""
    path = request.scope["path_template"]
    [methods] = (route.methods for route in request.app.routes if route.path_format == path)
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})


def _rests_on(resource: Resource, query: Query) -> RestsOn | None:
    """What an answer to this query is made of."""
    if resource.rests_on == "keys" and dict(query).get("keys", "final") != "final":
        return "checkpoint"  # the request names other frequencies than the run's
    return resource.rests_on


def _parts(context: Context, request: SettledRequest) -> Parts:
    given = state_of(request.scope)
    asked, if_range = header(request.scope, b"range"), header(request.scope, b"if-range")
    return Parts(context.answers, given.is_head, asked, if_range)


def _kept_for(request: SettledRequest, rests_on: RestsOn, asked: Query) -> dict[str, str]:
    """Cache-Control and, for a label, the Content-Location of the numbered resource."""
    targets, authorised = request.targets, bool(header(request.scope, b"authorization"))
    headers = {"Cache-Control": cache_control(targets, rests_on, authorised)}
    if any(target.label for target in targets):
        named = "run" not in request.path_params
        text = request.scope["query_string"].decode("latin-1")
        text = urlencode(asked, safe="/") if named else text
        headers["Content-Location"] = link(request.scope, targets[0].path, text)
    return headers
