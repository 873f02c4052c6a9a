"""What a checkpoint predicts of given pairs, or of all."""

from typing import Annotated, get_args

from litestar import Response, get, post
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import QueryParameter

from grokprobe.task import MAX_MODULUS, Residues
from service.charts import drawing
from service.charts.pair import pair
from service.charts.predictions import predictions
from service.context import Context, FromContext
from service.formats.pictures import PICTURES, Picture
from service.formats.registry import TABLE
from service.formats.tables import table_of
from service.http.asgi import AnyResponse
from service.http.bodies import BODY_TYPES, decode_body, read_body
from service.http.openapi import OF_A_CHECKPOINT, documented, offering
from service.http.preconditions import Reply, SettledRequest
from service.http.responses import respond, stream
from service.http.target import Opened, open_checkpoint
from service.v1.checkpoint.predict import Question, empty_answer, one_pair, predict, question
from service.v1.checkpoint.prediction_records import (
    CHOICES,
    Extra,
    PredictionAnswer,
    PredictionRequest,
)


def pairs_body() -> RequestBody:
    """The body `PredictionRequest`."""
    residue = Schema(type=OpenAPIType.INTEGER, minimum=0, maximum=MAX_MODULUS - 1)
    pair = Schema(type=OpenAPIType.ARRAY, items=residue, min_items=2, max_items=2)
    extra = Schema(type=OpenAPIType.STRING, enum=list(get_args(Extra)))
    schema = Schema(
        type=OpenAPIType.OBJECT,
        required=["pairs"],
        properties={
            "pairs": Schema(type=OpenAPIType.ARRAY, items=pair, min_items=1),
            "top": Schema(type=OpenAPIType.INTEGER, minimum=0, maximum=MAX_MODULUS, default=0),
            "include": Schema(type=OpenAPIType.ARRAY, items=extra),
        },
        additional_properties=False,
        examples=[{"pairs": [[3, 5]], "top": 3, "include": ["logits"]}],
    )
    media = {kind: OpenAPIMediaType(schema=schema) for kind in BODY_TYPES}
    return RequestBody(content=media, required=True)


PATH = "/runs/{run:str}/checkpoints/{step:str}/predictions"

A = Annotated[int | None, QueryParameter(ge=0, description="The first residue of one pair.")]
B = Annotated[int | None, QueryParameter(ge=0, description="The second residue of one pair.")]


async def answer_predictions(
    context: Context, reply: Reply, opened: Opened, wanted: Question
) -> AnyResponse:
    """The answer in the format agreed on: whole if it is one block, else block by block.

    Raises OutputMissing.
    """
    blocks, answer = predict(context, opened, wanted), empty_answer(opened)
    table = table_of(answer, "predictions", wanted.columns)
    if wanted.is_long:
        return await stream(reply, answer, table, blocks)
    first = await anext(blocks.of(0))
    assert isinstance(first, list)
    answer.predictions += first
    wide = wanted.is_wide(opened.checkpoint, len(answer.predictions))
    return await respond(reply, answer, table, apart=wide)


@post(
    PATH,
    status_code=200,
    summary="Predictions of pairs",
    tags=["checkpoints"],
    **offering(TABLE, {**OF_A_CHECKPOINT, **documented(408, 413, 415)}, body=pairs_body()),
)
async def post_predictions(
    request: SettledRequest,
    context: FromContext,
) -> Response[PredictionAnswer]:
    """The predictions of the pairs in the body, JSON or MsgPack, in their order."""
    body = await read_body(request, context)
    with context.inference.permit():
        content_type = request.headers.get("content-type", "")
        given = decode_body(body, content_type, PredictionRequest, CHOICES)
        opened = await open_checkpoint(context, request.target)
        wanted = question(context, given, opened.checkpoint)
        return await answer_predictions(context, request.reply, opened, wanted)


@get(
    PATH,
    summary="Predictions of one pair or of all",
    tags=["checkpoints"],
    **offering((*TABLE, *PICTURES), OF_A_CHECKPOINT, "checkpoint"),
)
async def get_predictions(
    request: SettledRequest,
    context: FromContext,
    a: A = None,
    b: B = None,
) -> Response[PredictionAnswer]:
    """The prediction of (a, b); without a and b, of all pairs in canonical order."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request.target)
        every = a is None and b is None
        given = None if every else one_pair(a, b, opened.checkpoint.table.task.modulus)
        if isinstance(request.reply.format, Picture):
            return await _picture(request, context, opened, given)
        wanted = Question(given, shared=False)
        return await answer_predictions(context, request.reply, opened, wanted)


async def _picture(
    request: SettledRequest, context: Context, opened: Opened, given: Residues | None
) -> AnyResponse:
    """The grid of all pairs, or the logits of one."""
    include: tuple[Extra, ...] = () if given is None else ("logits",)
    answer = empty_answer(opened)
    blocks = predict(context, opened, Question(given, include=include, shared=False))
    chart = predictions if given is None else pair
    async with drawing.every_row(context, blocks) as answer.predictions:
        return await drawing.respond(context, request, answer, chart=chart)
