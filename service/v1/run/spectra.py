"""The embedding's spectrum at every checkpoint of a run."""

from functools import partial
from typing import Annotated, Literal

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.fourier import frequencies, shares
from grokprobe.analysis.irreps import irreps
from grokprobe.store.records import SpectrumRow, task_of
from service.charts import drawing
from service.charts.run.spectra import spectra
from service.context import FromContext
from service.formats.pictures import PICTURES
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import Table, about
from service.http.openapi import OF_A_RUN, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.v1.basis import BasisAnswer, describe_basis

Value = Literal["share", "power"]


class SpectraRow(msgspec.Struct):
    """One checkpoint's spectrum; `values[i]` belongs to `frequencies[i]` (s5: an irrep)."""

    step: int
    values: list[float | None]


class SpectraAnswer(msgspec.Struct):
    """The spectrum of the embedding at every checkpoint."""

    run: str
    of: str
    value: str
    basis: BasisAnswer
    frequencies: list[int | str]
    spectra: list[SpectraRow]


def _values(row: SpectrumRow, value: Value) -> list[float | None]:
    found = row.power if value == "power" else shares(row.power)
    return [None] * len(row.power) if found is None else list(map(float, found))


@get(
    "/runs/{run:str}/spectra",
    summary="Spectra over a run",
    tags=["runs"],
    **offering((*TABLE_OF_NUMBERS, *PICTURES), OF_A_RUN, "keys"),
)
async def get_spectra(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    of: Annotated[Literal["embedding"], QueryParameter(description="The matrix.")] = "embedding",
    value: Annotated[Value, QueryParameter(description="What each entry is.")] = "share",
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[SpectraAnswer]:
    """The embedding's spectrum at every checkpoint, as it was stored at publication.

    As a table it has a column for each frequency; as npy it is (checkpoints, frequencies).
    """
    view = request.target.view
    basis = basis_of(task_of(view.manifest))
    rows = [
        SpectraRow(c.step, _values(c.spectrum, value))
        for c in view.between(from_step, to_step)
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
    table = Table(columns, wide, about(answer, "spectra"))
    keys = view.keys
    chart = partial(spectra, keys=keys.frequencies if keys else ())
    rule = drawing.by_rule(keys.rule if keys else None, provisional=view.provisional)
    return await drawing.respond(context, request, answer, table, values, chart=chart, caption=rule)
