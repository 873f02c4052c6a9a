"""When each pair was learnt, and by which groups of pairs (docs/maths.md, "The learning order")."""

from typing import Annotated, Literal

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter
from numpy.typing import NDArray

from grokprobe.analysis.lasting import intervals
from grokprobe.analysis.pairs.mirrors import commutes
from service.charts import drawing
from service.charts.run import pairs as charts
from service.context import FromContext
from service.formats.pictures import PICTURES, Picture
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import Table, about, columns_of, table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import stream
from service.v1.run.learning import Learnt, learn
from service.v1.run.predicted import read_all

By = Literal["pair", "answer", "difference", "mirror"]


class PairRow(msgspec.Struct):
    """A pair; `step` is null where it is not right at the end, all but a and b without an answer.

    It became right after `previous_step` (null: it was right at the first) and at `step` at latest.
    """

    a: int
    b: int
    answer: int | None
    split: str | None
    mirror_in_train: bool | None
    step: int | None
    previous_step: int | None
    lost: int | None
    margin: float | None


class PairSumRow(msgspec.Struct):
    """The pairs of a group in one part of the split: an answer, a - b, or 1 where mirrors train.

    `half_step` is the first step from which at least half of them are right up to the end.
    """

    group: int
    split: str | None
    pairs: int
    learnt: int
    half_step: int | None
    half_previous_step: int | None
    lost: int
    margin: float | None


class MirrorRow(msgspec.Struct):
    """The test pairs that are right at a checkpoint, and those whose mirror is a train pair."""

    step: int
    right: int
    right_mirrored: int
    share: float | None
    accuracy_mirrored: float | None
    accuracy_others: float | None
    explained: float | None


class MirrorAnswer(msgspec.Struct):
    """Whether early test successes are mirrors of train pairs.

    `memorised` is the step at which train accuracy first was 0.99, also where it was lost later.
    """

    commutes: bool
    test_pairs: int
    mirrored: int
    memorised: MirrorRow | None
    steps: list[MirrorRow]


class PairsAnswer(msgspec.Struct):
    """The learning order of all pairs, and its sums; steps are those that were looked at."""

    run: str
    provisional: bool  # the run goes on
    first_step: int | None
    last_step: int | None
    mirror: MirrorAnswer | None  # null where the split is unknown
    by_answer: list[PairSumRow]
    by_difference: list[PairSumRow]
    by_mirror: list[PairSumRow]
    pairs: list[PairRow]


class PairSumsAnswer(msgspec.Struct):
    """The sums of one kind alone."""

    run: str
    by: By
    provisional: bool
    first_step: int | None
    last_step: int | None
    sums: list[PairSumRow]


@get(
    "/runs/{run:str}/pairs",
    summary="When each pair was learnt",
    tags=["runs"],
    **offering((*TABLE_OF_NUMBERS, *PICTURES), {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_pairs(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    by: Annotated[By, QueryParameter(description="Each pair, or sums of them.")] = "pair",
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[PairsAnswer | PairSumsAnswer]:
    """From which step each pair is right up to the end, and how often it was lost before.

    With `by` the sums alone: of each answer, of each a - b, or of the pairs whose mirror (b, a) is
    in the train split and of the others. npy of pairs is (p*p, 4): step, previous step, lost,
    margin; of sums a column for each field, `split` 1 for train and 0 for test; null is NaN.
    """
    view = request.target.view
    checkpoints = view.between(from_step, to_step)
    await read_all(context, request, checkpoints)
    with context.inference.permit():
        found = await learn(context, view, [c.step for c in checkpoints])
        first, last = (found.steps[0], found.steps[-1]) if found.steps else (None, None)
        if by != "pair":
            rows = await context.inference.apart(lambda: _sums(found, by))
            answer = PairSumsAnswer(run, by, view.provisional, first, last, rows)
            table = table_of(answer, "sums", columns_of(PairSumRow))
            numbers = _as_numbers(rows)
            return await drawing.respond(
                context, request, answer, table, numbers, chart=charts.pairs
            )
        accuracies = [c.measures.get("train_accuracy") for c in view.checkpoints.values()]
        memorised = intervals(view.steps, accuracies)
        mirror = _mirror(found, memorised[0].gained.step if memorised else None)
        whole = PairsAnswer(
            run=run,
            provisional=view.provisional,
            first_step=first,
            last_step=last,
            mirror=mirror,
            by_answer=[],
            by_difference=[],
            by_mirror=[],
            pairs=[],
        )
        blocks = found.blocks(request.reply.format)
        if isinstance(request.reply.format, Picture):  # which shows no sums
            async with drawing.every_row(context, blocks) as whole.pairs:
                return await drawing.respond(context, request, whole, chart=charts.pairs)
        whole.by_answer, whole.by_difference, whole.by_mirror = await context.inference.apart(
            lambda: (_sums(found, "answer"), _sums(found, "difference"), _sums(found, "mirror"))
        )
        columns = columns_of(PairRow)
        if request.reply.format.of_array:
            columns = {"values": np.dtype((np.float64, (4,)))}
        return await stream(request.reply, whole, Table(columns, [], about(whole, "pairs")), blocks)


def _sums(found: Learnt, by: By) -> list[PairSumRow]:
    return [
        PairSumRow(
            group=one.group,
            split=part,
            pairs=one.pairs,
            learnt=one.learnt,
            half_step=found.step(one.half),
            half_previous_step=found.step(one.half - 1),
            lost=one.lost,
            margin=one.margin,
        )
        for part, one in found.sums(by)
    ]


def _mirror(found: Learnt, memorised: int | None) -> MirrorAnswer | None:
    if found.mirrors is None:
        return None
    rows = [
        MirrorRow(step, *counts)
        for step, counts in zip(found.steps, found.kept.mirrored, strict=True)
    ]
    return MirrorAnswer(
        commutes=commutes(found.pairs.answers),
        test_pairs=found.mirrors.test,
        mirrored=found.mirrors.mirrored,
        memorised=next((row for row in rows if row.step == memorised), None),
        steps=rows,
    )


def _as_numbers(rows: list[PairSumRow]) -> NDArray[np.float64]:
    """Sums as an array (rows, fields)."""
    codes = {"train": 1, "test": 0}
    values = [[codes.get(v, v) for v in msgspec.structs.astuple(row)] for row in rows]
    fields = len(PairSumRow.__struct_fields__)
    return np.array(values, dtype=np.float64).reshape(-1, fields)
