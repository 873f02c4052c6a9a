"""What a checkpoint predicts of given pairs, or of all, in blocks."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.measures import surprise
from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Residues, pairs
from service.context import Context
from service.formats.tables import Blocks, columns_of
from service.http.bodies import refused
from service.http.target import Opened
from service.inference.checkpoints import Checkpoint, PairTable
from service.v1.checkpoint.prediction_records import (
    Extra,
    Prediction,
    PredictionAnswer,
    PredictionRequest,
    TopResidue,
)

# Pairs in a block of a large answer: encoding more would keep everybody else waiting.
BLOCK, BLOCK_WITH_EXTRAS = 2_048, 128
MAX_WHOLE = BLOCK_WITH_EXTRAS  # pairs in an answer that is no stream
INLINE_VALUES = 8_192  # beside the predictions themselves: more are put together in a thread
EXTRAS = ("top", *get_args(Extra))
COLUMNS = columns_of(Prediction)


def check_residues(given: list[tuple[int, int]], modulus: int) -> None:
    """Raise InvalidInput naming the first number that is outside 0..p-1."""
    if max(map(max, given)) < modulus:
        return
    for row, pair in enumerate(given):
        for column, value in enumerate(pair):
            if value >= modulus:
                message = f"{value} is not a residue 0..{modulus - 1}"
                raise InvalidInput(f"$.pairs[{row}][{column}]", message)


def one_pair(a: int | None, b: int | None, modulus: int) -> Residues:
    """The pair (a, b) as an array (1, 2). Raises InvalidInput."""
    for name, value in (("a", a), ("b", b)):
        if value is None:
            raise InvalidInput(name, "is missing: give a and b, or neither for all pairs")
        if value >= modulus:
            raise InvalidInput(name, f"{value} is not a residue 0..{modulus - 1}")
    return np.array([[a, b]], dtype=np.int64)


def _top(
    logits: NDArray[np.float32], total: NDArray[np.float64], count: int
) -> list[list[TopResidue]]:
    """The `count` likeliest residues of each row, likeliest first; ties: lowest residue."""
    largest = logits.max(axis=1, keepdims=True)
    exponents = np.exp(np.subtract(logits, largest, dtype=np.float64))
    probabilities = exponents / total[:, None]
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(probabilities, order, axis=1)
    return [
        [TopResidue(r, p) for r, p in zip(residues, row, strict=True)]
        for residues, row in zip(order.tolist(), values.tolist(), strict=True)
    ]


def describe_predictions(
    known: PairTable, given: Residues, logits: NDArray[np.float32], top: int = 0
) -> list[Prediction]:
    """Predictions from pairs (n, 2) and their logits (n, p); losses in nats."""
    rows = given @ (known.task.modulus, 1)
    answers = known.answers[rows]
    loss, total = surprise(logits, np.maximum(answers, 0))
    columns = (given, logits.argmax(axis=1), answers, 1 / total, loss, known.parts[rows])
    predictions = [
        Prediction(a, b, guess, answer, guess == answer, p, nats, part)
        if answer != UNDEFINED
        else Prediction(a, b, guess, None, None, p, None, None)
        for (a, b), guess, answer, p, nats, part in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
    if top:
        for prediction, likeliest in zip(predictions, _top(logits, total, top), strict=True):
            prediction.top = likeliest
    return predictions


class Question(NamedTuple):
    """Pairs (n, 2), or all of them, and what to say of each beside its prediction."""

    pairs: Residues | None
    top: int = 0
    include: tuple[Extra, ...] = ()
    shared: bool = True  # a run with others; False where the answer has an ETag

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the answer's table."""
        extras = {*self.include, *(["top"] if self.top else [])}
        return {n: kind for n, kind in COLUMNS.items() if n not in EXTRAS or n in extras}

    @property
    def block(self) -> int:
        """Pairs in one block of the answer."""
        return BLOCK_WITH_EXTRAS if self.top or self.include else BLOCK

    @property
    def is_long(self) -> bool:
        """Whether the answer goes out in blocks."""
        return self.pairs is None or len(self.pairs) > MAX_WHOLE

    def is_wide(self, checkpoint: Checkpoint, count: int) -> bool:
        """Whether what is said of so many pairs takes a thread. Raises OutputMissing."""
        if not self.top and not self.include:
            return False
        checkpoint.check(self.include)
        width = 2 * self.top + sum(map(checkpoint.width, self.include))
        return count * width > INLINE_VALUES


def question(context: Context, body: PredictionRequest, checkpoint: Checkpoint) -> Question:
    """What a body asks for. Raises InvalidInput; TooLarge, counted."""
    count, limit = len(body.pairs), context.settings.max_pairs
    if count > limit:
        message = f"{count} pairs in one request, at most {limit} (GROKPROBE_MAX_PAIRS)"
        raise refused(context, "pairs", message)
    modulus = checkpoint.table.task.modulus
    if body.top > modulus:
        raise InvalidInput("$.top", f"must be at most the modulus {modulus}, got {body.top}")
    check_residues(body.pairs, modulus)
    given = np.array(body.pairs, dtype=np.int64)
    return Question(given, body.top, tuple(dict.fromkeys(body.include)))


def empty_answer(opened: Opened) -> PredictionAnswer:
    """The answer before its predictions."""
    run, task = opened.view.manifest.run, opened.checkpoint.table.task
    return PredictionAnswer(run, opened.step, task.operation, task.modulus, [])


def predict(context: Context, opened: Opened, wanted: Question) -> Blocks:
    """The predictions in blocks, whose making raises OutputMissing."""
    if wanted.pairs is None:
        checkpoint = opened.checkpoint
        every = checkpoint.table.task.modulus**2
        return Blocks(every, BLOCK, partial(_predict_all, context, checkpoint))
    some = partial(_predict_some, context, opened, wanted, wanted.pairs)
    return Blocks(len(wanted.pairs), wanted.block, some)


async def _predict_some(
    context: Context, opened: Opened, wanted: Question, given: Residues, first: int
) -> AsyncIterator[list[Prediction]]:
    for start in range(first * wanted.block, len(given), wanted.block):
        yield await predict_block(context, opened, wanted, given[start : start + wanted.block])


async def _predict_all(
    context: Context, checkpoint: Checkpoint, first: int
) -> AsyncIterator[list[Prediction]]:
    known, start = checkpoint.table, first * BLOCK
    every = pairs(known.task.modulus)
    async for logits in context.inference.blocks(checkpoint, "logits", BLOCK, first):
        part = every[start : start + BLOCK]
        yield await context.inference.apart(partial(describe_predictions, known, part, logits))
        start += BLOCK


async def predict_block(
    context: Context, opened: Opened, wanted: Question, part: Residues
) -> list[Prediction]:
    """The predictions of some of the pairs, (n, 2). Raises OutputMissing."""
    checkpoint = opened.checkpoint
    [predictions] = await context.inference.by_pair(
        checkpoint,
        ("predictions", wanted.top, wanted.include),
        partial(_predictions, checkpoint, wanted.top, wanted.include),
        part,
        wanted.is_wide(checkpoint, len(part)),
        wanted.shared,
    )
    return list(predictions)


def _predictions(
    checkpoint: Checkpoint, top: int, extras: tuple[Extra, ...], given: Residues
) -> list[list[Prediction]]:
    names = ["logits", *(name for name in extras if name != "logits")]
    outputs = dict(zip(names, checkpoint.outputs(names, given), strict=True))
    predictions = describe_predictions(checkpoint.table, given, outputs["logits"], top)
    for name in extras:
        for prediction, value in zip(predictions, outputs[name].tolist(), strict=True):
            setattr(prediction, name, value)
    return [predictions]
