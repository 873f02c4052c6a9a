"""How far a run is from one of its checkpoints, at every step: from what is stored alone.

Weights and embeddings are read from the files, no session opened; losses, accuracies and key sets
are the manifests'. What would need inference over all pairs (divergences, neurons) is left to
`compare` (docs/maths.md, "Comparing two checkpoints").
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.comparing.planes import plane_overlap
from grokprobe.analysis.comparing.representations import similarity
from grokprobe.analysis.comparing.weights import compare_weights, same_weights
from grokprobe.store.archive.objects import gather
from grokprobe.store.records import CheckpointManifest, task_of
from service.context import Context, FromContext
from service.formats.registry import TABLE
from service.formats.tables import columns_of, table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.runs.view import RunView, checkpoint_identity
from service.v1.run.progress import unfinished_after
from service.v1.run.weights.stored import AT_ONCE, COPIES, Stored, largest_file, read_stored


class Drift(msgspec.Struct):
    """What is kept of a checkpoint beside a reference: all that needs their files."""

    step: int
    identical: bool
    distance: float | None
    cosine: float | None
    distances: dict[str, float]
    cosines: dict[str, float]
    cka: float | None
    cka_null_mean: float | None
    overlap: float | None
    chance: float | None


class DriftRow(Drift):
    """A checkpoint beside the reference; differences are the checkpoint's less the reference's."""

    keys_kept: list[int] | None
    keys_gained: list[int] | None
    keys_lost: list[int] | None
    train_loss_difference: float | None
    test_loss_difference: float | None
    train_accuracy_difference: float | None
    test_accuracy_difference: float | None


class DriftAnswer(msgspec.Struct):
    """A run beside one of its checkpoints, `reference`; `absent` says why a column is null."""

    run: str
    provisional: bool
    reference: int
    absent: dict[str, str]
    drift: list[DriftRow]


Reference = Annotated[
    str,
    QueryParameter(description="A step, or `first`, `latest`, `memorised`, `generalised`."),
]


@get(
    "/runs/{run:str}/drift",
    summary="How far a run is from one of its checkpoints",
    tags=["runs"],
    **offering(TABLE, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_drift(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    reference: Reference = "first",
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[DriftAnswer]:
    """Weights, embedding, key frequencies and losses of every checkpoint beside one of them.

    What takes longer than a request may is 503: ask again. Divergences and neurons, which have to
    be computed over all pairs, are in `compare`.
    """
    view = request.target.view
    number, checkpoints = view.step_of(reference), view.between(from_step, to_step)
    need = COPIES * (AT_ONCE + 1) * largest_file(view)
    async with context.inference.memory.reserve(need, f"the drift of {len(checkpoints)} steps"):
        with context.inference.permit():
            found = await _all(context, request, view, number, checkpoints)
    start = view.checkpoints[number]
    rows = [_row(start, c, one) for c, one in zip(checkpoints, found, strict=True)]
    absent = _absent(basis_of(task_of(view.manifest)), start)
    answer = DriftAnswer(run, view.provisional, number, absent, rows)
    return await respond(
        request.reply, answer, table_of(answer, "drift", columns_of(DriftRow)), apart=True
    )


async def _all(
    context: Context,
    request: SettledRequest,
    view: RunView,
    reference: int,
    checkpoints: Sequence[CheckpointManifest],
) -> list[Drift]:
    """Each beside the reference, whose own files are read only where something is not kept."""
    basis, turn = basis_of(task_of(view.manifest)), asyncio.Semaphore(AT_ONCE)
    start = view.checkpoints[reference]
    what = f"drift:{checkpoint_identity(view.identity, start)}"
    alone, there = asyncio.Lock(), list[Stored]()

    async def origin() -> Stored:
        async with alone:
            if not there:
                there.append(await read_stored(context, view, reference))
        return there[0]

    async with unfinished_after(request, len(checkpoints), "compared with the reference") as count:

        async def one(checkpoint: CheckpointManifest) -> Drift:
            async def compute() -> Drift:
                a, b = await origin(), await read_stored(context, view, checkpoint.step)
                step = checkpoint.step
                return await context.inference.apart(lambda: _drift(step, basis, a, b))

            async with turn:
                identity = checkpoint_identity(view.identity, checkpoint)
                found: Drift = await context.derived.get(identity, what, Drift, compute)
            count()
            return found

        return await gather(one, checkpoints)


def _drift(step: int, basis: Basis, a: Stored, b: Stored) -> Drift:
    rows, every = compare_weights(a.weights, b.weights)
    cka = overlap = None
    if a.embedding is not None and b.embedding is not None:
        cka = similarity(a.embedding, b.embedding)
        if basis.cyclic:
            overlap = plane_overlap(basis.rows(a.embedding), basis.rows(b.embedding))
    return Drift(
        step=step,
        identical=same_weights(a.weights, b.weights),
        distance=every.distance,
        cosine=every.cosine,
        distances={row.name: row.distance for row in rows if row.distance is not None},
        cosines={row.name: row.cosine for row in rows if row.cosine is not None},
        cka=cka.cka if cka else None,
        cka_null_mean=cka.null_mean if cka else None,
        overlap=overlap.overlap if overlap else None,
        chance=overlap.chance if overlap else None,
    )


def _row(a: CheckpointManifest, b: CheckpointManifest, found: Drift) -> DriftRow:
    sets = [set(one.own_keys.frequencies) if one.own_keys else None for one in (a, b)]
    keys: list[list[int] | None] = [None] * 3
    if sets[0] is not None and sets[1] is not None:
        keys = [sorted(s) for s in (sets[0] & sets[1], sets[1] - sets[0], sets[0] - sets[1])]
    return DriftRow(
        **{**msgspec.structs.asdict(found), "step": b.step},  # equal files are kept once
        keys_kept=keys[0],
        keys_gained=keys[1],
        keys_lost=keys[2],
        train_loss_difference=_difference(a.measures, b.measures, "train_loss"),
        test_loss_difference=_difference(a.measures, b.measures, "test_loss"),
        train_accuracy_difference=_difference(a.measures, b.measures, "train_accuracy"),
        test_accuracy_difference=_difference(a.measures, b.measures, "test_accuracy"),
    )


def _difference(a: Mapping[str, object], b: Mapping[str, object], name: str) -> float | None:
    """A measure of b less that of a; None where either has none."""
    before, after = a.get(name), b.get(name)
    if not (isinstance(before, float | int) and isinstance(after, float | int)):
        return None
    return float(after - before)


def _absent(basis: Basis, reference: CheckpointManifest) -> dict[str, str]:
    """Why the reference has nothing to compare, by column."""
    absent = {}
    if not basis.cyclic:
        absent["overlap"] = f"{basis.group} has no frequencies"
    if "embedding" not in reference.model.outputs:
        reason = f"the model of step {reference.step} has no output 'embedding'"
        absent |= {"cka": reason, "overlap": reason}
    if basis.direction is None:
        absent["keys"] = "the operation has no rule for key frequencies"
    elif reference.own_keys is None:
        absent["keys"] = f"no key frequencies are stored with step {reference.step}"
    return absent
