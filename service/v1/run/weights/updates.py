"""What changed between neighbouring checkpoints of a run: the spectrum of each matrix's update."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.fourier import frequencies, key_share
from grokprobe.analysis.irreps import irreps
from grokprobe.analysis.series.updates import Update, read_update, update_power
from grokprobe.store.archive.objects import gather
from grokprobe.store.records import CheckpointManifest, task_of
from service.context import Context, FromContext
from service.formats.registry import TABLE_OF_NUMBERS
from service.formats.tables import columns_of, table_of
from service.http.openapi import OF_A_RUN, documented, offering
from service.http.parameters import FromStep, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.runs.view import RunView, checkpoint_identity
from service.v1.basis import BasisAnswer, describe_basis
from service.v1.run.matrices import NUMBER_BYTES
from service.v1.run.progress import unfinished_after
from service.v1.run.weights.stored import AT_ONCE, COPIES, Stored, largest_file, read_stored

FIGURES = 40  # of a row that are no powers: four of ten matrices

Top = Annotated[
    int, QueryParameter(ge=1, le=100, description="How many singular values `top_shares` adds up.")
]


class KeptUpdate(msgspec.Struct):
    """What is kept of two neighbours; `power` is null where a side has no embedding, or another."""

    weights: Update
    power: list[float] | None


class UpdateRow(msgspec.Struct):
    """The update from `previous_step` to `step`, by the names of the weights.

    `embedding_power[i]` belongs to `frequencies[i]` (s5: an irrep).
    """

    step: int
    previous_step: int
    norm: float | None
    norms: dict[str, float]
    top_singular_values: dict[str, float]
    top_shares: dict[str, float]
    participation_ratios: dict[str, float]
    changed: list[str]
    embedding_power: list[float] | None
    embedding_key_share: float | None


class UpdatesAnswer(msgspec.Struct):
    """Updates between neighbouring checkpoints; `absent` says why a column is null."""

    run: str
    provisional: bool  # the run goes on: its keys are the latest checkpoint's
    top: int
    basis: BasisAnswer
    frequencies: list[int | str]
    keys: list[int] | None
    absent: dict[str, str]
    updates: list[UpdateRow]


Neighbours = tuple[CheckpointManifest, CheckpointManifest]


@get(
    "/runs/{run:str}/updates",
    summary="What changed between neighbouring checkpoints",
    tags=["runs"],
    **offering(TABLE_OF_NUMBERS, {**OF_A_RUN, **documented(422)}, "keys"),
)
async def get_updates(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    top: Top = 3,
    from_step: FromStep = None,
    to_step: ToStep = None,
) -> Response[UpdatesAnswer]:
    """The weights of every checkpoint less those of the one before it, from the second on.

    Norm, largest singular value, share of the largest and participation ratio of each matrix, and
    the Fourier spectrum of the embedding's update. What takes longer than a request may is 503: ask
    again. As npy it is the embedding's power, (updates, frequencies).
    """
    view = request.target.view
    basis = basis_of(task_of(view.manifest))
    wanted = {c.step for c in view.between(from_step, to_step)}
    updates = [(a, b) for a, b in pairwise(view.checkpoints.values()) if b.step in wanted]
    need = COPIES * 2 * AT_ONCE * largest_file(view)
    need += NUMBER_BYTES * len(updates) * (FIGURES + basis.order)
    what = f"the updates of {len(updates)} steps"
    async with context.inference.memory.reserve(need, what):
        with context.inference.permit():
            found = await _all(context, request, basis, updates, top)
        keys = view.keys.frequencies if view.keys else None
        answer = UpdatesAnswer(
            run,
            view.provisional,
            top,
            describe_basis(basis),
            _parts(basis),
            keys,
            _absent(view, basis, keys),
            [_row(a, b, one, keys) for (a, b), one in zip(updates, found, strict=True)],
        )
        width = len(answer.frequencies)
        powers = [[np.nan] * width if one.power is None else one.power for one in found]
        array = np.array(powers, dtype=np.float64).reshape(-1, width)
        table = table_of(answer, "updates", columns_of(UpdateRow))
        return await respond(request.reply, answer, table, array, apart=True)


async def _all(
    context: Context,
    request: SettledRequest,
    basis: Basis,
    updates: Sequence[Neighbours],
    top: int,
) -> list[KeptUpdate]:
    """Each of them; stretches side by side, so that a file is read once in each."""
    view, length = request.target.view, -(-len(updates) // AT_ONCE) or 1
    stretches = [updates[i : i + length] for i in range(0, len(updates), length)]
    async with unfinished_after(request, len(updates), "compared with those before them") as count:

        async def walk(stretch: Sequence[Neighbours]) -> list[KeptUpdate]:
            found, at = [], _Place(context, view)
            for before, after in stretch:
                found.append(await _one(context, basis, at, before, after, top))
                count()
            return found

        parts: list[list[KeptUpdate]] = await gather(walk, stretches)
    return [one for part in parts for one in part]


class _Place:
    """The last checkpoint that was read."""

    def __init__(self, context: Context, view: RunView) -> None:
        self.context, self.view = context, view
        self.step, self.stored = -1, Stored({}, None)

    async def read(self, step: int) -> Stored:
        """What the file of a step holds."""
        if step != self.step:
            self.stored = await read_stored(self.context, self.view, step)
            self.step = step
        return self.stored


async def _one(
    context: Context,
    basis: Basis,
    at: _Place,
    before: CheckpointManifest,
    after: CheckpointManifest,
    top: int,
) -> KeptUpdate:
    async def compute() -> KeptUpdate:
        a, b = await at.read(before.step), await at.read(after.step)
        return await context.inference.apart(lambda: _kept(basis, a, b, top))

    old, new = (checkpoint_identity(at.view.identity, one) for one in (before, after))
    found: KeptUpdate = await context.derived.get(new, f"update:{top}:{old}", KeptUpdate, compute)
    return found


def _kept(basis: Basis, a: Stored, b: Stored, top: int) -> KeptUpdate:
    power = None
    if a.embedding is not None and b.embedding is not None:
        power = update_power(basis, a.embedding, b.embedding)
    update = read_update(a.weights, b.weights, top)
    return KeptUpdate(update, None if power is None else power.tolist())


def _parts(basis: Basis) -> list[int | str]:
    """What `embedding_power` is of: frequencies, or irreps but the trivial one."""
    if basis.cyclic:
        return list(frequencies(basis.order).tolist())
    return [irrep.label for irrep in irreps()[1:]]


def _row(
    before: CheckpointManifest,
    after: CheckpointManifest,
    found: KeptUpdate,
    keys: list[int] | None,
) -> UpdateRow:
    matrices, power = found.weights.matrices.items(), found.power
    values, top_shares, participation_ratios = (
        {name: figure for name, one in matrices if (figure := getattr(one, what)) is not None}
        for what in ("top_singular_value", "top_share", "participation_ratio")
    )
    return UpdateRow(
        step=after.step,
        previous_step=before.step,
        norm=found.weights.norm,
        norms=found.weights.norms,
        top_singular_values=values,
        top_shares=top_shares,
        participation_ratios=participation_ratios,
        changed=found.weights.changed,
        embedding_power=power,
        embedding_key_share=key_share(power, keys) if power and keys else None,
    )


def _absent(view: RunView, basis: Basis, keys: list[int] | None) -> dict[str, str]:
    """Why there is nothing in a column, by its name."""
    absent: dict[str, str] = {}
    lacking = [c.step for c in view.checkpoints.values() if "embedding" not in c.model.outputs]
    if lacking:
        reason = f"the model of step {lacking[0]} has no output 'embedding'"
        absent |= {"embedding_power": reason, "embedding_key_share": reason}
    if basis.direction is None:
        absent["embedding_key_share"] = "the operation has no rule for key frequencies"
    elif not keys:
        absent["embedding_key_share"] = "the run has no key frequencies"
    return absent
