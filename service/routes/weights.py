"""The parameters of a checkpoint: the initialisers of its ONNX file, by name."""

from typing import Annotated, Any

import onnx
from litestar import Request, Response, get
from litestar.params import PathParameter
from numpy.typing import NDArray
from onnx import numpy_helper

from service.context import Context, FromContext, find
from service.errors import WeightMissing
from service.formats import FormatQuery, respond, table
from service.npy import npy_bytes
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath
from service.safety import check_model
from service.schemas.probes import WeightRow, WeightsAnswer

WeightPath = Annotated[str, PathParameter(description="A name of the list, such as `W_E`.")]


async def _weights(context: Context, run: str, step: int) -> dict[str, NDArray[Any]]:
    """The arrays of a checkpoint by name. Raises CheckpointCorrupt, StoreUnavailable."""
    archive = context.backends.archive
    manifest = await archive.checkpoint(run, step)
    data = await archive.model(manifest, context.settings.max_model_bytes)
    check_model(data, f"run {run!r} step {step}")
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_model_from_string(data).graph.initializer
    }


@get(
    "/runs/{run:str}/checkpoints/{step:str}/weights",
    summary="Names and shapes of the weights",
    tags=["checkpoints"],
    responses=OF_A_CHECKPOINT,
)
async def list_weights(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    format_: FormatQuery = None,
) -> Response[WeightsAnswer]:
    """The parameters of the checkpoint, each to be had under its name."""
    _, number, headers = await find(context, request, run, step)
    with context.inference.permit():
        found = await _weights(context, run, number)
    rows = [WeightRow(name, list(w.shape), str(w.dtype)) for name, w in found.items()]
    answer = WeightsAnswer(run, number, rows)
    columns = WeightRow.__struct_fields__
    return respond(request, format_, table(answer, "weights", columns), headers)


@get(
    "/runs/{run:str}/checkpoints/{step:str}/weights/{name:str}",
    summary="One weight",
    tags=["checkpoints"],
    responses=OF_A_CHECKPOINT,
    media_type="application/x-npy",
)
async def get_weight(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    name: WeightPath,
    format_: FormatQuery = None,
) -> Response[bytes]:
    """One parameter as `npy`, as it was published."""
    _, number, headers = await find(context, request, run, step)
    with context.inference.permit():
        found = await _weights(context, run, number)
    if name not in found:
        raise WeightMissing(name, found)
    return respond(request, format_, {"npy": lambda: npy_bytes(found[name])}, headers)
