"""The model repository: what there is, and hints of what to keep loaded."""

from litestar import post

from grokprobe.errors import InvalidInput
from service.context import FromContext
from service.http.asgi import AnyRequest
from service.http.bodies import decode_body, read_body
from service.http.openapi import documented
from service.http.parameters import RunPath, StepPath
from service.runs.listing import page_of_runs
from service.v2.paths import EMPTY, LATEST, OF_A_BODY, OF_A_MODEL, TAGS, of_a_model, open_version
from service.v2.records import IndexEntry, IndexRequest, RepositoryRequest

JSON = "application/json"
RUNS = 1_000  # read at a time


@post(
    "/repository/index",
    status_code=200,
    summary="The runs as models",
    tags=TAGS,
    responses={**documented(400, 503), **OF_A_BODY},
)
async def get_index(request: AnyRequest, context: FromContext) -> list[IndexEntry]:
    """Every run at its latest step; `{"ready": true}` leaves out those without a checkpoint."""
    body = await read_body(request, context)
    wanted = decode_body(body or b"{}", JSON, IndexRequest)
    found: list[IndexEntry] = []
    after: str | None = ""
    while after is not None:
        rows, after = await page_of_runs(context.source, context.metrics, after, RUNS)
        found += [_entry(row.run, row.latest_step) for row in rows]
    return [entry for entry in found if entry.state == "READY" or not wanted.ready]


def _entry(run: str, step: int | None) -> IndexEntry:
    if step is None:
        return IndexEntry(run, "", "UNAVAILABLE", "no checkpoint is published yet")
    return IndexEntry(run, str(step), "READY", "")


@post(
    of_a_model("/load", "/repository"),
    status_code=200,
    media_type=EMPTY,
    summary="Load a checkpoint",
    tags=TAGS,
    responses={**OF_A_MODEL, **OF_A_BODY},
)
async def load(
    request: AnyRequest,
    context: FromContext,
    run: RunPath,
    step: StepPath = LATEST,
) -> None:
    """Have it in memory before it is asked for, as long as memory allows."""
    body = await read_body(request, context)
    for name in decode_body(body or b"{}", JSON, RepositoryRequest).parameters:
        message = "is not taken: models come from a trainer, and what is published never changes"
        raise InvalidInput(f"$.parameters.{name[:60]}", message)
    await open_version(context, run, step)


@post(
    of_a_model("/unload", "/repository"),
    status_code=200,
    media_type=EMPTY,
    summary="Unload checkpoints",
    tags=TAGS,
    responses={**documented(400, 404, 503), **OF_A_BODY},
)
async def unload(
    request: AnyRequest,
    context: FromContext,
    run: RunPath,
    step: StepPath = "",
) -> None:
    """Drop one version from memory, or all of a run; whoever asks again loads it again."""
    body = await read_body(request, context)
    decode_body(body or b"{}", JSON, RepositoryRequest)
    if step:
        context.checkpoints.drop(run, (await context.views.find(run, step))[1])
    else:
        await context.views.get(run)
        context.checkpoints.drop(run)
