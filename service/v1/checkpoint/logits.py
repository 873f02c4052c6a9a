"""The logits of all pairs."""

from functools import partial

import msgspec
import numpy as np
from litestar import get

from service.context import FromContext
from service.formats.registry import ARRAY
from service.formats.tables import Blocks, about, array_table
from service.http.asgi import AnyResponse
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest, send
from service.http.responses import stream
from service.http.target import open_checkpoint


class LogitsAnswer(msgspec.Struct):
    """Logits of all pairs: row a*p + b, column the residue."""

    run: str
    step: int
    modulus: int
    logits: list[list[float]]


# Pairs in a block that is written as text: encoding more would keep everybody else waiting.
TEXT_BLOCK = 256
BLOCK = 2_048  # in any other


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
            return send(request.reply, file, chosen.media_type)
        p = checkpoint.table.task.modulus
        size = TEXT_BLOCK if chosen.is_text else BLOCK
        blocks = partial(context.inference.blocks, checkpoint, "logits", size)
        answer = LogitsAnswer(run, opened.step, p, [])
        table = array_table(np.empty((0, p), np.float32), about(answer, "logits"))
        return await stream(request.reply, answer, table, Blocks(p * p, size, blocks))
