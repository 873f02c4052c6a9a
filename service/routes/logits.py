"""The logits of all pairs."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from litestar import Request, Response, get
from numpy.typing import NDArray

from grokprobe.task import pairs
from service.answers import agreed, stream
from service.checkpoints import ROWS
from service.context import Context, FromContext, Opened, open_checkpoint
from service.formats import ARRAY, FormatQuery
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath, offering
from service.schemas.probes import LogitsAnswer
from service.tables import about, array_table

# Numbers in a block that is written as text: encoding more would keep everybody else waiting.
TEXT_VALUES = 50_000


async def _blocks(
    context: Context, opened: Opened, size: int
) -> AsyncIterator[NDArray[np.float32]]:
    """The logits of all pairs in canonical order, `size` rows at a time."""
    grid = pairs(opened.checkpoint.table.task.modulus)
    for start in range(0, len(grid), size):
        part = grid[start : start + size]
        yield (await context.inference.outputs(opened.checkpoint, ["logits"], part))[0]


@get(
    "/runs/{run:str}/checkpoints/{step:str}/logits",
    summary="Logits of all pairs",
    tags=["checkpoints"],
    **offering(ARRAY, OF_A_CHECKPOINT, "checkpoint"),
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
        opened = await open_checkpoint(context, request)
        p = opened.checkpoint.table.task.modulus
        size = max(1, TEXT_VALUES // p) if agreed(request).format in ("json", "csv") else ROWS
        blocks = _blocks(context, opened, size)
        answer = LogitsAnswer(run, opened.step, p, [])
        table = array_table(np.empty((0, p), np.float32), about(answer, "logits"))
        return await stream(request, answer, table, blocks, p * p)
