"""Models: what a checkpoint takes and gives, whether it is ready, how often it was asked."""

from litestar import get

from service.context import FromContext
from service.http.openapi import documented
from service.http.parameters import RunPath, StepPath
from service.inference.checkpoints import Checkpoint
from service.v2.paths import LATEST, OF_A_MODEL, TAGS, of_a_model, open_version
from service.v2.records import (
    ModelConfig,
    ModelMetadata,
    ModelReady,
    StatisticsAnswer,
    TensorConfig,
    TensorMetadata,
)

PLATFORM = "onnxruntime_onnx"


def _tensors(checkpoint: Checkpoint) -> tuple[list[TensorMetadata], list[TensorMetadata]]:
    """Inputs and outputs."""
    return (
        [TensorMetadata("pairs", "INT64", [-1, 2])],
        [TensorMetadata(name, "FP32", shape) for name, shape in checkpoint.shapes.items()],
    )


@get(of_a_model(""), summary="A model's metadata", tags=TAGS, responses=OF_A_MODEL)
async def get_metadata(
    context: FromContext, run: RunPath, step: StepPath = LATEST
) -> ModelMetadata:
    """The run's steps as versions; inputs and outputs of the one named, or of the latest."""
    view = await context.views.get(run)
    inputs, outputs = _tensors(await open_version(context, run, step))
    return ModelMetadata(run, [str(step) for step in view.steps], PLATFORM, inputs, outputs)


@get(of_a_model("/ready"), summary="A model is ready", tags=TAGS, responses=OF_A_MODEL)
async def get_ready(context: FromContext, run: RunPath, step: StepPath = LATEST) -> ModelReady:
    """200 once the checkpoint is loaded, which this does; else why it cannot be."""
    await open_version(context, run, step)
    return ModelReady(run, ready=True)


@get(of_a_model("/config"), summary="A model's configuration", tags=TAGS, responses=OF_A_MODEL)
async def get_config(context: FromContext, run: RunPath, step: StepPath = LATEST) -> ModelConfig:
    """As Triton has it; outputs without a row per pair leave no batch dimension, so 0."""
    inputs, outputs = _tensors(await open_version(context, run, step))
    return ModelConfig(
        name=run,
        platform=PLATFORM,
        backend="onnxruntime",
        version_policy={"all": {}},
        max_batch_size=0,
        input=[TensorConfig(t.name, f"TYPE_{t.datatype}", t.shape) for t in inputs],
        output=[TensorConfig(t.name, f"TYPE_{t.datatype}", t.shape) for t in outputs],
        default_model_filename="model.onnx",
    )


@get(
    of_a_model("/stats"),
    summary="A model's statistics",
    tags=TAGS,
    responses=documented(400, 404, 503),
)
async def get_statistics(
    context: FromContext, run: RunPath, step: StepPath = ""
) -> StatisticsAnswer:
    """Requests and times of one version, or of each."""
    if step:
        steps = [(await context.views.find(run, step))[1]]
    else:
        steps = (await context.views.get(run)).steps
    return StatisticsAnswer([context.statistics.of(run, number) for number in steps])


@get("/models/stats", summary="The statistics of all models", tags=TAGS, responses=documented(400))
async def get_all_statistics(context: FromContext) -> StatisticsAnswer:
    """Of every version that was asked for since the process started, the last 10,000 of them."""
    return StatisticsAnswer(context.statistics.all())
