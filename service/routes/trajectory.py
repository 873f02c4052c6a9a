"""How a run went: measures and spectra at every checkpoint, from the stored manifests."""

from typing import Annotated, Any, Literal

import numpy as np
from litestar import Request, Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.fourier import frequencies, shares
from grokprobe.analysis.groups import basis_of
from grokprobe.analysis.irreps import irreps
from grokprobe.errors import InvalidInput
from grokprobe.store.manifest import Measure, SpectrumRow, task_of
from service.answers import respond
from service.context import FromContext, asked_of
from service.formats import TABLE, TABLE_OF_NUMBERS, FormatQuery
from service.routes import OF_A_RUN, FromStep, RunPath, ToStep, offering
from service.routes.embedding import describe_basis
from service.routes.runs import ROW_MEASURES, between
from service.schemas.runs import SpectraAnswer, SpectraRow, TrajectoryAnswer
from service.tables import Table, about, table_of
from service.views import View

Value = Literal["share", "power"]
Measures = Annotated[
    str | None,
    QueryParameter(description="Names of measures, separated by commas."),
]


def _measures(view: View, asked: str | None) -> tuple[str, ...]:
    """The measures to show. Raises InvalidInput for one that no checkpoint of the run has."""
    if asked is None:
        return ROW_MEASURES
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
    **offering(TABLE, OF_A_RUN, "keys"),
)
async def get_trajectory(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    measures: Measures = None,
    from_step: FromStep = None,
    to_step: ToStep = None,
    format_: FormatQuery = None,
) -> Response[TrajectoryAnswer]:
    """One row for every checkpoint, not paged: its step and its measures."""
    view = asked_of(request).view
    names = _measures(view, measures)
    rows: list[dict[str, Measure]] = [
        {"step": c.step, **{name: view.measure(c.step, name) for name in names}}
        for c in between(view, from_step, to_step)
    ]
    answer = TrajectoryAnswer(run, view.provisional, view.keys, rows)
    columns = {"step": int, **{name: _kind(rows, name) for name in names}}
    return await respond(request, answer, table_of(answer, "trajectory", columns))


def _kind(rows: list[dict[str, Measure]], name: str) -> Any:
    """The type of a measure's column: a number, or one for each key frequency."""
    return dict[str, float] if any(isinstance(row[name], dict) for row in rows) else float


def _values(row: SpectrumRow, value: Value) -> list[float | None]:
    found = row.power if value == "power" else shares(row.power)
    return [None] * len(row.power) if found is None else list(map(float, found))


@get(
    "/runs/{run:str}/spectra",
    summary="Spectra over a run",
    tags=["runs"],
    **offering(TABLE_OF_NUMBERS, OF_A_RUN, "keys"),
)
async def get_spectra(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    of: Annotated[Literal["embedding"], QueryParameter(description="The matrix.")] = "embedding",
    value: Annotated[Value, QueryParameter(description="What each entry is.")] = "share",
    format_: FormatQuery = None,
) -> Response[SpectraAnswer]:
    """The embedding's spectrum at every checkpoint, as it was stored at publication.

    As a table it has a column for each frequency; as npy it is (checkpoints, frequencies).
    """
    view = asked_of(request).view
    basis = basis_of(task_of(view.manifest))
    rows = [
        SpectraRow(c.step, _values(c.spectrum, value))
        for c in view.checkpoints.values()
        if c.spectrum is not None
    ]
    parts = (
        frequencies(basis.order).tolist()
        if basis.cyclic
        else [irrep.label for irrep in irreps()[1:]]  # the trivial one is the constant
    )
    answer = SpectraAnswer(run, of, value, describe_basis(basis), parts, rows)
    names = list(map(str, parts))
    columns = {"step": int, **dict.fromkeys(names, float)}
    wide = [{"step": r.step, **dict(zip(names, r.values, strict=True))} for r in rows]
    values = np.array([r.values for r in rows], dtype=np.float64).reshape(-1, len(parts))
    return await respond(request, answer, Table(columns, wide, about(answer, "spectra")), values)
