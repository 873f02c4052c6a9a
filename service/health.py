"""Is the process up, may traffic come, what does it count."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation
from prometheus_client.exposition import choose_encoder

from grokprobe.errors import Unavailable
from grokprobe.preferences import OPENMETRICS, TEXT, accepted_exposition
from grokprobe.store.archive.names import RUNS
from service.context import Context, FromContext
from service.http.asgi import AnyRequest
from service.http.openapi import HEALTH
from service.http.openapi import TEXT as STRING
from service.http.routing import BY_SETTING
from service.telemetry.requests import header

logger = logging.getLogger("grokprobe.service")


class Readiness(msgspec.Struct):
    """Whether traffic may come, and the state of each dependency."""

    status: Literal["ready", "degraded", "unready"]
    dependencies: dict[str, dict[str, Any]]


class Liveness(msgspec.Struct):
    """The process runs."""

    status: Literal["live"] = "live"


ANSWER_S = 2.0  # a dependency that takes longer is down for a probe, whose own timeout is 5 s
NOT_INDEXED = (
    "it holds no whole index; a service that may write rebuilds it, or "
    "`python -m grokprobe reindex` does"
)
ONLY_READS = (
    "its Redis user may only read: another service, or `python -m grokprobe reindex --watch`, "
    "keeps the index equal to object storage"
)


@get("/livez", summary="The process runs", tags=["operations"], **HEALTH)
async def livez() -> Liveness:
    """Answers 200 as long as the event loop turns."""
    return Liveness()


State = dict[str, str]


async def _storage(context: Context) -> State:
    await context.backends.archive.objects.exists(RUNS)
    return {"status": "up"}


async def _catalogue(context: Context) -> State:
    """Up where it is whole and Redis itself is in order."""
    if not await context.backends.catalogue.usable():
        return {"status": "down", "detail": NOT_INDEXED}
    faults = context.reconciler.state.faults.values()
    return {"status": "degraded", "detail": "; ".join(faults)} if faults else {"status": "up"}


def _reconciler(context: Context) -> dict[str, Any]:
    """Whether the index is kept equal to object storage, here or by another process."""
    state = context.reconciler.state
    found = {"status": "up", "lock_held": state.holding, "runs_behind": state.behind}
    if state.only_reads:
        return found | {"detail": ONLY_READS}
    return found | ({"status": "down", "detail": state.fault} if state.fault else {})


def _events(context: Context) -> State:
    reading = context.feed.reading
    since = reading.since.isoformat(timespec="seconds")
    detail = {"detail": reading.fault} if reading.fault else {}
    return {"status": "down" if reading.fault else "up", "since": since, **detail}


async def _state(context: Context, name: str, part: Awaitable[State], place: str) -> State:
    """The state of a dependency that may also be down, or silent; the log has each change."""
    try:
        async with asyncio.timeout(ANSWER_S):
            state = await part
        told = state.get("detail", "")
    except TimeoutError:
        detail = f"it did not answer within {ANSWER_S:g} s"
        state, told = {"status": "down", "detail": detail}, f"{detail} ({place})"
    except Unavailable as error:
        state, told = {"status": "down", "detail": str(error)}, error.told
    if state["status"] != context.dependencies.get(name, "up"):
        level = logging.INFO if state["status"] == "up" else logging.WARNING
        logger.log(level, "%s is %s%s", name, state["status"], told and f": {told}")
    context.dependencies[name] = state["status"]
    return state


def _inference(context: Context) -> dict[str, str]:
    provider = context.runtime.providers[0]
    missing = context.settings.require_gpu and provider == "CPUExecutionProvider"
    detail = {"detail": "GROKPROBE_REQUIRE_GPU is set and no GPU works here"} if missing else {}
    return {"status": "down" if missing else "up", "provider": provider, **detail}


def _traffic(context: Context) -> dict[str, str]:
    if context.draining.is_set():
        return {"status": "down", "detail": "the process stops; requests in flight are finished"}
    return {"status": "up"}


async def readiness(context: Context) -> Readiness:
    """Whether traffic may come, and the state of each dependency."""
    backends = context.backends
    storage, catalogue = await asyncio.gather(
        _state(context, "object_storage", _storage(context), backends.archive.objects.place),
        _state(context, "catalogue", _catalogue(context), backends.catalogue.connection.place),
    )
    parts = {
        "object_storage": storage,
        "catalogue": catalogue,
        "reconciler": _reconciler(context),
        "events": _events(context),
        "inference": _inference(context),
    }
    for name, part in parts.items():
        context.metrics.dependency_up.labels(name).set(part["status"] == "up")
    parts["traffic"] = _traffic(context)
    if "down" in (parts["inference"]["status"], parts["traffic"]["status"]):
        return Readiness("unready", parts)
    up = all(part["status"] == "up" for part in parts.values())
    return Readiness("ready" if up else "degraded", parts)


@get(
    "/readyz",
    summary="The process may take traffic",
    tags=["operations"],
    **HEALTH,
    responses={
        503: ResponseSpec(Readiness, description="Not ready: it stops, or no required GPU works.")
    },
)
async def readyz(context: FromContext) -> Response[Readiness]:
    """503 only where traffic would fail: a required GPU is missing, or the process stops.

    Redis or object storage down is `degraded`: loaded checkpoints are still served.
    """
    found = await readiness(context)
    return Response(found, status_code=503 if found.status == "unready" else 200)


@dataclass
class Exposition(Operation):
    """The entry of a route that answers in either form of metrics."""

    def __post_init__(self) -> None:
        """Say so."""
        answer = (self.responses or {})["200"]
        assert isinstance(answer, OpenAPIResponse)
        answer.content = dict.fromkeys((TEXT, OPENMETRICS), OpenAPIMediaType(schema=STRING))


@get(
    "/metrics",
    summary="Prometheus metrics",
    tags=["operations"],
    media_type=TEXT,
    operation_class=Exposition,
    opt=BY_SETTING,
)
async def metrics(request: AnyRequest, context: FromContext) -> Response[bytes]:
    """The metrics of this process, in Prometheus' text format or, by Accept, as OpenMetrics.

    Each dependency is looked at first, as for `/readyz`.
    """
    await readiness(context)
    encode, content_type = choose_encoder(accepted_exposition(header(request.scope, b"accept")))
    # Named whole: to a media type the framework would add its charset.
    headers = {"Content-Type": content_type, "Vary": "Accept"}
    return Response(encode(context.metrics.registry), headers=headers)
