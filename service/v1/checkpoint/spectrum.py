"""Which frequencies a checkpoint uses."""

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.basis import Basis, basis_of, natural_basis
from grokprobe.analysis.fourier import Array, Powers, Spectrum, frequencies
from grokprobe.analysis.irreps import IrrepSpectrum
from grokprobe.analysis.nulls import Null
from grokprobe.analysis.spectra import Statistic, null_of, spectrum_of
from grokprobe.errors import InvalidInput
from grokprobe.store.records import KeyRecord
from service.charts import drawing
from service.charts.spectrum import spectrum
from service.context import Context, FromContext
from service.formats.pictures import PICTURES
from service.formats.registry import TABLE
from service.formats.tables import columns_of, table_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import Permutations, SeedQuery, Vectors
from service.http.preconditions import SettledRequest
from service.http.target import Opened, open_checkpoint
from service.inference.checkpoints import Checkpoint
from service.v1.basis import BasisAnswer, describe_basis
from service.v1.probing import open_probe

Of = Literal[Vectors, "neuron_logit_map", "logits"]


class SpectrumRowAnswer(msgspec.Struct):
    """One frequency; `sine_norm` is null where the basis has no sine (Nyquist)."""

    frequency: int
    power: float
    share: float | None
    cosine_norm: float
    sine_norm: float | None
    key: bool | None


class IrrepRowAnswer(msgspec.Struct):
    """One irreducible representation of S_5 by its partition; noise has the share d^2/119."""

    irrep: str
    dimension: int
    power: float
    share: float | None


class SpectrumFigures(msgspec.Struct):
    """What a spectrum has in any basis; total_power = ||M||_F^2 = constant_power + all power."""

    run: str
    step: int
    of: str
    basis: BasisAnswer
    constant_power: float
    total_power: float
    gini: float | None
    gini_frequencies: float | None
    ipr: float | None
    key_frequencies: list[int] | None
    key_rule: str | None
    provisional: bool  # the run goes on: its keys are its latest checkpoint's
    null: Null | None


class SpectrumAnswer(SpectrumFigures):
    """The Fourier spectrum of a matrix, by frequency."""

    spectrum: list[SpectrumRowAnswer]


class IrrepSpectrumAnswer(SpectrumFigures):
    """The spectrum of a matrix over S_5, by irreducible representation."""

    spectrum: list[IrrepRowAnswer]


OfMatrix = Annotated[Of, QueryParameter(description="The matrix whose spectrum is wanted.")]
BasisQuery = Annotated[
    Literal["operation", "natural"],
    QueryParameter(description="The operation's, or the frequencies of residues as they stand."),
]
StatisticQuery = Annotated[Statistic, QueryParameter(description="What the null compares.")]


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
    named, own = describe_basis(basis), basis_of(opened.checkpoint.table.task)
    keys = opened.view.keys if named == describe_basis(own) else None  # they are of its basis
    figures: dict[str, Any] = {
        "run": opened.view.manifest.run,
        "step": opened.step,
        "of": of,
        "basis": named,
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
        return basis.rows(await context.inference.matrix(checkpoint, of))
    if basis.direction is None:
        raise InvalidInput(
            "of", "logits have a spectrum only where the operation has a cyclic group"
        )

    async def compute() -> list[float]:
        async with open_probe(context, checkpoint, ("sums",)) as analyse:
            found = await analyse(lambda probe: probe.sums and probe.sums.matrix)
        return list(found[:, 0].tolist())

    column = await context.derived.get(checkpoint.identity, "logit_matrix", list[float], compute)
    return np.array(column)[:, None]


@get(
    "/runs/{run:str}/checkpoints/{step:str}/spectrum",
    summary="The Fourier spectrum",
    tags=["checkpoints"],
    **offering((*TABLE, *PICTURES), OF_A_CHECKPOINT, "keys"),
)
async def get_spectrum(
    request: SettledRequest,
    context: FromContext,
    of: OfMatrix = "embedding",
    basis: BasisQuery = "operation",
    null: Permutations = 0,
    statistic: StatisticQuery = "gini_frequencies",
    seed: SeedQuery = 0,
) -> Response[SpectrumAnswer | IrrepSpectrumAnswer]:
    """The spectrum in the basis of the run's operation; `null=200` adds the permutation null."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request.target)
        chosen = (natural_basis if basis == "natural" else basis_of)(opened.checkpoint.table.task)
        M = await _matrix(context, opened.checkpoint, chosen, of)
        against = (
            await context.derived.get(
                opened.checkpoint.identity,
                f"null:{of}:{basis}:{statistic}:{null}:{seed}",
                Null | None,
                lambda: context.inference.apart(lambda: null_of(chosen, M, null, seed, statistic)),
            )
            if null
            else None
        )
    answer = answer_spectrum(opened, of, chosen, spectrum_of(chosen, M), against)
    columns = columns_of(SpectrumRowAnswer if chosen.cyclic else IrrepRowAnswer)
    table = table_of(answer, "spectrum", columns)
    return await drawing.respond(context, request, answer, table, chart=spectrum)
