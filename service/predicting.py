"""What a checkpoint predicts of given pairs, or of all."""

from collections.abc import Coroutine, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.measures import cross_entropy
from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Residues, pairs
from service.bodies import refused
from service.checkpoints import Checkpoint, Table
from service.context import Context, Opened
from service.schemas.probes import (
    Extra,
    Prediction,
    PredictionAnswer,
    PredictionRequest,
    TopResidue,
)

# Numbers in one JSON answer: encoding more would keep everybody else waiting.
MAX_VALUES = 2_000_000
INLINE_VALUES = 8_192  # beside the predictions themselves: more are put together in a thread


def check_residues(asked: Residues, modulus: int) -> None:
    """Raise InvalidInput naming the first entry of `asked` (n, 2) that is outside 0..p-1."""
    if asked.max() >= modulus:
        row, column = np.argwhere(asked >= modulus)[0]
        raise InvalidInput(
            f"$.pairs[{row}][{column}]",
            f"{asked[row, column]} is not a residue 0..{modulus - 1}",
        )


def as_array(given: list[tuple[int, int]], modulus: int) -> Residues:
    """Pairs as an array (n, 2). Raises InvalidInput naming the first that is none."""
    try:
        asked = np.array(given, dtype=np.int64)
    except OverflowError:
        raise InvalidInput("$.pairs", f"residues are 0..{modulus - 1}") from None
    check_residues(asked, modulus)
    return asked


def one_pair(a: int | None, b: int | None, modulus: int) -> Residues:
    """The pair (a, b) as an array (1, 2). Raises InvalidInput."""
    for name, value in (("a", a), ("b", b)):
        if value is None:
            raise InvalidInput(name, "is missing: give a and b, or neither for all pairs")
        if value >= modulus:
            raise InvalidInput(name, f"{value} is not a residue 0..{modulus - 1}")
    return np.array([[a, b]], dtype=np.int64)


def _exponents(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """exp(z - max z) of each row."""
    largest = logits.max(axis=1, keepdims=True)
    exponents: NDArray[np.float64] = np.exp(np.subtract(logits, largest, dtype=np.float64))
    return exponents


def _top(logits: NDArray[np.float32], count: int) -> list[list[TopResidue]]:
    """The `count` likeliest residues of each row, likeliest first; ties: lowest residue."""
    exponents = _exponents(logits)
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(probabilities, order, axis=1)
    return [
        [TopResidue(r, p) for r, p in zip(residues, row, strict=True)]
        for residues, row in zip(order.tolist(), values.tolist(), strict=True)
    ]


def describe(
    known: Table, asked: Residues, logits: NDArray[np.float32], top: int = 0
) -> list[Prediction]:
    """Predictions from pairs (n, 2) and their logits (n, p); losses in nats."""
    rows = asked @ (known.task.modulus, 1)
    answers = known.answers[rows]
    # The largest softmax: the exponent of the largest logit is exactly 1.
    probability = 1 / _exponents(logits).sum(axis=1)
    loss = cross_entropy(logits, np.maximum(answers, 0))
    columns = (asked, logits.argmax(axis=1), answers, probability, loss, known.parts[rows])
    predictions = [
        Prediction(a, b, guess, answer, guess == answer, p, nats, part)
        if answer != UNDEFINED
        else Prediction(a, b, guess, None, None, p, None, None)
        for (a, b), guess, answer, p, nats, part in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]
    if top:
        for prediction, likeliest in zip(predictions, _top(logits, top), strict=True):
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


async def _width(
    context: Context, opened: Opened, extras: tuple[Extra, ...], asked: Residues
) -> int:
    """Numbers that the extra outputs hold for each pair, read off the first one's."""
    found = await context.inference.outputs(opened.checkpoint, list(extras), asked[:1])
    return sum(output.size for output in found)


def predict_asked(
    context: Context, opened: Opened, asked: PredictionRequest
) -> Coroutine[Any, Any, PredictionAnswer]:
    """What a request asks for. Raises TooLarge, counted, and what `predict` does."""
    count, limit = len(asked.pairs), context.settings.max_pairs
    if count > limit:
        message = f"{count} pairs in one request, at most {limit} (GROKPROBE_MAX_PAIRS)"
        raise refused(context, "pairs", message)
    given = as_array(asked.pairs, opened.checkpoint.table.task.modulus)
    return predict(context, opened, given, asked.top, asked.include)


async def predict(
    context: Context, opened: Opened, asked: Residues, top: int = 0, include: Iterable[Extra] = ()
) -> PredictionAnswer:
    """The predictions of pairs (n, 2), with what else was asked for.

    Raises OutputMissing, InvalidInput, TooLarge.
    """
    extras = tuple(dict.fromkeys(include))
    modulus = opened.checkpoint.table.task.modulus
    if top > modulus:
        raise InvalidInput("$.top", f"must be at most the modulus {modulus}, got {top}")
    width = await _width(context, opened, extras, asked) if extras else 0
    values = len(asked) * (2 * top + width)
    check_size(context, values)
    work = partial(_predictions, opened.checkpoint, top, extras)
    [predictions] = await context.inference.by_pair(
        opened.checkpoint, ("predictions", top, extras), work, asked, values > INLINE_VALUES
    )
    return _answer(opened, predictions)


def _predictions(
    checkpoint: Checkpoint, top: int, extras: tuple[Extra, ...], asked: Residues
) -> list[list[Prediction]]:
    names = ["logits", *(name for name in extras if name != "logits")]
    outputs = dict(zip(names, checkpoint.outputs(names, asked), strict=True))
    predictions = describe(checkpoint.table, asked, outputs["logits"], top)
    for name in extras:
        for prediction, value in zip(predictions, outputs[name].tolist(), strict=True):
            setattr(prediction, name, value)
    return [predictions]


async def predict_all(context: Context, opened: Opened) -> PredictionAnswer:
    """The predictions of all pairs in canonical order."""
    known = opened.checkpoint.table
    (logits,) = await context.inference.grid(opened.checkpoint, ["logits"])
    asked = pairs(known.task.modulus)
    return _answer(opened, await context.inference.apart(partial(describe, known, asked, logits)))


def _answer(opened: Opened, predictions: list[Prediction]) -> PredictionAnswer:
    run, task = opened.view.manifest.run, opened.checkpoint.table.task
    return PredictionAnswer(run, opened.step, task.operation, task.modulus, predictions)
