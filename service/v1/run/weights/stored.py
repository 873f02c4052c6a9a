"""What the file of a checkpoint holds: its parameters, and its embedding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from grokprobe.weights import read_weights
from service.context import Context
from service.inference.matrices import Floats, read_matrix
from service.runs.view import RunView
from service.v1.probing import read_model

AT_ONCE = 4  # files that are read at the same time
COPIES = 10  # of a file: as it came, parsed twice, arrays of both sides, in float64


@dataclass(frozen=True)
class Stored:
    """The parameters of a checkpoint, and its embedding (p, d_model) if its model offers it."""

    weights: Mapping[str, NDArray[Any]]
    embedding: Floats | None


async def read_stored(context: Context, view: RunView, step: int) -> Stored:
    """What a checkpoint's file holds; an embedding that has to be computed is.

    Raises CheckpointCorrupt, StoreUnavailable.
    """
    data, offered = await read_model(context, view, step), view.checkpoints[step].model.outputs
    modulus, wanted = view.manifest.task.modulus, "embedding" in offered
    where = f"run {view.manifest.run!r} step {step}"

    def work() -> Stored:
        matrix = read_matrix(data, "embedding", where, modulus) if wanted else None
        return Stored(read_weights(data, where, modulus), matrix)

    found = await context.inference.apart(work)
    if wanted and found.embedding is None:
        loaded = await context.checkpoints.get(view, step)
        return Stored(found.weights, await context.inference.matrix(loaded, "embedding"))
    return found


def largest_file(view: RunView) -> int:
    """The bytes of the run's largest model."""
    return max((c.model.bytes for c in view.checkpoints.values()), default=0)
