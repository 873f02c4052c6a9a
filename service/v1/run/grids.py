"""What a run answers to every pair at every checkpoint: the frames of a film."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Literal

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.pairs.answers import comparable
from grokprobe.store.archive.predictions import Predicted, residue_type
from grokprobe.store.records import task_of
from grokprobe.task import UNDEFINED, answers
from service.context import Context, FromContext
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import AnyArray, Block, Blocks, Columns, Table, about
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import stream
from service.runs.view import RunView
from service.v1.run.predicted import in_chunks, read_all

Of = Literal["predicted", "correct"]

# Values in a block that is written as text: encoding more would keep everybody else waiting.
TEXT_VALUES = 2**16
VALUES = 2**20  # in any other


class GridRow(msgspec.Struct):
    """One checkpoint: a value for each pair, row a*p + b; null is right of no answer."""

    step: int
    values: list[int | bool | None]


class GridsAnswer(msgspec.Struct):
    """What is predicted of every pair at every checkpoint, or whether that is right."""

    run: str
    of: Of
    modulus: int
    provisional: bool  # the run goes on
    grids: list[GridRow]


@get(
    "/runs/{run:str}/grids",
    summary="Answers to all pairs over a run",
    tags=["runs"],
    **offering(TABLE_OF_NUMBERS, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_grids(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    of: Annotated[
        Of, QueryParameter(description="Residues, or whether they are right.")
    ] = "predicted",
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[GridsAnswer]:
    """What it answers to every pair at every checkpoint, as it was stored at publication.

    npy is (checkpoints, p*p) of the smallest integers that hold a residue; of `correct` the bits of
    each checkpoint, `numpy.packbits`, (checkpoints, ceil(p*p / 8)). Older checkpoints are inferred:
    what takes longer than a request may is 503, ask again.
    """
    view = request.target.view
    checkpoints, p = view.between(from_step, to_step), view.manifest.task.modulus
    await read_all(context, request, checkpoints)
    answer = GridsAnswer(run, of, p, view.provisional, [])
    grids = await context.inference.apart(partial(Grids, context, view, of))
    chosen, steps = request.reply.format, [c.step for c in checkpoints]
    size = max(1, (TEXT_VALUES if chosen.is_text else VALUES) // p**2)
    packed = chosen.of_array is not None
    table = Table(grids.columns(packed), [], about(answer, "grids"))
    blocks = partial(grids.blocks, steps, size, packed)
    with context.inference.permit():
        return await stream(request.reply, answer, table, Blocks(len(steps), size, blocks))


class Grids:
    """The values of some checkpoints as a format takes them: columns, or one `packed` array."""

    def __init__(self, context: Context, view: RunView, of: Of) -> None:
        self._context, self._view, self._of = context, view, of
        table = answers(task_of(view.manifest))
        self._answers, self._undefined = comparable(table), table == UNDEFINED
        self._residue = residue_type(view.manifest.task.modulus)

    def columns(self, packed: bool) -> Columns:
        """The table's columns, or that of an array."""
        count = len(self._answers)
        if packed and self._of == "correct":
            return {"values": np.dtype((np.uint8, (-(-count // 8),)))}
        kind = np.dtype(np.bool_) if self._of == "correct" else self._residue
        values = np.dtype((kind, (count,)))
        return {"values": values} if packed else {"step": int, "values": values}

    async def blocks(
        self, steps: Sequence[int], size: int, packed: bool, first: int
    ) -> AsyncIterator[Block]:
        """So many checkpoints at a time, from the block of this number on."""
        start = first * size
        async for chunk in in_chunks(self._context, self._view, steps, size, start):
            values = await self._context.inference.apart(partial(self._values, chunk, packed))
            numbers = np.array(steps[start : start + size], dtype=np.int64)
            yield values if packed else {"step": numbers, "values": values}
            start += size

    def _values(self, chunk: Sequence[Predicted], packed: bool) -> AnyArray:
        """The values (checkpoints, p*p), packed as an array holds them."""
        predicted = np.stack(chunk)
        if self._of == "predicted":
            return predicted
        correct: AnyArray = predicted == self._answers
        if packed:
            return np.packbits(correct, axis=1)
        if not self._undefined.any():
            return correct
        return np.ma.masked_array(correct, np.broadcast_to(self._undefined, correct.shape))
