"""Which frequency each neuron computes with."""

import msgspec
from litestar import Response, get

from grokprobe.analysis.basis import Basis, basis_of, check_cyclic
from grokprobe.analysis.neurons import Neurons
from service.context import FromContext
from service.formats.registry import TABLE
from service.formats.tables import columns_of, table_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.http.target import open_checkpoint
from service.v1.basis import BasisAnswer, describe_basis
from service.v1.probing import open_probe


class NeuronRow(msgspec.Struct):
    """A neuron's strongest frequency, null where it is dead, and the share that it explains."""

    neuron: int
    frequency: int | None
    fve: float


class Cluster(msgspec.Struct):
    """How many neurons compute with a frequency, fve at least 0.85."""

    frequency: int
    neurons: int


class NeuronsAnswer(msgspec.Struct):
    """Each neuron over all pairs of the group; `unclustered` counts live neurons."""

    run: str
    step: int
    basis: BasisAnswer
    neurons: list[NeuronRow]
    clusters: list[Cluster]
    unclustered: int
    dead: int


@get(
    "/runs/{run:str}/checkpoints/{step:str}/neurons",
    summary="Frequencies of the neurons",
    tags=["checkpoints"],
    **offering(TABLE, OF_A_CHECKPOINT, "checkpoint"),
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
        task = opened.checkpoint.table.task
        basis = basis_of(task)
        check_cyclic(basis, "neurons")
        opened.checkpoint.check(["neurons"])

        async def compute() -> NeuronsAnswer:
            async with open_probe(context, opened.checkpoint, ("neurons",)) as analyse:
                found = await analyse(lambda probe: probe.read_neurons)
            return _answer(run, opened.step, basis, found)

        answer = await context.derived.get(
            opened.checkpoint.identity, "neurons", NeuronsAnswer, compute
        )
    return await respond(request.reply, answer, table_of(answer, "neurons", columns_of(NeuronRow)))


def _answer(run: str, step: int, basis: Basis, found: Neurons) -> NeuronsAnswer:
    columns = zip(found.frequency.tolist(), found.fve.tolist(), found.dead.tolist(), strict=True)
    return NeuronsAnswer(
        run=run,
        step=step,
        basis=describe_basis(basis),
        neurons=[
            NeuronRow(neuron, None if dead else frequency, fve)
            for neuron, (frequency, fve, dead) in enumerate(columns)
        ],
        clusters=[Cluster(frequency, count) for frequency, count in found.clusters.items()],
        unclustered=found.live - int(found.clustered.sum()),
        dead=int(found.dead.sum()),
    )
