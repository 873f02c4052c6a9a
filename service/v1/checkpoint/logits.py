"""The logits of all pairs."""

import msgspec
import numpy as np
from litestar import Response, get

from service.context import FromContext
from service.formats.registry import ARRAY
from service.formats.tables import about, array_table
from service.http.asgi import AnyResponse
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest
from service.http.responses import stream
from service.http.target import open_checkpoint


class LogitsAnswer(msgspec.Struct):
    """Logits of all pairs: row a*p + b, column the residue."""

    run: str
    step: int
    modulus: int
    logits: list[list[float]]


# Numbers in a block that is written as text: encoding more would keep everybody else waiting.
TEXT_VALUES = 50_000
BLOCK = 2_048  # pairs in any other


@get(
    "/runs/{run:str}/checkpoints/{step:str}/logits",
    summary="Logits of all pairs",
    tags=["checkpoints"],
    **offering(ARRAY, OF_A_CHECKPOINT, "checkpoint"),
)
async def get_logits(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
) -> AnyResponse:
    """Logits (p*p, p), rows in canonical order, as float32 `npy` unless asked otherwise."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request.target)
        chosen, checkpoint = request.reply.format, opened.checkpoint
        if chosen.is_kept and context.inference.keeps(checkpoint, "logits"):
            [file] = await context.inference.files(checkpoint, ["logits"])
            return Response(file, media_type=chosen.media_type, headers=request.reply.headers)
        p = checkpoint.table.task.modulus
        size = max(1, TEXT_VALUES // p) if chosen.is_text else BLOCK
        blocks = context.inference.blocks(checkpoint, "logits", size)
        answer = LogitsAnswer(run, opened.step, p, [])
        table = array_table(np.empty((0, p), np.float32), about(answer, "logits"))
        return await stream(request.reply, answer, table, blocks, p * p)
