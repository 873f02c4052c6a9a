"""The server: who it is, and whether it may take traffic."""

from importlib.metadata import version

from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from service.context import FromContext
from service.health import readiness
from service.http.asgi import AnyRequest
from service.http.links import link
from service.http.openapi import HEALTH
from service.v2.paths import TAGS
from service.v2.records import ServerLive, ServerMetadata, ServerReady

EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
]


@get("/", summary="The server and its extensions", tags=TAGS)
async def get_server() -> ServerMetadata:
    """Name, version, and which of Triton's extensions are offered."""
    return ServerMetadata("grokprobe", version("grokprobe"), EXTENSIONS)


@get("/health/live", summary="The process runs", tags=TAGS, **HEALTH)
async def get_live() -> ServerLive:
    """Answers 200 as long as the event loop turns."""
    return ServerLive(live=True)


@get(
    "/health/ready",
    summary="The process may take traffic",
    tags=TAGS,
    responses={503: ResponseSpec(ServerReady, description="Not ready, as `/readyz` says.")},
    **HEALTH,
)
async def get_ready(request: AnyRequest, context: FromContext) -> Response[ServerReady]:
    """200 or 503, as `/readyz` says; some clients read the status, others the JSON."""
    found = await readiness(context)
    if found.status != "unready":
        return Response(ServerReady(ready=True))
    why = f"the service may not take traffic; {link(request.scope, '/readyz')} says why"
    return Response(ServerReady(ready=False, error=why), status_code=503)
