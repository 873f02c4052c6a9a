"""Checkpoints of a run: the list, and one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.measures_table import ROW_MEASURES
from grokprobe.store.records import CheckpointManifest, LearningCoefficient, ModelRecord
from service.formats.registry import RECORD, TABLE
from service.formats.tables import columns_of, table_of
from service.http.openapi import OF_A_RUN, offering
from service.http.parameters import PAGE, FromStep, Limit, RunPath, ToStep
from service.http.preconditions import SettledRequest
from service.http.responses import cite_as, next_link, respond


class CheckpointRow(msgspec.Struct):
    """A checkpoint in the list."""

    step: int
    created_at: datetime
    train_loss: float | None
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    weight_norm: float | None
    gini_embedding: float | None
    sha256: str
    bytes: int


class CheckpointList(msgspec.Struct):
    """A page of checkpoints in the order of their steps."""

    run: str
    checkpoints: list[CheckpointRow]
    next: int | None


class CheckpointAnswer(msgspec.Struct):
    """One checkpoint: its model and every measure that was stored with it."""

    run: str
    step: int
    created_at: datetime
    model: ModelRecord
    measures: dict[str, float | None]
    local_learning_coefficient: LearningCoefficient | None


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
    request: SettledRequest,
    run: RunPath,
    from_step: FromStep = None,
    to_step: ToStep = None,
    limit: Limit = PAGE,
    after: Annotated[int | None, QueryParameter(ge=0, description="The cursor of a page.")] = None,
) -> Response[CheckpointList]:
    """Checkpoints in the order of their steps, a page at a time."""
    found = [
        c
        for c in request.target.view.between(from_step, to_step)
        if after is None or c.step > after
    ]
    page, rest = found[:limit], found[limit:]
    answer = CheckpointList(run, _rows(page), page[-1].step if rest else None)
    table = table_of(answer, "checkpoints", columns_of(CheckpointRow))
    return await respond(request.reply, answer, table, headers=next_link(request, answer.next))


@get(
    "/runs/{run:str}/checkpoints/{step:str}",
    summary="One checkpoint",
    tags=["checkpoints"],
    **offering(RECORD, OF_A_RUN, "checkpoint"),
)
async def get_checkpoint(
    request: SettledRequest,
    run: RunPath,
) -> Response[CheckpointAnswer]:
    """The manifest: the model file and every measure stored with it."""
    found = request.target.checkpoint
    answer = CheckpointAnswer(
        run=run,
        step=found.step,
        created_at=found.created_at,
        model=found.model,
        measures=found.measures,
        local_learning_coefficient=found.local_learning_coefficient,
    )
    cited = {} if request.target.label else cite_as(request, request.target.view)
    return await respond(request.reply, answer, headers=cited)
