"""What happens to a run, as it happens: Server-Sent Events."""

from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from grokprobe.store.catalogue.events import Event, completion_data
from service.context import FromContext
from service.events.stream import COMPLETE, HEADERS, MEDIA_TYPE, REPLAYED, EventStream, frame
from service.http.openapi import documented
from service.http.parameters import RunPath
from service.http.resources import Resource


class ServerSentEvent(msgspec.Struct):
    """One event of a stream; `data` is JSON, `id` what Last-Event-ID says to go on from here."""

    event: Literal["checkpoint", "complete", "deleted", "reset"]
    data: str
    id: str


Since = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="The id of the last event received."),
]


@get(
    "/runs/{run:str}/events",
    summary="Live events of a run",
    tags=["runs"],
    opt={"resource": Resource(())},
    responses={
        200: ResponseSpec(
            ServerSentEvent,
            generate_examples=False,
            media_type=MEDIA_TYPE,
            description="Events, without end.",
        ),
        204: ResponseSpec(None, description="The run has ended, and the client knows it."),
        **documented(400, 404, 500, 503),
    },
)
async def get_events(context: FromContext, run: RunPath, since: Since = None) -> ASGIApp:
    """`checkpoint`, `complete` and `deleted` as they are announced, from now on or from
    Last-Event-ID on; `reset` where that is not known any more: something may have been missed.

    The stream ends after `complete` or `deleted`. A browser's EventSource then comes back, and is
    told to stop by 204 or 404.
    """
    feed = context.feed
    feed.admit()
    # Read before the run is: what is announced in between is then told, not lost.
    since = since or feed.newest
    view = await context.views.get(run)
    if view.completion is None:
        return EventStream(feed.listening(run, since))
    if since == COMPLETE:
        return ASGIResponse(status_code=204)
    told = [event for event in feed.missed(run, since) if event.kind != "complete"]
    end = Event(COMPLETE, "complete", run, completion_data(view.completion))
    body = b"".join(map(frame, [*told, end][:REPLAYED]))
    return ASGIResponse(body=body, media_type=MEDIA_TYPE, headers=HEADERS)
