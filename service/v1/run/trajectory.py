"""How a run went: measures and spectra at every checkpoint, from the stored manifests."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.measures_table import KEY_MEASURES, ROW_MEASURES
from grokprobe.errors import InvalidInput
from grokprobe.store.records import KeyRecord, Measure
from service.context import FromContext
from service.formats.registry import TABLE
from service.formats.tables import table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.runs.view import RunView
from service.v1.run.keys import FINAL, RunKeys, view_with_keys


class TrajectoryAnswer(msgspec.Struct):
    """Measures at every checkpoint, one row each: `step` and the measures asked for."""

    run: str
    provisional: bool  # the run goes on: its keys are its latest checkpoint's
    keys: KeyRecord | None
    trajectory: list[dict[str, Measure]]


MeasuresQuery = Annotated[
    str | None,
    QueryParameter(description="Names of measures, separated by commas."),
]


def _measures(view: RunView, asked: str | None, keys: str) -> tuple[str, ...]:
    """The measures to show. Raises InvalidInput for one that no checkpoint of the run has."""
    if asked is None:
        return ROW_MEASURES if keys == FINAL else ROW_MEASURES + KEY_MEASURES
    known = view.measure_names
    names = tuple(dict.fromkeys(asked.split(",")))
    for name in names:
        if name not in known:
            raise InvalidInput("measures", f"{name!r} is not one of {', '.join(known)}")
    return names


@get(
    "/runs/{run:str}/trajectory",
    summary="Measures over a run",
    tags=["runs"],
    **offering(TABLE, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_trajectory(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    measures: MeasuresQuery = None,
    keys: RunKeys = FINAL,
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[TrajectoryAnswer]:
    """One row for every checkpoint, not paged: its step and its measures.

    With keys that are named, the measures that depend on them are shown too.
    """
    view = request.target.view
    names, checkpoints = _measures(view, measures, keys), view.between(from_step, to_step)
    wanted = checkpoints if any(name in KEY_MEASURES for name in names) else []
    view = await view_with_keys(context, request, keys, wanted)
    rows: list[dict[str, Measure]] = [
        {"step": c.step, **{name: view.measure(c.step, name) for name in names}}
        for c in checkpoints
    ]
    answer = TrajectoryAnswer(run, view.provisional, view.keys, rows)
    columns = {"step": int, **{name: _kind(rows, name) for name in names}}
    return await respond(request.reply, answer, table_of(answer, "trajectory", columns))


def _kind(rows: list[dict[str, Measure]], name: str) -> Any:
    """The type of a measure's column: a number, or one for each key frequency."""
    return dict[str, float] if any(isinstance(row[name], dict) for row in rows) else float
