"""When structure emerged and when generalisation began (docs/maths.md, "Emergence over a run")."""

from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Response, get

from grokprobe.analysis.emergence import LEVELS, Crossing, Lag, Level
from service.context import FromContext
from service.formats.registry import TABLE
from service.formats.tables import Table, about, columns_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.runs.emergence import EmergenceAnswer, answer_emergence
from service.v1.run.keys import FINAL, RunKeys, view_with_keys


class CrossingRow(msgspec.Struct):
    """A series' crossing of a level and its lag, in the table of `emergence`."""

    series: str
    rise: float | None
    plateau: bool | None  # reached at the last checkpoint
    level: Level
    step: float | None
    low: int | None
    high: int | None
    lag: float | None
    lag_low: int | None
    lag_high: int | None
    lag_resolved: bool | None
    lag_relative: float | None


@get(
    "/runs/{run:str}/emergence",
    summary="When it emerged",
    tags=["runs"],
    **offering(TABLE, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_emergence(
    request: SettledRequest, context: FromContext, keys: RunKeys = FINAL
) -> Response[EmergenceAnswer]:
    """From which step it memorised and generalised, and how structure moved beside that.

    Every step lies in a bracket of two checkpoints. A run that goes on answers with what is known
    so far: its key share with its latest checkpoint's keys, restricted accuracy not yet.
    """
    checkpoints = request.target.view.checkpoints.values()
    answer = answer_emergence(await view_with_keys(context, request, keys, checkpoints))
    table = Table(columns_of(CrossingRow), _rows(answer), about(answer, "series", "lags"))
    return await respond(request.reply, answer, table)


def _rows(answer: EmergenceAnswer) -> list[CrossingRow]:
    """A row for each level of each series: where it was crossed, and the lag."""
    return [
        CrossingRow(
            name,
            found.rise,
            answer.plateaus.series[name].reached,
            level,
            *_cells(Crossing, getattr(found, level)),
            *_cells(Lag, answer.lags.get(name, {}).get(level)),
        )
        for name, found in answer.series.items()
        for level in LEVELS
    ]


def _cells(kind: type[msgspec.Struct], record: msgspec.Struct | None) -> Iterable[Any]:
    """A record's fields in a row; empty where there is none."""
    return (getattr(record, name, None) for name in kind.__struct_fields__)
