"""Reading a whole checkpoint: its outputs over all pairs, and its key frequencies."""

from collections.abc import Iterable
from dataclasses import asdict

from grokprobe.analysis.probe import Probe, choose_keys
from grokprobe.store.records import KeyRecord
from service.context import Context
from service.inference.checkpoints import Checkpoint


async def read_probe(
    context: Context, checkpoint: Checkpoint, wanted: Iterable[str] = ("logits",)
) -> Probe:
    """The embedding, and the wanted outputs over all pairs; those that the model offers."""
    table, offered = checkpoint.table, checkpoint.manifest.model.outputs
    names = [name for name in wanted if name in offered]
    found = await context.inference.grid(checkpoint, names)
    embedding = checkpoint.matrix("embedding") if "embedding" in offered else None
    outputs = dict(zip(names, found, strict=True))
    return Probe(table.task, table.train_mask, embedding=embedding, **outputs)


async def choose_keys_of(
    context: Context, checkpoint: Checkpoint, rule: str, threshold: float | None
) -> KeyRecord | None:
    """The keys of a checkpoint by a rule; None where the operation has none.

    Raises InvalidInput.
    """

    async def compute() -> KeyRecord | None:
        probe = await read_probe(context, checkpoint, ("logits", "neurons"))
        keys = await context.inference.apart(lambda: choose_keys(probe, rule, threshold))
        source = checkpoint.manifest.step
        return KeyRecord(**asdict(keys), source_step=source) if keys else None

    what = f"keys:{rule}:{threshold}"
    return await context.derived.get(checkpoint, what, KeyRecord | None, compute)
