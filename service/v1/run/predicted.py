"""What the checkpoints of a run answer to every pair: as it was stored, else by inference."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

import numpy as np

from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.predictions import Predicted, read_predictions, residue_type
from grokprobe.store.records import CheckpointManifest
from service.context import Context
from service.http.preconditions import SettledRequest
from service.runs.view import RunView, checkpoint_identity
from service.v1.probing import open_probe
from service.v1.run.progress import unfinished_after

AT_ONCE = 64  # objects that are asked for together
CHUNK_BYTES = 2**22  # predictions in hand at a time
COPIES = 3  # of one checkpoint's while they are read: the object, the array, what is kept


async def predicted(context: Context, view: RunView, step: int) -> Predicted:
    """What a checkpoint predicts of every pair, (p*p,), kept while there is room.

    Raises CheckpointCorrupt, StoreUnavailable, NeverFits, MemoryBusy.
    """
    known, kind = view.checkpoints[step], residue_type(view.manifest.task.modulus)
    recorded = known.predictions and known.predictions.sha256
    data = await context.derived.get(
        checkpoint_identity(view.identity, known),
        f"predicted:{step}:{recorded}",
        bytes,
        partial(_read_or_infer, context, view, step),
    )
    return np.frombuffer(data, kind)


async def _read_or_infer(context: Context, view: RunView, step: int) -> bytes:
    manifest, p = await context.checkpoints.manifest(view, step), view.manifest.task.modulus
    kind = residue_type(p)
    if manifest.predictions:
        need = COPIES * manifest.predictions.bytes
        async with context.inference.memory.reserve(need, "the predictions of all pairs"):
            stored = await read_predictions(context.backends.archive, manifest, p)
            assert stored is not None
            return stored.tobytes()
    checkpoint = await context.checkpoints.get(view, step)
    async with open_probe(context, checkpoint, ("answers",)) as analyse:
        inferred = await analyse(lambda probe: probe.pair_answers.predicted)
    return bytes(inferred.astype(kind).tobytes())


async def read_all(
    context: Context, request: SettledRequest, checkpoints: Sequence[CheckpointManifest]
) -> None:
    """Have the predictions of these checkpoints read, or inferred, once: any that is broken tells.

    Raises Overloaded, Unfinished, and as `predicted` does.
    """
    stored = [c.step for c in checkpoints if c.predictions]
    older = [c.step for c in checkpoints if not c.predictions]
    async with unfinished_after(request, len(checkpoints), "read") as count:

        async def one(step: int) -> None:
            await predicted(context, request.target.view, step)
            count()

        for start in range(0, len(stored), AT_ONCE):
            with context.inference.permit():
                await gather(one, stored[start : start + AT_ONCE])
        for step in older:
            with context.inference.permit():
                await one(step)


async def in_chunks(
    context: Context, view: RunView, steps: Sequence[int], size: int, first: int = 0
) -> AsyncIterator[Sequence[Predicted]]:
    """The predictions of `size` checkpoints at a time, from the step of number `first` on."""
    for start in range(first, len(steps), size):
        yield [await predicted(context, view, step) for step in steps[start : start + size]]
