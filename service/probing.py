"""Reading a whole checkpoint: its outputs over all pairs, and its key frequencies."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Literal

from grokprobe.analysis.probe import Probe, choose_keys
from grokprobe.store.manifest import KeyRecord
from service.checkpoints import Checkpoint
from service.context import Context

Output = Literal["logits", "neurons", "embedding"]


async def read_probe(
    context: Context, checkpoint: Checkpoint, wanted: Iterable[Output] = ("logits", "embedding")
) -> Probe:
    """The wanted outputs over all pairs, those that the model offers; logits it always does."""
    table = checkpoint.table
    names = [name for name in wanted if name in checkpoint.manifest.model.outputs]
    found = await context.inference.grid(checkpoint, list(names))
    return Probe(table.task, table.train_mask, **dict(zip(names, found, strict=True)))


async def choose(
    context: Context, checkpoint: Checkpoint, rule: str, threshold: float | None
) -> KeyRecord | None:
    """The keys of a checkpoint by a rule; None where the operation has none.

    Raises InvalidInput.
    """

    async def compute() -> KeyRecord | None:
        probe = await read_probe(context, checkpoint, ("logits", "embedding", "neurons"))
        keys = await context.inference.apart(lambda: choose_keys(probe, rule, threshold))
        source = checkpoint.manifest.step
        return KeyRecord(**asdict(keys), source_step=source) if keys else None

    what = f"keys:{rule}:{threshold}"
    return await context.derived.get(checkpoint, what, KeyRecord | None, compute)
