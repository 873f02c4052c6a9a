"""Measures by request of a checkpoint: computed when they are asked for by name, and kept."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from grokprobe.analysis.measuring import requested
from grokprobe.analysis.measuring.definitions import Value
from grokprobe.analysis.measuring.requested import BY_REQUEST, Family, families
from grokprobe.analysis.needs import readout_bytes
from grokprobe.analysis.ranks import WeightMatrices
from grokprobe.errors import InvalidInput
from service.context import Context
from service.inference.checkpoints import Checkpoint
from service.inference.residual import has_residual
from service.inference.sweep import AHEAD, PART_PAIRS
from service.runs.view import RunView, checkpoint_identity
from service.v1.probing import Analyse, open_probe, probe_residual, weights_of

# Of a file: its bytes, its parameters, and one of them in float64 with what takes it apart.
COPIES = 6
READ_OUT = {"embedding", "neurons"}


def names_of(path: str, asked: str, view: RunView) -> tuple[str, ...]:
    """The measures that a request names, separated by commas, each once.

    Raises InvalidInput, at `path`, for one that no checkpoint of the run has.
    """
    known = sorted({*view.measure_names, *BY_REQUEST})
    names = tuple(dict.fromkeys(asked.split(",")))
    for name in names:
        if name not in known:
            raise InvalidInput(path, f"{name[:60]!r} is not one of {', '.join(known)}")
    return names


async def requested_measures(
    context: Context, view: RunView, step: int, names: Sequence[str]
) -> dict[str, Value]:
    """The measures of these names that are computed by request; the other names are left out.

    Raises CheckpointCorrupt, StoreUnavailable, NeverFits, MemoryBusy.
    """
    wanted = [name for name in names if name in BY_REQUEST]
    found: dict[str, Value] = {}
    for family in families(wanted):
        found |= await _family(context, view, step, family)
    return {name: found[name] for name in wanted}


async def _family(context: Context, view: RunView, step: int, family: Family) -> dict[str, Value]:
    """All measures of a family, computed once."""

    async def compute() -> dict[str, Value]:
        if requested.is_of_weights(family):
            return await _of_weights(context, view, step, family)
        return await _of_outputs(context, view, step, family)

    identity = checkpoint_identity(view.identity, view.checkpoints[step])
    what = f"requested:{','.join(family)}"
    return await context.derived.get(identity, what, dict[str, Value], compute)


async def _of_outputs(
    context: Context, view: RunView, step: int, family: Family
) -> dict[str, Value]:
    checkpoint = await context.checkpoints.get(view, step)
    async with context.inference.turns.turn(), _opened(context, checkpoint, family) as analyse:
        found: dict[str, Value] = await analyse(lambda probe: requested.of_outputs(family, probe))
    return found


def _opened(
    context: Context, checkpoint: Checkpoint, family: Family
) -> AbstractAsyncContextManager[Analyse]:
    if "residual" in family and has_residual(checkpoint):
        return probe_residual(context, checkpoint)
    return open_probe(
        context,
        checkpoint,
        requested.readings_of(family),
        matrices=requested.matrices_of(family),
        together=False,
        more_bytes=_readout_bytes(checkpoint, family),
    )


def _readout_bytes(checkpoint: Checkpoint, family: Family) -> int:
    """What linear readouts of the outputs that a family reads take."""
    p = checkpoint.table.task.modulus
    widths = [checkpoint.shapes[name][1] for name in READ_OUT & {*family} & {*checkpoint.shapes}]
    return max((readout_bytes(p, width, PART_PAIRS, AHEAD) for width in widths), default=0)


async def _of_weights(
    context: Context, view: RunView, step: int, family: Family
) -> dict[str, Value]:
    need = COPIES * view.checkpoints[step].model.bytes
    async with context.inference.memory.reserve(need, "taking the weights apart"):
        matrices = WeightMatrices(await weights_of(context, view, step))
        return await context.inference.aside(lambda: requested.of_weights(family, matrices))
