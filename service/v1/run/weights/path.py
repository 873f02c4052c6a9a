"""The path of a run's weights in its principal components."""

from typing import Annotated

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.series.path import WINDOW, random_walk_shares, read_edges, read_path
from grokprobe.analysis.series.rounding import single, singles
from grokprobe.store.records import sha256
from service.context import Context, FromContext
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import Float32, columns_of, table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.runs.view import checkpoint_identity
from service.v1.run.matrices import NUMBER_BYTES
from service.v1.run.weights.products import UpdateProducts

MOST = 10  # components

Components = Annotated[
    int, QueryParameter(ge=1, le=MOST, description="How many principal components.")
]


class PathRow(msgspec.Struct):
    """One checkpoint; `edge` is of the last `window` updates up to it, null before so many."""

    step: int
    coordinates: list[Float32 | None]
    edge: int | None
    edge_ratio: Float32 | None


class PathAnswer(msgspec.Struct):
    """The path of all weights, as one vector, in its first principal components."""

    run: str
    provisional: bool  # the run goes on: another checkpoint turns the components
    components: int
    window: int
    explained_shares: list[Float32] | None
    random_walk_shares: list[Float32] | None
    path: list[PathRow]


class KeptPath(msgspec.Struct):
    """What is kept: all components that may be asked for, (checkpoints, MOST) in float32."""

    coordinates: bytes
    explained_shares: list[Float32] | None
    random_walk_shares: list[Float32] | None
    edges: list[int | None]
    ratios: list[float | None]


@get(
    "/runs/{run:str}/path",
    summary="The path of a run's weights in its principal components",
    tags=["runs"],
    **offering(TABLE_OF_NUMBERS, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_path(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    components: Components = 3,
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[PathAnswer]:
    """All weights of each checkpoint as one vector, centred over the checkpoints chosen.

    Beside the shares that the components explain stand those of a random walk, whose path looks
    alike. What takes longer than a request may is 503: ask again. As npy it is (checkpoints,
    components) in float32.
    """
    view = request.target.view
    checkpoints = view.between(from_step, to_step)
    products = UpdateProducts(context, view, checkpoints)
    need = products.need + NUMBER_BYTES * len(checkpoints) * (2 + MOST)
    what = f"the path of {len(checkpoints)} steps"
    async with context.inference.memory.reserve(need, what):
        with context.inference.permit():
            kept = await _kept(context, request, products, [c.step for c in checkpoints])
        points = np.frombuffer(kept.coordinates, np.float32).reshape(-1, MOST)[:, :components]
        answer = PathAnswer(
            run,
            view.provisional,
            components,
            WINDOW,
            kept.explained_shares and kept.explained_shares[:components],
            kept.random_walk_shares and kept.random_walk_shares[:components],
            [
                PathRow(checkpoint.step, row, edge, ratio)
                for checkpoint, row, edge, ratio in zip(
                    checkpoints, _known(points), kept.edges, kept.ratios, strict=True
                )
            ],
        )
        table = table_of(answer, "path", columns_of(PathRow))
        return await respond(request.reply, answer, table, points, apart=True)


async def _kept(
    context: Context, request: SettledRequest, products: UpdateProducts, steps: list[int]
) -> KeptPath:
    view, every = request.target.view, await products.all(request)

    async def compute() -> KeptPath:
        return await context.inference.aside(lambda: _read(every, steps))

    known = (f"{s} {checkpoint_identity(view.identity, view.checkpoints[s])}" for s in steps)
    path: KeptPath = await context.derived.get(
        sha256(" ".join(known).encode()), "path", KeptPath, compute
    )
    return path


def _read(products: Array, steps: list[int]) -> KeptPath:
    if not steps:
        return KeptPath(b"", None, None, [], [])
    found, walk = read_path(products, MOST), random_walk_shares(steps, MOST)
    edges = read_edges(products)
    before = [None] * (len(steps) - len(edges))
    return KeptPath(
        singles(found.coordinates).tobytes(),
        None if found.shares is None else singles(found.shares).tolist(),
        None if walk is None else singles(walk).tolist(),
        [*before, *(one.position for one in edges)],
        [*before, *(None if one.ratio is None else single(one.ratio) for one in edges)],
    )


def _known(points: NDArray[np.float32]) -> list[list[float | None]]:
    """The points as lists, None for what is beyond the numbers of float64."""
    return [[x if np.isfinite(x) else None for x in row] for row in points.tolist()]
