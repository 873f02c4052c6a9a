"""What a checkpoint predicts: of given pairs, of all pairs, and its logits."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import numpy as np
from litestar import Request, Response, get, post
from litestar.params import QueryParameter
from numpy.typing import NDArray

from grokprobe.analysis.measures import cross_entropy
from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Residues, pairs
from service.bodies import WithPairs, decode, read_body, refused
from service.checkpoints import Table
from service.context import Context, FromContext, Opened, open_checkpoint
from service.formats import FormatQuery, npy_bytes, only_json, respond, table
from service.inference import INLINE_PAIRS
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath, documented
from service.schemas.probes import (
    Extra,
    LogitsAnswer,
    Part,
    Prediction,
    PredictionAnswer,
    PredictionRequest,
    TopResidue,
)

# Numbers in one JSON answer: encoding more would keep everybody else waiting.
MAX_VALUES = 2_000_000
COLUMNS = ("a", "b", "predicted", "answer", "correct", "probability", "loss", "split")
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


def check_size(context: Context, values: int) -> None:
    """Raise TooLarge, counted, for an answer of too many numbers."""
    if values > MAX_VALUES:
        raise refused(
            context,
            "values",
            f"the answer would hold {values:,} numbers, at most {MAX_VALUES:,} in JSON: ask for "
            "fewer pairs or less about each, or for logits as npy",
        )


async def _width(context: Context, opened: Opened, extras: list[Extra], asked: Residues) -> int:
    """Numbers that the extra outputs hold for each pair, read off the first one's."""
    if not extras:
        return 0
    found = await context.inference.outputs(opened.checkpoint, list(extras), asked[:1])
    return sum(output.size for output in found)


async def predict(
    context: Context, opened: Opened, asked: Residues, top: int = 0, include: Iterable[Extra] = ()
) -> PredictionAnswer:
    """The predictions of pairs (n, 2), with what else was asked for.

    Raises OutputMissing, InvalidInput, TooLarge.
    """
    known, extras = opened.checkpoint.table, list(dict.fromkeys(include))
    if top > known.task.modulus:
        raise InvalidInput("$.top", f"must be at most the modulus {known.task.modulus}, got {top}")
    width = await _width(context, opened, extras, asked)
    check_size(context, len(asked) * (2 * top + width))
    names = ["logits", *(name for name in extras if name != "logits")]
    found = await context.inference.outputs(opened.checkpoint, names, asked)
    outputs = dict(zip(names, found, strict=True))

    def build() -> list[Prediction]:
        predictions = describe(known, asked, outputs["logits"], top)
        for name in extras:
            for prediction, value in zip(predictions, outputs[name].tolist(), strict=True):
                setattr(prediction, name, value)
        return predictions

    predictions = build() if len(asked) <= INLINE_PAIRS else await context.inference.apart(build)
    return PredictionAnswer(
        opened.view.manifest.run, opened.step, known.task.operation, known.task.modulus, predictions
    )


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
        count, limit = len(asked.pairs), context.settings.max_pairs
        if count > limit:
            message = f"{count} pairs in one request, at most {limit} (GROKPROBE_MAX_PAIRS)"
            raise refused(context, "pairs", message)
        opened = await open_checkpoint(context, request, run, step)
        given = _as_array(asked.pairs, opened.checkpoint.table.task.modulus)
        answer = await predict(context, opened, given, asked.top, asked.include)
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
        asked = _pairs_of_query(a, b, opened.checkpoint.table.task.modulus)
        answer = await predict(context, opened, asked)
        return respond(request, format_, table(answer, "predictions", COLUMNS), opened.headers)


def _pairs_of_query(a: int | None, b: int | None, modulus: int) -> Residues:
    if a is None and b is None:
        return pairs(modulus)
    for name, value in (("a", a), ("b", b)):
        if value is None:
            raise InvalidInput(name, "is missing: give a and b, or neither for all pairs")
        if value >= modulus:
            raise InvalidInput(name, f"{value} is not a residue 0..{modulus - 1}")
    return np.array([[a, b]], dtype=np.int64)


@get(
    "/runs/{run:str}/checkpoints/{step:str}/logits",
    summary="Logits of all pairs",
    tags=["checkpoints"],
    responses=OF_A_CHECKPOINT,
)
async def get_logits(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    format_: FormatQuery = None,
) -> Response[LogitsAnswer]:
    """Logits (p*p, p), rows in canonical order, as float32 `npy` unless asked otherwise."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request, run, step)
        p = opened.checkpoint.table.task.modulus
        (logits,) = await context.inference.outputs(opened.checkpoint, ["logits"], pairs(p))

        def as_json() -> bytes:
            check_size(context, logits.size)
            return msgspec.json.encode(LogitsAnswer(run, opened.step, p, logits.tolist()))

        makers = {"npy": lambda: npy_bytes(logits), "json": as_json}
        return respond(request, format_, makers, opened.headers)
