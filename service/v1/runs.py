"""Runs: the list, one run, its checkpoints."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.store.catalogue.filters import RunFilter
from grokprobe.store.records import Status, TaskRecord
from grokprobe.task import Operation
from service.context import FromContext
from service.formats.registry import RECORD, TABLE
from service.formats.tables import columns_of, table_of
from service.http.openapi import OF_A_LIST, OF_A_RUN, offering
from service.http.parameters import PAGE, Limit
from service.http.preconditions import SettledRequest
from service.http.responses import cite_as, next_link, respond
from service.runs.listing import RunRow, page_of_runs
from service.runs.view import RunView


class RunList(msgspec.Struct):
    """A page of runs in the order of their names; `next` is the cursor of the following page."""

    runs: list[RunRow]
    next: str | None


class RunAnswer(msgspec.Struct):
    """A run; steps are null until they are reached."""

    run: str
    group: str | None
    created_at: datetime
    status: Status
    task: TaskRecord
    architecture: dict[str, Any]
    optimiser: dict[str, Any]
    seed: int | None
    checkpoint_count: int
    first_step: int | None
    latest_step: int | None
    memorised_step: int | None
    generalised_step: int | None
    key_frequencies: list[int] | None


@get("/runs", summary="Published runs", tags=["runs"], **offering(TABLE, OF_A_LIST))
async def list_runs(
    request: SettledRequest,
    context: FromContext,
    limit: Limit = PAGE,
    after: Annotated[str, QueryParameter(description="The cursor `next` of a page.")] = "",
    operation: Annotated[Operation | None, QueryParameter(description="Only this one.")] = None,
    modulus: Annotated[int | None, QueryParameter(ge=1, description="Only this one.")] = None,
    status: Annotated[Status | None, QueryParameter(description="Only this one.")] = None,
    group: Annotated[str | None, QueryParameter(description="Only its members.")] = None,
) -> Response[RunList]:
    """Runs in the order of their names, a page at a time; filters apply before paging.

    Only a null `next` is the end: while the index is away a page may have fewer rows than `limit`.
    """
    wanted = RunFilter(operation=operation, modulus=modulus, status=status, group=group)
    page = await page_of_runs(context.source, context.metrics, after, limit, wanted)
    answer = RunList(page.rows, page.next)
    table = table_of(answer, "runs", columns_of(RunRow))
    return await respond(request.reply, answer, table, headers=next_link(request, answer.next))


@get("/runs/{run:str}", summary="One run", tags=["runs"], **offering(RECORD, OF_A_RUN, "run"))
async def get_run(
    request: SettledRequest,
) -> Response[RunAnswer]:
    """What was trained, how far it is, and from which step it memorised and generalised."""
    view = request.target.view
    return await respond(request.reply, _run_answer(view), headers=cite_as(request, view))


def _run_answer(view: RunView) -> RunAnswer:
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
