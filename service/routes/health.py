"""Is the process up, may traffic come, what does it count."""

from typing import Any

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from grokprobe.errors import CatalogueUnavailable, StoreUnavailable
from grokprobe.store.names import RUNS
from service.context import Context, FromContext
from service.schemas import Liveness, Readiness

NOT_INDEXED = "it holds no whole index; run `python -m grokprobe reindex`"


@get("/livez", summary="The process runs", tags=["operations"])
async def livez() -> Liveness:
    """Answers 200 as long as the event loop turns."""
    return Liveness()


async def _storage(context: Context) -> dict[str, Any]:
    try:
        await context.backends.archive.objects.exists(RUNS)
    except StoreUnavailable as error:
        return {"status": "down", "detail": str(error)}
    return {"status": "up"}


async def _catalogue(context: Context) -> dict[str, Any]:
    try:
        ready = await context.backends.catalogue.ready()
    except CatalogueUnavailable as error:
        return {"status": "down", "detail": str(error)}
    return {"status": "up"} if ready else {"status": "down", "detail": NOT_INDEXED}


def _inference(context: Context) -> dict[str, Any]:
    provider = context.runtime.providers[0]
    missing = context.settings.require_gpu and provider == "CPUExecutionProvider"
    detail = {"detail": "GROKPROBE_REQUIRE_GPU is set and no GPU works here"} if missing else {}
    return {"status": "down" if missing else "up", "provider": provider, **detail}


@get("/readyz", summary="The process may take traffic", tags=["operations"])
async def readyz(context: FromContext) -> Response[Readiness]:
    """503 only where traffic would fail: a required GPU is missing.

    Redis or object storage down is `degraded`: loaded checkpoints are still served.
    """
    parts = {
        "object_storage": await _storage(context),
        "catalogue": await _catalogue(context),
        "inference": _inference(context),
    }
    if parts["inference"]["status"] == "down":
        return Response(Readiness("unready", parts), status_code=503)
    up = all(part["status"] == "up" for part in parts.values())
    return Response(Readiness("ready" if up else "degraded", parts))


@get("/metrics", summary="Prometheus metrics", tags=["operations"], media_type="text/plain")
async def metrics(context: FromContext) -> Response[bytes]:
    """The metrics of this process in Prometheus' text format."""
    return Response(generate_latest(context.metrics.registry), media_type=CONTENT_TYPE_LATEST)
