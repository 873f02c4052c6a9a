"""What a checkpoint predicts of given pairs, or of all."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import numpy as np
from litestar import Request, Response, get, post
from litestar.params import QueryParameter
from numpy.typing import NDArray

from grokprobe.analysis.measures import cross_entropy
from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Residues, pairs
from service.answers import respond, stream
from service.bodies import decode, read_body, refused
from service.checkpoints import ROWS, Table
from service.context import Context, FromContext, Opened, open_checkpoint
from service.formats import TABLE, FormatQuery
from service.inference import INLINE_PAIRS
from service.openapi import pairs_body
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath, documented, offering
from service.schemas.probes import (
    Extra,
    Part,
    Prediction,
    PredictionAnswer,
    PredictionRequest,
    TopResidue,
)
from service.tables import columns_of, table_of

# Pairs in a block of a large answer: encoding more would keep everybody else waiting.
BLOCK, BLOCK_WITH_EXTRAS = ROWS, 128
EXTRAS = ("top", *get_args(Extra))
COLUMNS = columns_of(Prediction)
PATH = "/runs/{run:str}/checkpoints/{step:str}/predictions"

A = Annotated[int | None, QueryParameter(ge=0, description="The first residue of one pair.")]
B = Annotated[int | None, QueryParameter(ge=0, description="The second residue of one pair.")]


def check_residues(asked: Residues, modulus: int) -> None:
    """Raise InvalidInput naming the first entry of `asked` (n, 2) that is outside 0..p-1."""
    outside = np.argwhere(asked >= modulus)
    if len(outside):
        row, column = outside[0]
        raise InvalidInput(
            f"$.pairs[{row}][{column}]",
            f"{asked[row, column]} is not a residue 0..{modulus - 1}",
        )


def _as_array(given: list[tuple[int, int]], modulus: int) -> Residues:
    try:
        asked = np.array(given, dtype=np.int64)
    except OverflowError:
        raise InvalidInput("$.pairs", f"residues are 0..{modulus - 1}") from None
    check_residues(asked, modulus)
    return asked


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    probabilities: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return probabilities


def _top(probabilities: NDArray[np.float64], count: int) -> list[list[TopResidue]]:
    """The `count` likeliest residues of each row, likeliest first; ties: lowest residue."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(probabilities, order, axis=1)
    return [
        [TopResidue(r, p) for r, p in zip(residues, row, strict=True)]
        for residues, row in zip(order.tolist(), values.tolist(), strict=True)
    ]


def _parts(known: Table, rows: Residues) -> list[Part | None]:
    """The part of the split that each row belongs to; None where the split is unknown."""
    if known.train_mask is None:
        return [None] * len(rows)
    return ["train" if train else "test" for train in known.train_mask[rows].tolist()]


def describe(
    known: Table, asked: Residues, logits: NDArray[np.float32], top: int = 0
) -> list[Prediction]:
    """Predictions from pairs (n, 2) and their logits (n, p); losses in nats."""
    rows = asked[:, 0] * known.task.modulus + asked[:, 1]
    answers, predicted = known.answers[rows], logits.argmax(axis=1)
    probabilities = _softmax(logits)
    probability = probabilities[np.arange(len(rows)), predicted]
    loss = cross_entropy(logits, np.maximum(answers, 0))
    columns = (asked, predicted, answers, probability, loss)
    predictions = [
        Prediction(a, b, guess, answer, guess == answer, p, nats, part)
        if answer != UNDEFINED
        else Prediction(a, b, guess, None, None, p, None, None)
        for (a, b), guess, answer, p, nats, part in zip(
            *(column.tolist() for column in columns), _parts(known, rows), strict=True
        )
    ]
    if top:
        for prediction, likeliest in zip(predictions, _top(probabilities, top), strict=True):
            prediction.top = likeliest
    return predictions


@dataclass(frozen=True)
class Question:
    """Pairs (n, 2), and what to say of each beside its prediction."""

    pairs: Residues
    top: int = 0
    include: Sequence[Extra] = ()

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the answer's table."""
        extras = {*self.include, *(["top"] if self.top else [])}
        return {n: kind for n, kind in COLUMNS.items() if n not in EXTRAS or n in extras}


async def _predict(
    context: Context, opened: Opened, asked: Question
) -> AsyncIterator[list[Prediction]]:
    """The predictions in blocks. Raises OutputMissing."""
    size = BLOCK_WITH_EXTRAS if asked.top or asked.include else BLOCK
    for start in range(0, len(asked.pairs), size):
        yield await _block(context, opened, asked, asked.pairs[start : start + size])


async def _block(
    context: Context, opened: Opened, asked: Question, part: Residues
) -> list[Prediction]:
    names = ["logits", *(name for name in asked.include if name != "logits")]
    found = await context.inference.outputs(opened.checkpoint, names, part)
    outputs = dict(zip(names, found, strict=True))

    def build() -> list[Prediction]:
        predictions = describe(opened.checkpoint.table, part, outputs["logits"], asked.top)
        for name in asked.include:
            for prediction, value in zip(predictions, outputs[name].tolist(), strict=True):
                setattr(prediction, name, value)
        return predictions

    return build() if len(part) <= INLINE_PAIRS else await context.inference.apart(build)


async def answer_predictions(
    request: Request[Any, Any, Any], context: Context, opened: Opened, asked: Question
) -> Response[Any]:
    """The answer in the format agreed on: whole if it is one block, else block by block.

    Raises OutputMissing, InvalidInput.
    """
    task = opened.checkpoint.table.task
    if asked.top > task.modulus:
        message = f"must be at most the modulus {task.modulus}, got {asked.top}"
        raise InvalidInput("$.top", message)
    blocks = _predict(context, opened, asked)
    answer = PredictionAnswer(
        opened.view.manifest.run, opened.step, task.operation, task.modulus, []
    )
    table = table_of(answer, "predictions", asked.columns)
    if len(asked.pairs) > BLOCK_WITH_EXTRAS:
        return await stream(request, answer, table, blocks)
    answer.predictions += await anext(blocks)
    return await respond(request, answer, table)


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
        count, limit = len(asked.pairs), context.settings.max_pairs
        if count > limit:
            message = f"{count} pairs in one request, at most {limit} (GROKPROBE_MAX_PAIRS)"
            raise refused(context, "pairs", message)
        opened = await open_checkpoint(context, request)
        given = _as_array(asked.pairs, opened.checkpoint.table.task.modulus)
        question = Question(given, asked.top, list(dict.fromkeys(asked.include)))
        return await answer_predictions(request, context, opened, question)


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
        asked = _pairs_of_query(a, b, opened.checkpoint.table.task.modulus)
        return await answer_predictions(request, context, opened, Question(asked))


def _pairs_of_query(a: int | None, b: int | None, modulus: int) -> Residues:
    if a is None and b is None:
        return pairs(modulus)
    for name, value in (("a", a), ("b", b)):
        if value is None:
            raise InvalidInput(name, "is missing: give a and b, or neither for all pairs")
        if value >= modulus:
            raise InvalidInput(name, f"{value} is not a residue 0..{modulus - 1}")
    return np.array([[a, b]], dtype=np.int64)
