"""Where the residues lie at every checkpoint of a run: the plane of one frequency."""

from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np
from litestar import Response, get
from numpy.typing import NDArray

from grokprobe.analysis.basis import Basis, basis_of, check_cyclic
from grokprobe.analysis.coordinates import check_frequency, strongest_plane
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.series.plane import read_plane
from grokprobe.store.records import CheckpointManifest, task_of
from service.context import FromContext
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import Float32, columns_of, table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, OfVectors, PlaneFrequency, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.v1.basis import BasisAnswer, describe_basis
from service.v1.run.matrices import NUMBER_BYTES, Matrices


class CoordinatesRow(msgspec.Struct):
    """One checkpoint in the plane; `x[i]` and `y[i]` belong to `residues[i]`."""

    step: int
    radius: Float32
    r_squared: Float32 | None
    explained_share: Float32 | None
    x: list[Float32]
    y: list[Float32]


class CoordinatesAnswer(msgspec.Struct):
    """The residues in the plane of one frequency, at every checkpoint."""

    run: str
    provisional: bool  # the run goes on: a default frequency is its latest checkpoint's
    of: str
    basis: BasisAnswer
    frequency: int | None
    residues: list[int]
    coordinates: list[CoordinatesRow]


class KeptPlane(msgspec.Struct):
    """A checkpoint's plane as it is kept: `points` are float32, (n, 2)."""

    radius: float
    r_squared: float | None
    explained_share: float | None
    points: bytes


@get(
    "/runs/{run:str}/coordinates",
    summary="Residues over a run",
    tags=["runs"],
    **offering(TABLE_OF_NUMBERS, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_coordinates(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    of: OfVectors = "embedding",
    frequency: PlaneFrequency = None,
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[CoordinatesAnswer]:
    """The residues in the plane of a frequency at every checkpoint, in float32.

    By default the frequency is the strongest of the run's last checkpoint. As a table it has a row
    for each checkpoint; as npy it is (checkpoints, residues, 2).
    """
    view = request.target.view
    basis = basis_of(task_of(view.manifest))
    _check(basis, frequency)
    checkpoints = view.between(from_step, to_step)
    last = [view.latest] if frequency is None and view.latest else []
    series, wanted = Matrices(context, view, basis, of), [*checkpoints, *last]
    series.check(wanted)
    need = series.reading_bytes(wanted) + NUMBER_BYTES * len(checkpoints) * (4 + 2 * basis.order)
    what = f"coordinates of {len(checkpoints)} steps"
    with context.inference.permit():
        async with context.inference.memory.reserve(need, what):
            for checkpoint in last:
                frequency = await series.one(checkpoint, "strongest_plane", int, _strongest)
            known_as, keep = f"plane:{frequency}", partial(_kept, frequency or 1)
            planes = await series.each(request, checkpoints, known_as, KeptPlane, keep)
            points = np.array([_points(plane) for plane in planes], np.float32)
            points = points.reshape(-1, basis.order, 2)
            answer = CoordinatesAnswer(
                run,
                view.provisional,
                of,
                describe_basis(basis),
                frequency,
                basis.residues.tolist(),
                _rows(checkpoints, planes, points),
            )
            table = table_of(answer, "coordinates", columns_of(CoordinatesRow))
            return await respond(request.reply, answer, table, points, apart=True)


def _check(basis: Basis, frequency: int | None) -> None:
    """Raise InvalidInput unless there is a plane of the frequency, or of any."""
    check_cyclic(basis, "frequency")
    check_frequency(1 if frequency is None else frequency, basis.order)


def _strongest(M: Array) -> int:
    found = strongest_plane(M)
    assert found, "a group with a plane has a strongest one"
    return found


def _kept(frequency: int, M: Array) -> KeptPlane:
    found = read_plane(M, frequency)
    return KeptPlane(found.radius, found.r_squared, found.explained_share, found.points.tobytes())


def _points(plane: KeptPlane) -> NDArray[np.float32]:
    return np.frombuffer(plane.points, np.float32).reshape(-1, 2)


def _rows(
    checkpoints: Sequence[CheckpointManifest],
    planes: Sequence[KeptPlane],
    points: NDArray[np.float32],
) -> list[CoordinatesRow]:
    x, y = points[..., 0].tolist(), points[..., 1].tolist()
    return [
        CoordinatesRow(
            checkpoint.step, plane.radius, plane.r_squared, plane.explained_share, x[i], y[i]
        )
        for i, (checkpoint, plane) in enumerate(zip(checkpoints, planes, strict=True))
    ]
