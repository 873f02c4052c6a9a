"""Which frequencies a checkpoint uses."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.fourier import Array, Spectrum, frequencies, spectrum
from grokprobe.analysis.groups import Basis, basis_of
from grokprobe.analysis.logits import cube, logit_matrix
from grokprobe.analysis.nulls import Null, spectrum_null
from grokprobe.errors import InvalidInput
from grokprobe.task import pairs
from service.checkpoints import Checkpoint
from service.context import Context, FromContext, open_checkpoint
from service.formats import FormatQuery, respond, table
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath
from service.routes.embedding import describe_basis
from service.schemas.probes import Of, SpectrumAnswer, SpectrumRowAnswer

MAX_PERMUTATIONS = 10_000
COLUMNS = SpectrumRowAnswer.__struct_fields__

OfMatrix = Annotated[Of, QueryParameter(description="The matrix whose spectrum is wanted.")]
Permutations = Annotated[
    int,
    QueryParameter(ge=0, le=MAX_PERMUTATIONS, description="Draws of the null; 0 for none."),
]
Seed = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="Seed of the null's draws.")]


def _rows(found: Spectrum) -> list[SpectrumRowAnswer]:
    shares = [None] * len(found.power) if found.share is None else found.share.tolist()
    columns = (found.power, found.cosine_norm, found.sine_norm)
    has_sine = (found.order - 1) // 2
    return [
        SpectrumRowAnswer(k, power, share, cosine, sine if k <= has_sine else None, None)
        for k, share, power, cosine, sine in zip(
            frequencies(found.order).tolist(), shares, *(c.tolist() for c in columns), strict=True
        )
    ]


def answer_spectrum(
    run: str, step: int, of: str, basis: Basis, found: Spectrum, null: Null | None
) -> SpectrumAnswer:
    """The JSON of a spectrum and its null."""
    return SpectrumAnswer(
        run=run,
        step=step,
        of=of,
        basis=describe_basis(basis),
        constant_power=found.constant_power,
        total_power=found.total_power,
        gini=found.gini,
        gini_frequencies=found.gini_frequencies,
        ipr=found.ipr,
        key_frequencies=None,
        key_rule=None,
        null=null,
        spectrum=_rows(found),
    )


async def _matrix(context: Context, checkpoint: Checkpoint, basis: Basis, of: Of) -> Array:
    """The matrix whose spectrum is wanted, rows in group order. Raises InvalidInput."""
    if of != "logits":
        return basis.rows(checkpoint.matrix(of))
    direction = basis.direction
    if direction is None:
        raise InvalidInput("of", "logits have a spectrum only where the operation has a group")
    grid = pairs(checkpoint.table.task.modulus)
    (logits,) = await context.inference.outputs(checkpoint, ["logits"], grid)
    return await context.inference.apart(lambda: logit_matrix(cube(logits, basis), direction))


@get(
    "/runs/{run:str}/checkpoints/{step:str}/spectrum",
    summary="The Fourier spectrum",
    tags=["checkpoints"],
    responses=OF_A_CHECKPOINT,
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
) -> Response[SpectrumAnswer]:
    """The spectrum in the basis of the run's operation; `null=200` adds the permutation null."""
    with context.inference.permit():
        opened = await open_checkpoint(context, request, run, step)
        basis = basis_of(opened.checkpoint.table.task)
        M = await _matrix(context, opened.checkpoint, basis, of)
        against = (
            await context.inference.apart(lambda: spectrum_null(M, null, seed)) if null else None
        )
    answer = answer_spectrum(run, opened.step, of, basis, spectrum(M), against)
    return respond(request, format_, table(answer, "spectrum", COLUMNS), opened.headers)
