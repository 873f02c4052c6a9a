"""What a checkpoint predicts of given pairs, or of all."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.params import QueryParameter

from service.answers import respond, stream
from service.bodies import decode, read_body
from service.context import Context, FromContext, Opened, open_checkpoint
from service.formats import TABLE, FormatQuery
from service.openapi import pairs_body
from service.predicting import Question, empty_answer, one_pair, predict, question
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath, documented, offering
from service.schemas.probes import PredictionAnswer, PredictionRequest
from service.tables import table_of

PATH = "/runs/{run:str}/checkpoints/{step:str}/predictions"

A = Annotated[int | None, QueryParameter(ge=0, description="The first residue of one pair.")]
B = Annotated[int | None, QueryParameter(ge=0, description="The second residue of one pair.")]


async def answer_predictions(
    request: Request[Any, Any, Any], context: Context, opened: Opened, asked: Question
) -> Response[Any]:
    """The answer in the format agreed on: whole if it is one block, else block by block.

    Raises OutputMissing.
    """
    blocks, answer = predict(context, opened, asked), empty_answer(opened)
    table = table_of(answer, "predictions", asked.columns)
    if asked.is_long:
        return await stream(request, answer, table, blocks)
    answer.predictions += await anext(blocks)
    wide = asked.is_wide(opened.checkpoint, len(answer.predictions))
    return await respond(request, answer, table, apart=wide)


@post(
    PATH,
    status_code=200,
    summary="Predictions of pairs",
    tags=["checkpoints"],
    **offering(TABLE, {**OF_A_CHECKPOINT, **documented(408, 413, 415)}, body=pairs_body()),
)
async def post_predictions(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    format_: FormatQuery = None,
) -> Response[PredictionAnswer]:
    """The predictions of the pairs in the body, JSON or MsgPack, in their order."""
    body = await read_body(request, context)
    with context.inference.permit():
        asked = decode(body, request.headers.get("content-type", ""), PredictionRequest)
        opened = await open_checkpoint(context, request)
        wanted = question(context, asked, opened.checkpoint)
        return await answer_predictions(request, context, opened, wanted)


@get(
    PATH,
    summary="Predictions of one pair or of all",
    tags=["checkpoints"],
    **offering(TABLE, OF_A_CHECKPOINT, "checkpoint"),
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
        opened = await open_checkpoint(context, request)
        every = a is None and b is None
        asked = None if every else one_pair(a, b, opened.checkpoint.table.task.modulus)
        return await answer_predictions(request, context, opened, Question(asked))
