"""The logits of all pairs."""

from typing import Any

import msgspec
from litestar import Request, Response, get

from service.context import FromContext, open_checkpoint
from service.formats import FormatQuery, respond
from service.npy import npy_array
from service.predicting import check_size
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath
from service.schemas.probes import LogitsAnswer


@get(
    "/runs/{run:str}/checkpoints/{step:str}/logits",
    summary="Logits of all pairs",
    tags=["checkpoints"],
    responses=OF_A_CHECKPOINT,
)
async def get_logits(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    format_: FormatQuery = None,
) -> Response[LogitsAnswer]:
    """Logits (p*p, p), rows in canonical order, as float32 `npy` unless asked otherwise."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request, run, step)
        (file,) = await context.inference.grid_files(opened.checkpoint, ["logits"])
        modulus = opened.checkpoint.table.task.modulus

        def as_json() -> bytes:
            logits = npy_array(file)
            check_size(context, logits.size)
            return msgspec.json.encode(LogitsAnswer(run, opened.step, modulus, logits.tolist()))

        makers = {"npy": lambda: file, "json": as_json}
        return respond(request, format_, makers, opened.headers)
