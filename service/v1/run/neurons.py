"""Which frequency each neuron computes with, and its waves there, at every checkpoint."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from litestar import Response, get
from numpy.typing import NDArray

from grokprobe.analysis.basis import basis_of, check_cyclic
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.series.neurons import COLUMNS, Input
from grokprobe.analysis.series.rounding import singles
from grokprobe.errors import InvalidInput
from grokprobe.store.archive.objects import gather
from grokprobe.store.records import CheckpointManifest, task_of
from service.context import Context, FromContext
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import Float32, columns_of, table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.v1.basis import BasisAnswer, describe_basis
from service.v1.probing import input_of, neurons_of
from service.v1.run.matrices import NUMBER_BYTES, check_offered
from service.v1.run.progress import unfinished_after

AT_ONCE = 2  # checkpoints: one is loaded while the other is read, which takes the memory


class NeuronsOfStep(msgspec.Struct):
    """The neurons of a checkpoint, in their order; null is the frequency of a dead one."""

    step: int
    frequency: list[int | None]
    fve: list[Float32]
    input_phase: list[Float32 | None]
    output_phase: list[Float32 | None]
    input_phase_b: list[Float32 | None]
    input_amplitude: list[Float32 | None]
    input_amplitude_b: list[Float32 | None]
    output_amplitude: list[Float32 | None]
    misalignment: list[Float32 | None]
    input_share_f: list[Float32 | None]
    input_share_3f: list[Float32 | None]
    input_share_5f: list[Float32 | None]
    fve_harmonics: list[Float32 | None]


class NeuronSeriesAnswer(msgspec.Struct):
    """The neurons at every checkpoint."""

    run: str
    provisional: bool  # the run goes on: it may gain checkpoints
    basis: BasisAnswer
    input_phase_of: Input | None  # of the whole run; null where it is not the same throughout
    neurons: list[NeuronsOfStep]


@get(
    "/runs/{run:str}/neurons",
    summary="Neurons over a run",
    tags=["runs"],
    **offering(TABLE_OF_NUMBERS, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_neuron_series(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[NeuronSeriesAnswer]:
    """Each neuron's frequency, the share that it explains and its waves, at every checkpoint.

    Computed a checkpoint at a time and kept. As npy it is (checkpoints, neurons, columns) in
    float32, in the order of the lists, with 0 for no frequency and NaN for what is null.
    """
    view = request.target.view
    basis = basis_of(task_of(view.manifest))
    check_cyclic(basis, "neurons")
    checkpoints = view.between(from_step, to_step)
    check_offered(checkpoints, "neurons")
    found = await _each(context, request, checkpoints)
    inputs = {input_of(view, step) for step in view.checkpoints}
    _check_alike(checkpoints, found)
    need, what = NUMBER_BYTES * sum(map(np.size, found)), f"neurons of {len(found)} steps"
    with context.inference.permit():
        async with context.inference.memory.reserve(need, what):
            width = len(found[0]) if found else 0
            figures = singles(found).reshape(len(found), width, len(COLUMNS))
            rows = await context.inference.apart(lambda: _rows(checkpoints, figures))
            answer = NeuronSeriesAnswer(
                run,
                view.provisional,
                describe_basis(basis),
                inputs.pop() if len(inputs) == 1 else None,
                rows,
            )
            table = table_of(answer, "neurons", columns_of(NeuronsOfStep))
            return await respond(request.reply, answer, table, figures, apart=True)


async def _each(
    context: Context, request: SettledRequest, checkpoints: Sequence[CheckpointManifest]
) -> list[Array]:
    """The neurons of each checkpoint, (neurons, columns). Raises Overloaded, Unfinished."""
    turn, alone, view = asyncio.Semaphore(AT_ONCE), asyncio.Lock(), request.target.view
    async with unfinished_after(request, len(checkpoints), "read") as count:

        async def one(checkpoint: CheckpointManifest) -> Array:
            async with turn:
                with context.inference.permit():
                    found = await neurons_of(context, view, checkpoint.step, alone)
            count()
            return found

        return await gather(one, checkpoints)


def _check_alike(checkpoints: Sequence[CheckpointManifest], found: Sequence[Array]) -> None:
    """Raise InvalidInput where checkpoints, which others may have made, have other neurons."""
    for checkpoint, neurons in zip(checkpoints, found, strict=True):
        if len(neurons) != len(found[0]):
            raise InvalidInput(
                "to_step",
                f"step {checkpoint.step} has {len(neurons)} neurons, step {checkpoints[0].step} "
                f"has {len(found[0])}: ask for steps that have as many",
            )


def _rows(
    checkpoints: Sequence[CheckpointManifest], figures: NDArray[np.float32]
) -> list[NeuronsOfStep]:
    fve = figures[..., 1].tolist()
    frequency = _known(figures[..., 0].astype(np.int64), figures[..., 0] > 0)
    waves = [_known(of, ~np.isnan(of)) for of in np.moveaxis(figures[..., 2:], -1, 0)]
    return [
        NeuronsOfStep(checkpoint.step, *cells)
        for checkpoint, *cells in zip(checkpoints, frequency, fve, *waves, strict=True)
    ]


def _known(figures: NDArray[Any], known: NDArray[np.bool_]) -> list[list[float | None]]:
    """The figures as lists, None where they are not known."""
    figures = figures.astype(object)
    figures[~known] = None
    listed: list[list[float | None]] = figures.tolist()
    return listed
