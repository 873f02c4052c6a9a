"""Where the residues lie: projections of a checkpoint's embedding, and the circle report."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis import coordinates
from grokprobe.analysis.basis import basis_of, check_cyclic
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.nulls import SMALLEST_ORDER, Null, circle_null
from grokprobe.errors import InvalidInput
from service.charts import drawing
from service.charts.circle import circle as chart_of
from service.context import FromContext
from service.formats.pictures import PICTURES
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import table_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import OfVectors, PlaneFrequency, RunPath
from service.http.preconditions import SettledRequest
from service.http.target import open_checkpoint
from service.v1.basis import BasisAnswer, describe_basis

Projection = Literal["frequency", "pca", "raw"]


class CircleNull(msgspec.Struct):
    """r_squared of the same matrix with its rows permuted, each draw at its own best frequency."""

    permutations: int
    mean: float
    max: float
    p_value: float
    seed: int


class CircleAnswer(msgspec.Struct):
    """How well the residues lie on a circle; angles in radians; never without its null."""

    radius: float
    radius_cv: float | None
    winding: int | None
    phase: float | None
    angle_error_rms: float | None
    r_squared: float | None
    axis_cosine: float | None
    null: CircleNull | None
    note: str | None


class EmbeddingAnswer(msgspec.Struct):
    """Coordinates of the residues: x, y (, z) in up to three dimensions, x0, x1, ... beyond."""

    run: str
    step: int
    of: str
    basis: BasisAnswer
    projection: str
    frequency: int | None
    explained_share: float | None
    circle: CircleAnswer | None
    coordinates: list[dict[str, float]]


AXES = "xyz"
# A null whose best draw comes this close to a perfect circle cannot tell one from noise.
BLIND = 0.95

Dimensions = Annotated[
    int | None,
    QueryParameter(ge=1, description="Columns of coordinates: 2 by default, all for `raw`."),
]


Lines = Annotated[
    int,
    QueryParameter(ge=0, description="In a picture, join each residue i to i + lines; 0: none."),
]


def project(M: Array, projection: str, frequency: int, dimensions: int | None) -> Array:
    """Coordinates (order, dimensions) of M (order, width). Raises InvalidInput."""
    if projection == "frequency":
        if dimensions not in (None, 2):
            raise InvalidInput("dimensions", f"the plane of a frequency has 2, got {dimensions}")
        return coordinates.frequency_plane(M, frequency)
    if projection == "pca":
        return coordinates.principal_components(M, dimensions or 2)
    if dimensions is not None and dimensions > M.shape[1]:
        raise InvalidInput("dimensions", f"must be 1..{M.shape[1]}, got {dimensions}")
    return M[:, :dimensions]


def _note(null: Null | None) -> str | None:
    if null is None:
        return "no null: too few residues to tell a circle from noise"
    if null.max > BLIND:
        return (
            f"permuted rows reach r_squared {null.max:.2f}: with these many dimensions per "
            "residue a circle here says nothing"
        )
    return None


def report_circle(M: Array, frequency: int) -> CircleAnswer:
    """The circle report of M (order, width) at a frequency, beside its permutation null."""
    null = circle_null(M, frequency) if len(M) >= SMALLEST_ORDER else None
    return CircleAnswer(
        **asdict(coordinates.circle(M, frequency)),
        null=CircleNull(null.permutations, null.mean, null.max, null.p_value, null.seed)
        if null
        else None,
        note=_note(null),
    )


def _rows(residues: list[int], points: Array) -> list[dict[str, float]]:
    width = points.shape[1]
    names = AXES[:width] if width <= len(AXES) else [f"x{i}" for i in range(width)]
    return [
        {"residue": residue, **dict(zip(names, row, strict=True))}
        for residue, row in zip(residues, points.tolist(), strict=True)
    ]


@get(
    "/runs/{run:str}/checkpoints/{step:str}/embedding",
    summary="Coordinates of the residues",
    tags=["checkpoints"],
    **offering((*TABLE_OF_NUMBERS, *PICTURES), OF_A_CHECKPOINT, "checkpoint"),
)
async def get_embedding(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    of: OfVectors = "embedding",
    projection: Annotated[Projection, QueryParameter(description="The projection.")] = "frequency",
    frequency: PlaneFrequency = None,
    dimensions: Dimensions = None,
    lines: Lines = 0,
) -> Response[EmbeddingAnswer]:
    """A projection of the embedding, rows in the order of the operation's group.

    The circle report comes with the frequency projection, and with the others where a frequency
    is given. Residues that the group leaves out (0 in multiplication) have no row.
    """
    with context.inference.permit():
        opened = await open_checkpoint(context, request.target)
        basis = basis_of(opened.checkpoint.table.task)
        M = basis.rows(await context.inference.matrix(opened.checkpoint, of))
        wanted = projection == "frequency" or frequency is not None
        if wanted:
            check_cyclic(basis, "projection", "; choose pca or raw")
        used = (frequency or _strongest_plane(M)) if wanted else None
        points = project(M, projection, used or 0, dimensions)
        circle = (
            await context.derived.get(
                opened.checkpoint.identity,
                f"circle:{of}:{used}",
                CircleAnswer,
                lambda: context.inference.apart(lambda: report_circle(M, used)),
            )
            if used is not None
            else None
        )
    answer = EmbeddingAnswer(
        run,
        opened.step,
        of,
        describe_basis(basis),
        projection,
        used,
        coordinates.explained_share(points, M),
        circle,
        _rows(basis.residues.tolist(), points),
    )
    names = list(answer.coordinates[0])
    columns = dict.fromkeys(names, float) | {"residue": int}
    table, chart = table_of(answer, "coordinates", columns), partial(chart_of, lines=lines)
    return await drawing.respond(context, request, answer, table, points, chart=chart)


def _strongest_plane(M: Array) -> int:
    """The frequency that is meant where none is named. Raises InvalidInput."""
    found = coordinates.strongest_plane(M)
    if found is None:
        raise InvalidInput("projection", "a group of order 2 has no plane; choose pca or raw")
    return found
