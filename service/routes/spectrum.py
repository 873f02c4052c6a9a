"""Which frequencies a checkpoint uses."""

from typing import Annotated, Any

import numpy as np
from litestar import Request, Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.fourier import Array, Powers, Spectrum, frequencies
from grokprobe.analysis.groups import Basis, basis_of
from grokprobe.analysis.irreps import IrrepSpectrum
from grokprobe.analysis.logits import cube, logit_matrix
from grokprobe.analysis.nulls import Null
from grokprobe.analysis.spectra import null_of, spectrum_of
from grokprobe.errors import InvalidInput
from grokprobe.store.manifest import KeyRecord
from service.answers import respond
from service.checkpoints import Checkpoint
from service.context import Context, FromContext, Opened, open_checkpoint
from service.formats import TABLE, FormatQuery
from service.routes import OF_A_CHECKPOINT, Permutations, RunPath, Seed, StepPath, offering
from service.routes.embedding import describe_basis
from service.schemas.probes import (
    IrrepRowAnswer,
    IrrepSpectrumAnswer,
    Of,
    SpectrumAnswer,
    SpectrumRowAnswer,
)
from service.tables import columns_of, table_of

OfMatrix = Annotated[Of, QueryParameter(description="The matrix whose spectrum is wanted.")]


def _rows(found: Spectrum, keys: KeyRecord | None) -> list[SpectrumRowAnswer]:
    has_sine = (found.order - 1) // 2
    columns = (found.power.tolist(), found.cosine_norm.tolist(), found.sine_norm.tolist())
    return [
        SpectrumRowAnswer(
            k,
            power,
            share,
            cosine,
            sine if k <= has_sine else None,
            k in keys.frequencies if keys else None,
        )
        for k, share, power, cosine, sine in zip(
            frequencies(found.order).tolist(), _shares(found), *columns, strict=True
        )
    ]


def _irrep_rows(found: IrrepSpectrum) -> list[IrrepRowAnswer]:
    columns = (found.labels, found.dimensions, found.power.tolist(), _shares(found))
    return [IrrepRowAnswer(*row) for row in zip(*columns, strict=True)]


def _shares(found: Powers) -> list[float | None]:
    return [None] * len(found.power) if found.share is None else list(found.share.tolist())


def answer_spectrum(
    opened: Opened, of: str, basis: Basis, found: Spectrum | IrrepSpectrum, null: Null | None
) -> SpectrumAnswer | IrrepSpectrumAnswer:
    """The JSON of a spectrum and its null."""
    keys = opened.view.keys
    figures: dict[str, Any] = {
        "run": opened.view.manifest.run,
        "step": opened.step,
        "of": of,
        "basis": describe_basis(basis),
        "constant_power": found.constant_power,
        "total_power": found.total_power,
        "gini": found.gini if isinstance(found, Spectrum) else None,
        "gini_frequencies": found.gini_frequencies,
        "ipr": found.ipr,
        "key_frequencies": keys.frequencies if keys else None,
        "key_rule": keys.rule if keys else None,
        "provisional": opened.view.provisional,
        "null": null,
    }
    if isinstance(found, IrrepSpectrum):
        return IrrepSpectrumAnswer(**figures, spectrum=_irrep_rows(found))
    return SpectrumAnswer(**figures, spectrum=_rows(found, keys))


async def _matrix(context: Context, checkpoint: Checkpoint, basis: Basis, of: Of) -> Array:
    """The matrix whose spectrum is wanted, rows in group order. Raises InvalidInput."""
    if of != "logits":
        return basis.rows(checkpoint.matrix(of))
    direction = basis.direction
    if direction is None:
        raise InvalidInput(
            "of", "logits have a spectrum only where the operation has a cyclic group"
        )

    async def compute() -> list[float]:
        (logits,) = await context.inference.grid(checkpoint, ["logits"])
        found = await context.inference.apart(lambda: logit_matrix(cube(logits, basis), direction))
        return list(found[:, 0].tolist())

    column = await context.derived.get(checkpoint, "logit_matrix", list[float], compute)
    return np.array(column)[:, None]


@get(
    "/runs/{run:str}/checkpoints/{step:str}/spectrum",
    summary="The Fourier spectrum",
    tags=["checkpoints"],
    **offering(TABLE, OF_A_CHECKPOINT, "keys"),
)
async def get_spectrum(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    of: OfMatrix = "embedding",
    null: Permutations = 0,
    seed: Seed = 0,
    format_: FormatQuery = None,
) -> Response[SpectrumAnswer | IrrepSpectrumAnswer]:
    """The spectrum in the basis of the run's operation; `null=200` adds the permutation null."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request)
        basis = basis_of(opened.checkpoint.table.task)
        M = await _matrix(context, opened.checkpoint, basis, of)
        against = (
            await context.derived.get(
                opened.checkpoint,
                f"null:{of}:{null}:{seed}",
                Null | None,
                lambda: context.inference.apart(lambda: null_of(basis, M, null, seed)),
            )
            if null
            else None
        )
    answer = answer_spectrum(opened, of, basis, spectrum_of(basis, M), against)
    columns = columns_of(SpectrumRowAnswer if basis.cyclic else IrrepRowAnswer)
    return await respond(request, answer, table_of(answer, "spectrum", columns))
