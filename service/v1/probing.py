"""Reading a whole checkpoint: its outputs over all pairs, its keys, what is measured with keys."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

from numpy.typing import NDArray

from grokprobe.analysis.basis import basis_of, check_cyclic
from grokprobe.analysis.fourier import Array, frequencies
from grokprobe.analysis.key_choice import choose_keys
from grokprobe.analysis.measures_table import key_measures
from grokprobe.analysis.needs import reading_bytes, readout_bytes, train_rows_bytes
from grokprobe.analysis.outputs import Outputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.readings import OUTPUT_OF, Reading
from grokprobe.analysis.series.neurons import Input, read_neurons
from grokprobe.errors import InvalidInput
from grokprobe.store.records import KeyRecord, Measure
from grokprobe.task import Task
from grokprobe.weights import read_weights
from service.context import Context
from service.formats.npy import npy_array, npy_bytes
from service.inference.altered import FILE_COPIES
from service.inference.checkpoints import Checkpoint
from service.inference.residual import open_residual
from service.inference.sweep import AHEAD, PART_PAIRS
from service.runs.view import RunView, checkpoint_identity

Analyse = Callable[[Callable[[Probe], Any]], Awaitable[Any]]

# Which readings (analysis.probe) the rules that choose keys are made of.
OF_RULES: dict[str, tuple[Reading, ...]] = {
    "logits": ("sums",),
    "neurons": ("neurons",),
    "embedding": (),
}

# What neurons are read and written by.
OF_NEURONS = ("effective_embedding", "effective_embedding_b", "neuron_logit_map")


@asynccontextmanager
async def open_probe(
    context: Context,
    checkpoint: Checkpoint,
    readings: Sequence[Reading],
    keys: int = 0,
    matrices: Sequence[str] = ("embedding",),
    together: bool = True,
    more_bytes: int = 0,
) -> AsyncIterator[Analyse]:
    """Reserve the memory of reading a checkpoint over all pairs, and give what runs an analysis.

    All `readings` are made in one pass, or each when it is wanted. Where there is memory to spare,
    and measures of so many `keys` are wanted, the logits of train pairs are held for their second
    look. An analysis may take `more_bytes`. Raises NeverFits, MemoryBusy, OutputMissing.
    """
    table, offered = checkpoint.table, checkpoint.manifest.model.outputs
    names = sorted({OUTPUT_OF[r] for r in readings} & set(offered))
    sweep = await context.inference.sweep(checkpoint, names)
    p, of_residues = table.task.modulus, dict[str, Outputs]()
    widths = {name: checkpoint.width(name) for name in names}
    need = reading_bytes(p, readings, widths, keys, rows=PART_PAIRS, ahead=AHEAD)
    need += context.inference.runs_bytes(checkpoint, AHEAD + 1) + more_bytes
    train_pairs = 0 if table.train_mask is None else int(table.train_mask.sum())
    held = train_rows_bytes(p, train_pairs) if keys and not sweep.is_kept else 0
    memory = context.inference.memory
    what = f"reading {' and '.join(names) or 'a checkpoint'} of all pairs"
    async with memory.reserve(need, what):
        held = held if held and memory.try_more(held) else 0
        try:
            for name in set(matrices) & set(offered):
                of_residues[name] = await context.inference.matrix(checkpoint, name)
            at_once = (*(readings if together else ()), *(["train_rows"] if held else ()))
            probe = Probe(table.task, table.train_mask, sweep, **of_residues, together=at_once)
            yield lambda work: context.inference.analyse(sweep, lambda: work(probe))
        finally:
            memory.give_back(held)


@asynccontextmanager
async def probe_residual(context: Context, checkpoint: Checkpoint) -> AsyncIterator[Analyse]:
    """As `open_probe`, with the residual of every pair alone, where the model `has_residual`.

    Raises NeverFits, MemoryBusy, CheckpointCorrupt, StoreUnavailable.
    """
    inference, table = context.inference, checkpoint.table
    p, width = table.task.modulus, checkpoint.shapes["unembedding"][1]
    need = readout_bytes(p, width, PART_PAIRS, AHEAD) + inference.runs_bytes(checkpoint, AHEAD + 1)
    need += FILE_COPIES * checkpoint.manifest.model.bytes
    async with inference.memory.reserve(need, "reading the residual of all pairs"):
        limit = context.settings.max_model_bytes
        model = await context.backends.archive.model(checkpoint.manifest, limit)
        read = partial(open_residual, context.runtime, checkpoint, model)
        residual = await inference.apart(read)
        probe = Probe(table.task, table.train_mask, residual, together=())
        yield lambda work: inference.analyse(residual, lambda: work(probe))


async def read_model(context: Context, view: RunView, step: int) -> bytes:
    """The file of a checkpoint, its digest compared. Raises CheckpointCorrupt, StoreUnavailable."""
    archive, manifest = context.backends.archive, view.checkpoints[step]
    # What was not compared with object storage is asked there: a digest is never the index's.
    if not view.proves(step):
        manifest = await archive.checkpoint(view.manifest.run, step)
    return await archive.model(manifest, context.settings.max_model_bytes)


async def weights_of(context: Context, view: RunView, step: int) -> dict[str, NDArray[Any]]:
    """The parameters of a checkpoint by name, read without a session for them.

    Raises CheckpointCorrupt, StoreUnavailable.
    """
    data = await read_model(context, view, step)
    where, modulus = f"run {view.manifest.run!r} step {step}", view.manifest.task.modulus
    return await context.inference.apart(lambda: read_weights(data, where, modulus))


async def choose_keys_of(
    context: Context, checkpoint: Checkpoint, rule: str, threshold: float | None
) -> KeyRecord | None:
    """The keys of a checkpoint by a rule; None where the operation has none.

    Raises InvalidInput, NeverFits, MemoryBusy.
    """

    async def compute() -> KeyRecord | None:
        async with open_probe(context, checkpoint, OF_RULES[rule]) as analyse:
            keys = await analyse(lambda probe: choose_keys(probe, rule, threshold))
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

    Raises CheckpointCorrupt, StoreUnavailable, NeverFits, MemoryBusy.
    """

    async def compute() -> dict[str, Measure]:
        checkpoint = await context.checkpoints.get(view, step)
        async with open_probe(context, checkpoint, ("sums",), len(keys)) as analyse:
            found: dict[str, Measure] = await analyse(lambda probe: key_measures(probe, keys))
        return found

    what = f"measures:{','.join(map(str, keys))}"
    identity = checkpoint_identity(view.identity, view.checkpoints[step])
    return await context.derived.get(identity, what, dict[str, Measure], compute)


async def neurons_of(
    context: Context, view: RunView, step: int, alone: asyncio.Lock | None = None
) -> Array:
    """Frequency, fve and waves of the neurons of a checkpoint (analysis.series.neurons), once.

    It is loaded first, then read while nobody else holds `alone`. Raises OutputMissing,
    CheckpointCorrupt, StoreUnavailable, NeverFits, MemoryBusy.
    """

    async def compute() -> bytes:
        checkpoint = await context.checkpoints.get(view, step)
        checkpoint.check(["neurons"])
        async with (
            alone or asyncio.Lock(),
            open_probe(context, checkpoint, ("neurons",), matrices=OF_NEURONS) as analyse,
        ):
            return npy_bytes(await analyse(read_neurons))

    identity = checkpoint_identity(view.identity, view.checkpoints[step])
    return npy_array(await context.derived.get(identity, "neurons", bytes, compute))


def input_of(view: RunView, step: int) -> Input:
    """What the input phases of a checkpoint are read of."""
    offered = view.checkpoints[step].model.outputs
    return "effective_embedding" if "effective_embedding" in offered else "mean_over_b"
