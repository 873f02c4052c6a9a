"""The parameters of a checkpoint: the initialisers of its ONNX file, by name."""

from typing import Annotated, Any

import msgspec
import numpy as np
import onnx
from litestar import Response, get
from litestar.params import PathParameter
from onnx import numpy_helper

from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety.check import check_model
from service.context import Context, FromContext
from service.errors import WeightMissing
from service.formats.registry import ARRAY, TABLE
from service.formats.tables import AnyArray, about, array_table, columns_of, table_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.http.target import Target


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


async def _weights(context: Context, target: Target) -> dict[str, AnyArray]:
    """The arrays of a checkpoint by name. Raises CheckpointCorrupt, StoreUnavailable."""
    archive, run, step = context.backends.archive, target.view.manifest.run, target.number
    with context.inference.permit():
        manifest = await archive.checkpoint(run, step)
        data = await archive.model(manifest, context.settings.max_model_bytes)
    modulus = target.view.manifest.task.modulus
    return await context.inference.apart(
        lambda: _initialisers(data, f"run {run!r} step {step}", modulus)
    )


def _initialisers(data: bytes, where: str, modulus: int) -> dict[str, AnyArray]:
    check_model(data, where, modulus)
    tensors = onnx.load_model_from_string(data).graph.initializer
    return {tensor.name: _array(tensor, where) for tensor in tensors}


def _array(tensor: onnx.TensorProto, where: str) -> AnyArray:
    """The array of an initialiser. CheckpointCorrupt for one that says something else than it has.

    Or has what is neither a number nor a truth value.
    """
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, LookupError, ArithmeticError, MemoryError, AssertionError):
        array = np.empty(0, dtype=np.object_)
    if array.dtype.kind not in "fiub":
        raise CheckpointCorrupt(f"{where} is refused: its parameter {tensor.name[:60]!r} is none")
    return array


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
    found = await _weights(context, request.target)
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
    found = await _weights(context, request.target)
    if name not in found:
        raise WeightMissing(name, found)
    array = found[name]
    answer = WeightAnswer(
        run, request.target.number, name, list(array.shape), str(array.dtype), array
    )
    return await respond(request.reply, answer, array_table(array, about(answer, "values")), array)
