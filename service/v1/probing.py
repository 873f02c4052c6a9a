"""Reading a whole checkpoint: its outputs over all pairs, its keys, what is measured with keys."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from grokprobe.analysis.basis import basis_of, check_cyclic
from grokprobe.analysis.fourier import frequencies
from grokprobe.analysis.measures_table import key_measures
from grokprobe.analysis.probe import Probe, choose_keys
from grokprobe.errors import InvalidInput
from grokprobe.store.records import KeyRecord, Measure
from grokprobe.task import Task
from service.context import Context
from service.inference.checkpoints import Checkpoint
from service.runs.view import RunView, checkpoint_identity


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
    return await context.derived.get(checkpoint.identity, what, KeyRecord | None, compute)


def given_keys(named: str, task: Task, sets: Sequence[str]) -> KeyRecord:
    """The keys that a request names, such as `14,35`, where it names none of the known `sets`.

    Raises InvalidInput.
    """
    basis = basis_of(task)
    check_cyclic(basis, "keys")
    known = frequencies(basis.order).tolist()
    parts = [part.strip() for part in named.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) < 10 and int(part) in known):
            choices = f"neither {', '.join(sets)} nor a frequency 1..{len(known)}"
            raise InvalidInput("keys", f"{part[:40]!r} is {choices}")
    return KeyRecord(
        frequencies=sorted({int(part) for part in parts}),
        rule="given",
        threshold=None,
        source_step=None,
        margin=(None, None),
    )


async def measured_with(
    context: Context, view: RunView, step: int, keys: Sequence[int]
) -> dict[str, Measure]:
    """The measures of a checkpoint that depend on these keys, computed once for each set.

    Raises CheckpointCorrupt, StoreUnavailable.
    """

    async def compute() -> dict[str, Measure]:
        checkpoint = await context.checkpoints.get(view, step)
        probe = await read_probe(context, checkpoint)
        return await context.inference.apart(lambda: key_measures(probe, keys))

    what = f"measures:{','.join(map(str, keys))}"
    identity = checkpoint_identity(view.identity, view.checkpoints[step])
    return await context.derived.get(identity, what, dict[str, Measure], compute)
