"""One unit over all pairs: a neuron, an attention weight, a logit."""

from typing import Annotated, Literal

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter
from numpy.typing import NDArray

from grokprobe.analysis.needs import block_bytes
from grokprobe.errors import InvalidInput
from service.charts import drawing
from service.charts.activations import activations
from service.context import Context, FromContext
from service.formats.npy import npy_array, npy_bytes
from service.formats.pictures import PICTURES
from service.formats.registry import ARRAY
from service.formats.tables import Float32, about, array_table
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest
from service.http.target import open_checkpoint
from service.inference.checkpoints import Checkpoint

Of = Literal["neurons", "attention", "logits"]
BLOCK = 2_048  # pairs whose units are read at a time


class ActivationsAnswer(msgspec.Struct):
    """A unit's value at each pair: row a, column b.

    `index` is a neuron, the answer of a logit, or of attention `head` * tokens + `token`: how much
    the last position looks at a, b or, where it is a token, =.
    """

    run: str
    step: int
    of: str
    index: int
    head: int | None
    token: int | None
    activations: list[list[Float32]]


OfUnits = Annotated[Of, QueryParameter(description="Which units.")]
Index = Annotated[
    int,
    QueryParameter(ge=0, description="The unit, from 0; of attention head * tokens + token."),
]


@get(
    "/runs/{run:str}/checkpoints/{step:str}/activations",
    summary="One unit over all pairs",
    tags=["checkpoints"],
    **offering((*ARRAY, *PICTURES), OF_A_CHECKPOINT, "checkpoint"),
)
async def get_activations(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    of: OfUnits = "neurons",
    index: Index = 0,
) -> Response[ActivationsAnswer]:
    """A neuron, an attention weight or a logit at each pair, (p, p), as float32 `npy` by default.

    As a table it has a row for each a, and a column for each b.
    """
    with context.inference.permit():
        opened = await open_checkpoint(context, request.target)
        head, token = _check(opened.checkpoint, of, index)
        values = await _values(context, opened.checkpoint, of, index)
    cells = await context.inference.apart(values.tolist)
    answer = ActivationsAnswer(run, opened.step, of, index, head, token, cells)
    table = array_table(values, about(answer, "activations"))
    return await drawing.respond(
        context, request, answer, table, values, chart=activations, apart=True
    )


def _check(checkpoint: Checkpoint, of: Of, index: int) -> tuple[int | None, int | None]:
    """Head and token of an attention weight. Raises OutputMissing, InvalidInput."""
    checkpoint.check([of])
    count, tokens = checkpoint.width(of), checkpoint.shapes[of][-1]
    if index >= count:
        heads = f": {count // tokens} heads of {tokens} tokens" if of == "attention" else ""
        raise InvalidInput("index", f"must be 0..{count - 1} for {of}{heads}, got {index}")
    return divmod(index, tokens) if of == "attention" else (None, None)


async def _values(
    context: Context, checkpoint: Checkpoint, of: Of, index: int
) -> NDArray[np.float32]:
    """The unit over all pairs, (p, p): of the grid that is kept, else computed and kept itself."""
    inference, p = context.inference, checkpoint.table.task.modulus

    async def read() -> NDArray[np.float32]:
        blocks = inference.blocks(checkpoint, of, BLOCK)
        parts = [part.reshape(len(part), -1)[:, index] async for part in blocks]
        return np.concatenate(parts).reshape(p, p)

    async def compute() -> bytes:
        need = block_bytes(p, {of: checkpoint.width(of)}, BLOCK, 1) + 8 * p * p
        need += inference.runs_bytes(checkpoint, 2)
        async with inference.memory.reserve(need, f"{of} {index} of all pairs"):
            return npy_bytes(await read())

    if inference.keeps(checkpoint, of):
        return await read()
    what = f"activations:{of}:{index}"
    return npy_array(await context.derived.get(checkpoint.identity, what, bytes, compute))
