"""What a checkpoint predicts: of given pairs, or of all."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import QueryParameter

from service.bodies import WithPairs, decode, read_body
from service.context import FromContext, open_checkpoint
from service.formats import FormatQuery, only_json, respond, table
from service.predicting import one_pair, predict, predict_all, predict_asked
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath, documented
from service.schemas.probes import PredictionAnswer, PredictionRequest

COLUMNS = ("a", "b", "predicted", "answer", "correct", "probability", "loss", "split")
PATH = "/runs/{run:str}/checkpoints/{step:str}/predictions"

A = Annotated[int | None, QueryParameter(ge=0, description="The first residue of one pair.")]
B = Annotated[int | None, QueryParameter(ge=0, description="The second residue of one pair.")]


@post(
    PATH,
    status_code=200,
    summary="Predictions of pairs",
    tags=["checkpoints"],
    responses={**OF_A_CHECKPOINT, **documented(408, 413, 415)},
    operation_class=WithPairs,
)
async def post_predictions(
    request: Request[Any, Any, Any], context: FromContext, run: RunPath, step: StepPath
) -> Response[PredictionAnswer]:
    """The predictions of the pairs in the body, JSON or MsgPack, in their order."""
    body = await read_body(request, context)
    with context.inference.permit():
        asked = decode(body, request.headers.get("content-type", ""), PredictionRequest)
        opened = await open_checkpoint(context, request, run, step)
        answer = await predict_asked(context, opened, asked)
        return respond(request, None, only_json(answer), opened.headers)


@get(
    PATH,
    summary="Predictions of one pair or of all",
    tags=["checkpoints"],
    responses=OF_A_CHECKPOINT,
)
async def get_predictions(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    a: A = None,
    b: B = None,
    format_: FormatQuery = None,
) -> Response[PredictionAnswer]:
    """The prediction of (a, b); without a and b, of all pairs in canonical order."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request, run, step)
        if a is None and b is None:
            answer = await predict_all(context, opened)
        else:
            asked = one_pair(a, b, opened.checkpoint.table.task.modulus)
            answer = await predict(context, opened, asked)
        return respond(request, format_, table(answer, "predictions", COLUMNS), opened.headers)
