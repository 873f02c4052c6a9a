"""Is the process up, may traffic come, what does it count."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from grokprobe.errors import Unavailable
from grokprobe.store.archive.names import RUNS
from service.context import Context, FromContext
from service.http.openapi import Keyless


class Readiness(msgspec.Struct):
    """Whether traffic may come, and the state of each dependency."""

    status: Literal["ready", "degraded", "unready"]
    dependencies: dict[str, dict[str, Any]]


class Liveness(msgspec.Struct):
    """The process runs."""

    status: Literal["live"] = "live"


ANSWER_S = 2.0  # a dependency that takes longer is down for a probe, whose own timeout is 5 s
NOT_INDEXED = "it holds no whole index; run `python -m grokprobe reindex`"


@get("/livez", summary="The process runs", tags=["operations"], operation_class=Keyless)
async def livez() -> Liveness:
    """Answers 200 as long as the event loop turns."""
    return Liveness()


async def _storage(context: Context) -> dict[str, str]:
    await context.backends.archive.objects.exists(RUNS)
    return {"status": "up"}


async def _catalogue(context: Context) -> dict[str, str]:
    ready = await context.backends.catalogue.ready()
    return {"status": "up"} if ready else {"status": "down", "detail": NOT_INDEXED}


async def _state(part: Awaitable[dict[str, str]]) -> dict[str, str]:
    """The state of a dependency that may also be down, or silent."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await part
    except TimeoutError:
        return {"status": "down", "detail": f"it did not answer within {ANSWER_S:g} s"}
    except Unavailable as error:
        return {"status": "down", "detail": str(error)}


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
    storage, catalogue = await asyncio.gather(
        _state(_storage(context)), _state(_catalogue(context))
    )
    parts = {
        "object_storage": storage,
        "catalogue": catalogue,
        "inference": _inference(context),
        "traffic": _traffic(context),
    }
    if "down" in (parts["inference"]["status"], parts["traffic"]["status"]):
        return Readiness("unready", parts)
    up = all(part["status"] == "up" for part in parts.values())
    return Readiness("ready" if up else "degraded", parts)


@get(
    "/readyz",
    summary="The process may take traffic",
    tags=["operations"],
    operation_class=Keyless,
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


@get("/metrics", summary="Prometheus metrics", tags=["operations"], media_type="text/plain")
async def metrics(context: FromContext) -> Response[bytes]:
    """The metrics of this process in Prometheus' text format."""
    return Response(generate_latest(context.metrics.registry), media_type=CONTENT_TYPE_LATEST)
