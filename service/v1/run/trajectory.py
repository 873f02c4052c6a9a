"""How a run went: measures and spectra at every checkpoint, from the stored manifests."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.measures_table import KEY_MEASURES, ROW_MEASURES
from grokprobe.analysis.measuring.requested import BY_REQUEST
from grokprobe.colours import Theme
from grokprobe.store.records import CheckpointManifest, KeyRecord, Measure
from service.charts import drawing
from service.charts.frame import Answer, Spec
from service.charts.run.trajectory import DRAWN, trajectory
from service.context import Context, FromContext
from service.formats.pictures import PICTURES, Picture
from service.formats.registry import TABLE
from service.formats.tables import table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.runs.emergence import answer_emergence
from service.runs.view import RunView
from service.v1.requesting import names_of, requested_measures
from service.v1.run.keys import FINAL, RunKeys, view_with_keys
from service.v1.run.progress import unfinished_after


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


def _measures(view: RunView, asked: str | None, drawn: bool, keys: bool) -> tuple[str, ...]:
    """The measures to show: those named, else what a picture draws, or what there is a default for.

    Raises InvalidInput for one that no checkpoint of the run has.
    """
    if asked is not None:
        return names_of("measures", asked, view)
    if drawn:
        return DRAWN
    return ROW_MEASURES + KEY_MEASURES if keys else ROW_MEASURES


async def _requested(
    context: Context,
    request: SettledRequest,
    names: Sequence[str],
    checkpoints: Sequence[CheckpointManifest],
) -> dict[int, dict[str, Measure]]:
    """The measures by request of each checkpoint, by step. Raises Overloaded, Unfinished."""
    found: dict[int, dict[str, Measure]] = {}
    if not set(names) & set(BY_REQUEST):
        return found
    async with unfinished_after(request, len(checkpoints), "measured by request") as count:
        for checkpoint in checkpoints:
            with context.inference.permit():
                view, step = request.target.view, checkpoint.step
                found[step] = {**await requested_measures(context, view, step, names)}
            count()
    return found


@get(
    "/runs/{run:str}/trajectory",
    summary="Measures over a run",
    tags=["runs"],
    **offering((*TABLE, *PICTURES), {**OF_A_RUN, **documented(422)}, "keys"),
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

    With keys that are named, the measures that depend on them are shown too; a picture shows
    losses, accuracies, the share of the keys and the norm of the weights, unless others are named.
    Those by request are computed a checkpoint at a time, and kept.
    """
    view = request.target.view
    drawn = isinstance(request.reply.format, Picture)
    names = _measures(view, measures, drawn, keys != FINAL)
    checkpoints = view.between(from_step, to_step)
    wanted = checkpoints if any(name in KEY_MEASURES for name in names) else []
    view = await view_with_keys(context, request, keys, wanted)
    requested = await _requested(context, request, names, checkpoints)
    rows: list[dict[str, Measure]] = [
        {
            "step": c.step,
            **{name: view.measure(c.step, name) for name in names},
            **requested.get(c.step, {}),
        }
        for c in checkpoints
    ]
    answer = TrajectoryAnswer(run, view.provisional, view.keys, rows)
    columns = {"step": int, **{name: _kind(rows, name) for name in names}}
    table = table_of(answer, "trajectory", columns)

    def chart(told: Answer, theme: Theme) -> Spec:
        if view.manifest.task.train_pairs is None:
            return trajectory(told, theme)
        emerged = msgspec.to_builtins(answer_emergence(view))
        return trajectory(told, theme, emergence=emerged)

    return await drawing.respond(context, request, answer, table, chart=chart)


def _kind(rows: list[dict[str, Measure]], name: str) -> Any:
    """The type of a measure's column: a number, or one for each key frequency."""
    return dict[str, float] if any(isinstance(row[name], dict) for row in rows) else float
