"""Runs: the list, one run, its checkpoints."""

from collections.abc import Iterable
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import QueryParameter

from grokprobe.store.manifest import CheckpointManifest, RunManifest, Status
from grokprobe.task import Operation
from service.answers import next_link, respond
from service.context import Context, FromContext, asked_of
from service.formats import JSON, TABLE, FormatQuery
from service.routes import (
    OF_A_LIST,
    OF_A_RUN,
    FromStep,
    Limit,
    RunPath,
    StepPath,
    ToStep,
    offering,
)
from service.schemas.runs import (
    CheckpointAnswer,
    CheckpointList,
    CheckpointRow,
    RunAnswer,
    RunList,
    RunRow,
)
from service.tables import columns_of, table_of
from service.views import View

PAGE = 100
ROW_MEASURES = (
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "weight_norm",
    "gini_embedding",
)


def _row(
    manifest: RunManifest,
    status: Status,
    count: int,
    latest: CheckpointManifest | None,
) -> RunRow:
    return RunRow(
        run=manifest.run,
        group=manifest.group,
        operation=manifest.task.operation,
        modulus=manifest.task.modulus,
        architecture=str(manifest.architecture.get("family")),
        seed=manifest.seed,
        status=status,
        latest_step=latest.step if latest else None,
        checkpoint_count=count,
        test_accuracy=latest.measures.get("test_accuracy") if latest else None,
        created_at=manifest.created_at,
    )


async def _from_catalogue(
    context: Context, after: str, limit: int, group: str | None
) -> list[RunRow]:
    catalogue = context.backends.catalogue
    names = await catalogue.runs(after, limit, group)
    found = await catalogue.summaries(names)
    return [_row(s.manifest, s.status, s.checkpoint_count, s.latest) for s in found]


async def _from_archive(
    context: Context, after: str, limit: int, group: str | None
) -> list[RunRow]:
    archive = context.backends.archive
    runs = await archive.runs() if group is None else (await archive.groups()).get(group, [])
    names = [run for run in runs if run > after][:limit]
    views = [await context.views.get(run) for run in names]
    latest = [view.checkpoints[view.steps[-1]] if view.steps else None for view in views]
    return [
        _row(view.manifest, view.status, len(view.checkpoints), last)
        for view, last in zip(views, latest, strict=True)
    ]


async def page_of_runs(
    context: Context, after: str, limit: int, group: str | None = None
) -> list[RunRow]:
    """The first `limit` runs behind `after` in the order of their names; of all, or of a group."""
    return await context.views.either(
        lambda: _from_catalogue(context, after, limit, group),
        lambda: _from_archive(context, after, limit, group),
    )


@get("/runs", summary="Published runs", tags=["runs"], **offering(TABLE, OF_A_LIST))
async def list_runs(
    request: Request[Any, Any, Any],
    context: FromContext,
    limit: Limit = PAGE,
    after: Annotated[str, QueryParameter(description="The cursor `next` of a page.")] = "",
    operation: Annotated[Operation | None, QueryParameter(description="Only this one.")] = None,
    modulus: Annotated[int | None, QueryParameter(ge=1, description="Only this one.")] = None,
    status: Annotated[Status | None, QueryParameter(description="Only this one.")] = None,
    group: Annotated[str | None, QueryParameter(description="Only its members.")] = None,
    format_: FormatQuery = None,
) -> Response[RunList]:
    """Runs in the order of their names, a page at a time; filters apply before paging."""
    wanted = {"operation": operation, "modulus": modulus, "status": status}
    filters = {name: value for name, value in wanted.items() if value is not None}
    rows: list[RunRow] = []
    cursor, more = after, True
    while more and len(rows) <= limit:
        page = await page_of_runs(context, cursor, limit + 1, group)
        rows += [r for r in page if all(getattr(r, n) == v for n, v in filters.items())]
        more = len(page) > limit
        cursor = page[-1].run if page else cursor
    answer = RunList(rows[:limit], rows[limit - 1].run if len(rows) > limit else None)
    table = table_of(answer, "runs", columns_of(RunRow))
    return await respond(request, answer, table, headers=next_link(request, answer.next))


@get("/runs/{run:str}", summary="One run", tags=["runs"], **offering(JSON, OF_A_RUN, "run"))
async def get_run(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    format_: FormatQuery = None,
) -> Response[RunAnswer]:
    """What was trained, how far it is, and from which step it memorised and generalised."""
    return await respond(request, _run_answer(asked_of(request).view))


def _run_answer(view: View) -> RunAnswer:
    manifest, steps = view.manifest, view.steps
    memorised, generalised = view.held("train_accuracy"), view.held("test_accuracy")
    return RunAnswer(
        run=manifest.run,
        group=manifest.group,
        created_at=manifest.created_at,
        status=view.status,
        task=manifest.task,
        architecture=manifest.architecture,
        optimiser=manifest.optimiser,
        seed=manifest.seed,
        checkpoint_count=len(steps),
        first_step=steps[0] if steps else None,
        latest_step=steps[-1] if steps else None,
        memorised_step=memorised.step if memorised else None,
        generalised_step=generalised.step if generalised else None,
        key_frequencies=view.keys.frequencies if view.keys else None,
    )


def between(view: View, first: int | None, last: int | None) -> list[CheckpointManifest]:
    """The checkpoints of a run from step `first` to step `last`, both included."""
    low, high = first or 0, float("inf") if last is None else last
    return [c for step, c in view.checkpoints.items() if low <= step <= high]


def _rows(manifests: Iterable[CheckpointManifest]) -> list[CheckpointRow]:
    return [
        CheckpointRow(
            step=manifest.step,
            created_at=manifest.created_at,
            sha256=manifest.model.sha256,
            bytes=manifest.model.bytes,
            **{name: manifest.measures.get(name) for name in ROW_MEASURES},
        )
        for manifest in manifests
    ]


@get(
    "/runs/{run:str}/checkpoints",
    summary="A run's checkpoints",
    tags=["runs"],
    **offering(TABLE, OF_A_RUN, "run"),
)
async def list_checkpoints(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    from_step: FromStep = None,
    to_step: ToStep = None,
    limit: Limit = PAGE,
    after: Annotated[int | None, QueryParameter(ge=0, description="The cursor of a page.")] = None,
    format_: FormatQuery = None,
) -> Response[CheckpointList]:
    """Checkpoints in the order of their steps, a page at a time."""
    found = [
        c
        for c in between(asked_of(request).view, from_step, to_step)
        if after is None or c.step > after
    ]
    page, rest = found[:limit], found[limit:]
    answer = CheckpointList(run, _rows(page), page[-1].step if rest else None)
    table = table_of(answer, "checkpoints", columns_of(CheckpointRow))
    return await respond(request, answer, table, headers=next_link(request, answer.next))


@get(
    "/runs/{run:str}/checkpoints/{step:str}",
    summary="One checkpoint",
    tags=["checkpoints"],
    **offering(JSON, OF_A_RUN, "checkpoint"),
)
async def get_checkpoint(
    request: Request[Any, Any, Any],
    context: FromContext,
    run: RunPath,
    step: StepPath,
    format_: FormatQuery = None,
) -> Response[CheckpointAnswer]:
    """The manifest: the model file and every measure stored with it."""
    found = asked_of(request).checkpoint
    answer = CheckpointAnswer(
        run=run,
        step=found.step,
        created_at=found.created_at,
        model=found.model,
        measures=found.measures,
        local_learning_coefficient=found.local_learning_coefficient,
    )
    return await respond(request, answer)
