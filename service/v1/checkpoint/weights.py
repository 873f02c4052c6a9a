"""The parameters of a checkpoint: the initialisers of its ONNX file, by name."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import PathParameter

from service.context import FromContext
from service.errors import WeightMissing
from service.formats.registry import ARRAY, TABLE
from service.formats.tables import about, array_table, columns_of, table_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.v1.probing import weights_of


class WeightRow(msgspec.Struct):
    """A parameter of a checkpoint."""

    name: str
    shape: list[int]
    dtype: str


class WeightsAnswer(msgspec.Struct):
    """The parameters of a checkpoint, in the order of its file."""

    run: str
    step: int
    weights: list[WeightRow]


class WeightAnswer(msgspec.Struct):
    """One parameter; `values` is nested as its shape says."""

    run: str
    step: int
    name: str
    shape: list[int]
    dtype: str
    values: Any


WeightPath = Annotated[str, PathParameter(description="A name of the list, such as `W_E`.")]


@get(
    "/runs/{run:str}/checkpoints/{step:str}/weights",
    summary="Names and shapes of the weights",
    tags=["checkpoints"],
    **offering(TABLE, OF_A_CHECKPOINT, "checkpoint"),
)
async def list_weights(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
) -> Response[WeightsAnswer]:
    """The parameters of the checkpoint, each to be had under its name."""
    with context.inference.permit():
        found = await weights_of(context, request.target.view, request.target.number)
    rows = [WeightRow(name, list(w.shape), str(w.dtype)) for name, w in found.items()]
    answer = WeightsAnswer(run, request.target.number, rows)
    return await respond(request.reply, answer, table_of(answer, "weights", columns_of(WeightRow)))


@get(
    "/runs/{run:str}/checkpoints/{step:str}/weights/{name:str}",
    summary="One weight",
    tags=["checkpoints"],
    **offering(ARRAY, OF_A_CHECKPOINT, "checkpoint"),
)
async def get_weight(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    name: WeightPath,
) -> Response[WeightAnswer]:
    """One parameter, as `npy` unless asked otherwise, as it was published.

    As a table it has a row for each of its first index, and columns for all others together.
    """
    with context.inference.permit():
        found = await weights_of(context, request.target.view, request.target.number)
    if name not in found:
        raise WeightMissing(name, found)
    array = found[name]
    answer = WeightAnswer(
        run, request.target.number, name, list(array.shape), str(array.dtype), array
    )
    return await respond(request.reply, answer, array_table(array, about(answer, "values")), array)
