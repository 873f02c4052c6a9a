"""Which frequency each neuron computes with, and which waves it reads and writes there."""

import math
from collections import Counter

import msgspec
from litestar import Response, get

from grokprobe.analysis.basis import Basis, basis_of, check_cyclic
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.neurons import CLUSTERED
from grokprobe.analysis.series.neurons import Input
from service.charts import drawing
from service.charts.neurons import neurons
from service.context import FromContext
from service.formats.pictures import PICTURES
from service.formats.registry import TABLE
from service.formats.tables import columns_of, table_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest
from service.http.target import Opened, open_checkpoint
from service.v1.basis import BasisAnswer, describe_basis
from service.v1.probing import input_of, neurons_of


class NeuronRow(msgspec.Struct):
    """A neuron's strongest frequency, null where it is dead, the share that it explains, and the
    waves at it that it reads of the operands and writes: phases and how far they are from being
    aligned in radians, amplitudes; how much of what it reads, and of its variance, odd harmonics
    of its frequency make up. Null where there are none.
    """

    neuron: int
    frequency: int | None
    fve: float
    input_phase: float | None
    output_phase: float | None
    input_phase_b: float | None
    input_amplitude: float | None
    input_amplitude_b: float | None
    output_amplitude: float | None
    misalignment: float | None
    input_share_f: float | None
    input_share_3f: float | None
    input_share_5f: float | None
    fve_harmonics: float | None


class Cluster(msgspec.Struct):
    """How many neurons compute with a frequency, fve at least 0.85."""

    frequency: int
    neurons: int


class NeuronsAnswer(msgspec.Struct):
    """Each neuron over all pairs of the group; `unclustered` counts live neurons."""

    run: str
    step: int
    basis: BasisAnswer
    input_phase_of: Input
    neurons: list[NeuronRow]
    clusters: list[Cluster]
    unclustered: int
    dead: int


@get(
    "/runs/{run:str}/checkpoints/{step:str}/neurons",
    summary="Frequencies of the neurons",
    tags=["checkpoints"],
    **offering((*TABLE, *PICTURES), OF_A_CHECKPOINT, "checkpoint"),
)
async def get_neurons(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
) -> Response[NeuronsAnswer]:
    """Each neuron's strongest frequency over all pairs of the operation's group, and the clusters.

    Pairs that the group leaves out (with 0, in multiplication) are left out.
    """
    with context.inference.permit():
        opened = await open_checkpoint(context, request.target)
        basis = basis_of(opened.checkpoint.table.task)
        check_cyclic(basis, "neurons")
        opened.checkpoint.check(["neurons"])
        found = await neurons_of(context, opened.view, opened.step)
    answer = _answer(run, opened, basis, found)
    table = table_of(answer, "neurons", columns_of(NeuronRow))
    return await drawing.respond(context, request, answer, table, chart=neurons)


def _answer(run: str, opened: Opened, basis: Basis, found: Array) -> NeuronsAnswer:
    rows = [
        NeuronRow(neuron, int(frequency) or None, fve, *map(_known, waves))
        for neuron, (frequency, fve, *waves) in enumerate(found.tolist())
    ]
    clustered = Counter(row.frequency for row in rows if row.frequency and row.fve >= CLUSTERED)
    dead = sum(row.frequency is None for row in rows)
    return NeuronsAnswer(
        run=run,
        step=opened.step,
        basis=describe_basis(basis),
        input_phase_of=input_of(opened.view, opened.step),
        neurons=rows,
        clusters=[Cluster(*one) for one in sorted(clustered.items())],
        unclustered=len(rows) - dead - clustered.total(),
        dead=dead,
    )


def _known(figure: float) -> float | None:
    return None if math.isnan(figure) else figure
