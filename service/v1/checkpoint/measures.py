"""Every measure of one checkpoint, those that need key frequencies with the set of choice."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.measures_table import KEY_MEASURES
from grokprobe.analysis.nulls import Null, spectrum_null
from grokprobe.errors import InvalidInput
from grokprobe.store.records import KeyRecord, LearningCoefficient, Measure
from service.context import Context, FromContext
from service.formats.registry import TABLE
from service.formats.tables import Table, about, columns_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import Permutations, RunPath, SeedQuery
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.http.target import Opened, open_checkpoint
from service.v1.probing import choose_keys_of, given_keys, measured_with
from service.v1.requesting import names_of, requested_measures


class MeasuresAnswer(msgspec.Struct):
    """Every measure by its name; `keys` is null where the operation has no rule for them."""

    run: str
    step: int
    provisional: bool  # the run goes on: its keys are its latest checkpoint's
    keys: KeyRecord | None
    measures: dict[str, Measure]
    local_learning_coefficient: LearningCoefficient | None
    key_share_null: Null | None


class MeasureRow(msgspec.Struct):
    """A measure in a table; of one that has a value for each frequency, or weight, it is named."""

    measure: str
    frequency: int | None
    weight: str | None
    value: float | None


KEY_SETS = ("final", "own")
KeysQuery = Annotated[
    str,
    QueryParameter(
        description="`final`: the run's set; `own`: this checkpoint's; or frequencies: 14,35."
    ),
]
KeyRule = Literal["logits", "neurons", "embedding"]
DEFAULT_RULE: KeyRule = "logits"
Rule = Annotated[
    KeyRule,
    QueryParameter(description="The rule that chooses them."),
]
Threshold = Annotated[
    float | None,
    QueryParameter(gt=0, lt=1, description="Of the rule `logits`: the least cosine similarity."),
]
NamesQuery = Annotated[
    str | None,
    QueryParameter(description="Names of measures, separated by commas: these alone."),
]


async def _keys(
    context: Context, opened: Opened, wanted: str, rule: str, threshold: float | None
) -> KeyRecord | None:
    """The key set asked for; what is stored is not computed again. Raises InvalidInput."""
    if wanted not in KEY_SETS:
        if rule != DEFAULT_RULE or threshold is not None:
            raise InvalidInput("keys", "are given, so no rule and no threshold can choose them")
        return given_keys(wanted, opened.checkpoint.table.task, KEY_SETS)
    if rule == DEFAULT_RULE and threshold is None:
        return opened.view.keys if wanted == "final" else opened.checkpoint.manifest.own_keys
    source = opened.checkpoint
    if wanted == "final":
        source = await context.checkpoints.get(opened.view, opened.view.steps[-1])
    return await choose_keys_of(context, source, rule, threshold)


async def _measured(
    context: Context, opened: Opened, wanted: str, keys: KeyRecord | None
) -> dict[str, Measure]:
    """The key-dependent measures: those stored, if the run's keys are wanted, or computed."""
    completion, stored = opened.view.completion, opened.view.key_measures.get(opened.step)
    final = wanted == "final" and completion is not None and keys == completion.keys
    if final and stored is not None:
        return stored
    used = keys.frequencies if keys else []
    return await measured_with(context, opened.view, opened.step, used)


async def _key_share_null(
    context: Context, opened: Opened, keys: KeyRecord | None, permutations: int, seed: int
) -> Null | None:
    """The key share against permuted rows; None without keys, and where every frequency is one."""
    checkpoint = opened.checkpoint
    basis = basis_of(checkpoint.table.task)
    if keys is None or not basis.cyclic:
        return None
    # Keys chosen here fit their own rows: against that, every draw may choose its own, as many.
    statistic = "top_share" if keys.source_step == opened.step else "key_share"
    rows = basis.rows(await context.inference.matrix(checkpoint, "embedding"))
    used = keys.frequencies

    async def compute() -> Null | None:
        return await context.inference.apart(
            lambda: spectrum_null(rows, permutations, seed, statistic, keys=used)
        )

    what = f"null:{statistic}:{','.join(map(str, used))}:{permutations}:{seed}"
    return await context.derived.get(checkpoint.identity, what, Null | None, compute)


@get(
    "/runs/{run:str}/checkpoints/{step:str}/measures",
    summary="Every measure",
    tags=["checkpoints"],
    **offering(TABLE, OF_A_CHECKPOINT, "keys"),
)
async def get_measures(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    keys: KeysQuery = "final",
    key_rule: Rule = DEFAULT_RULE,
    key_threshold: Threshold = None,
    null: Permutations = 0,
    seed: SeedQuery = 0,
    names: NamesQuery = None,
) -> Response[MeasuresAnswer]:
    """All measures; those of key frequencies are null where the set is empty or has no rule.

    With `names=` these alone, and only so those that are computed by request.

    `null=200` compares the key share with permuted rows. Where the keys were chosen at this very
    checkpoint every draw chooses its own, as many: the statistic is then `top_share`.
    """
    with context.inference.permit():
        wanted = None if names is None else names_of("names", names, request.target.view)
        opened = await open_checkpoint(context, request.target)
        chosen = await _keys(context, opened, keys, key_rule, key_threshold)
        measured: dict[str, Measure] = {**opened.checkpoint.manifest.measures}
        if wanted is None or set(wanted) & set(KEY_MEASURES):
            measured |= await _measured(context, opened, keys, chosen)
        if wanted is not None:
            measured |= await requested_measures(context, opened.view, opened.step, wanted)
            measured = {name: measured.get(name) for name in wanted}
        against = await _key_share_null(context, opened, chosen, null, seed) if null else None
    manifest = opened.checkpoint.manifest
    answer = MeasuresAnswer(
        run=run,
        step=opened.step,
        provisional=keys == "final" and opened.view.provisional,
        keys=chosen,
        measures=measured,
        local_learning_coefficient=manifest.local_learning_coefficient,
        key_share_null=against,
    )
    table = Table(columns_of(MeasureRow), _rows(answer.measures), about(answer, "measures"))
    return await respond(request.reply, answer, table)


def _rows(measures: Mapping[str, Measure]) -> list[MeasureRow]:
    """A row for each measure, or for each of its frequencies or weights."""
    rows = []
    for name, values in measures.items():
        if not isinstance(values, dict):
            rows.append(MeasureRow(name, None, None, values))
        elif name in KEY_MEASURES:
            rows += [MeasureRow(name, int(k), None, value) for k, value in values.items()]
        else:
            rows += [MeasureRow(name, None, weight, value) for weight, value in values.items()]
    return rows
