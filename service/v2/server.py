"""The server: who it is, and whether it may take traffic."""

from importlib.metadata import version

from litestar import get

from service.context import FromContext
from service.errors import NotReady
from service.health import readiness
from service.http.openapi import documented
from service.v2.paths import EMPTY, TAGS
from service.v2.records import ServerMetadata

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


@get("/health/live", media_type=EMPTY, summary="The process runs", tags=TAGS)
async def get_live() -> None:
    """Answers 200 as long as the event loop turns."""


@get(
    "/health/ready",
    media_type=EMPTY,
    summary="The process may take traffic",
    tags=TAGS,
    responses=documented(503),
)
async def get_ready(context: FromContext) -> None:
    """200 or 503, as `/readyz` says."""
    found = await readiness(context)
    if found.status == "unready":
        raise NotReady("the service may not take traffic; /readyz says why")
