"""Which pairs a run trained on."""

import msgspec
import numpy as np
from litestar import Response, get

from grokprobe.task import UNDEFINED
from service.context import FromContext
from service.errors import SplitUnknown
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import AnyArray, Table, about
from service.http.openapi import OF_A_RUN, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.inference.checkpoints import PairTable

COLUMNS = {"a": int, "b": int, "train": bool}


class SplitAnswer(msgspec.Struct):
    """Whether each pair is a train pair, row a*p + b; null is in no part, for it has no answer."""

    run: str
    modulus: int
    train_pairs: int
    test_pairs: int
    train: list[bool | None]


@get(
    "/runs/{run:str}/split",
    summary="Which pairs are train pairs",
    tags=["runs"],
    **offering(TABLE_OF_NUMBERS, OF_A_RUN, "split"),
)
async def get_split(
    request: SettledRequest, context: FromContext, run: RunPath
) -> Response[SplitAnswer]:
    """Whether each pair, in canonical order, is a train pair; it never changes.

    npy is the bits, `numpy.packbits`, (ceil(p*p / 8),), 0 where a pair has no answer. The split of
    a run that others trained may be unknown: 404.
    """
    with context.inference.permit():
        pairs = await context.checkpoints.table(request.target.view)
        if pairs.train_mask is None:
            raise SplitUnknown(run)
        answer, table, bits = await context.inference.apart(lambda: _answer(run, pairs))
        return await respond(request.reply, answer, table, bits, apart=True)


def _answer(run: str, pairs: PairTable) -> tuple[SplitAnswer, Table, AnyArray]:
    """The answer, its table, and its bits."""
    p, mask, undefined = pairs.task.modulus, pairs.train_mask, pairs.answers == UNDEFINED
    assert mask is not None
    train = np.ma.masked_array(mask, undefined)
    count = int(mask.sum())
    test = len(mask) - count - int(undefined.sum())
    answer = SplitAnswer(run, p, count, test, train.tolist())
    a, b = np.divmod(np.arange(p * p), p)
    table = Table(COLUMNS, {"a": a, "b": b, "train": train}, about(answer, "train"))
    return answer, table, np.packbits(mask & ~undefined)
