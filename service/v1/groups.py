"""Groups: what runs that are studied together tell as an ensemble."""

import asyncio
from typing import Annotated, Literal

import msgspec
from litestar import Response, get
from litestar.params import PathParameter, QueryParameter

from grokprobe.analysis import ANALYSIS_VERSION
from grokprobe.analysis.precursors.study import Study, study
from grokprobe.store.records import sha256
from grokprobe.studies import member_of, study_bytes
from service.charts import drawing
from service.charts.group.distributions import distribution
from service.charts.group.precursors import precursors
from service.charts.group.survival import survival
from service.context import Context, FromContext
from service.formats.pictures import PICTURES
from service.formats.registry import TABLE
from service.formats.tables import Table
from service.http.asgi import AnyResponse
from service.http.caching import weak_tag
from service.http.openapi import OF_A_GROUP, documented, offering
from service.http.preconditions import SettledRequest, made_by
from service.http.queries import in_order
from service.runs.groups import Group, MemberRow
from service.v1.group_answer import GroupEmergenceAnswer, answer_group, table_of_group
from service.v1.precursor_table import table_of_study

CHARTS: dict[str, drawing.Chart] = {"distribution": distribution, "survival": survival}
ChartQuery = Annotated[
    Literal["distribution", "survival"],
    QueryParameter(description="What a picture shows."),
]
GroupPath = Annotated[str, PathParameter(description="The group's name.")]


def _headers(context: Context, request: SettledRequest, what: str, group: Group) -> dict[str, str]:
    """The ETag, from how far the members are: nothing has been read for it.

    Never kept unasked, though all may have ended: another member may be published at any time.
    """
    rest = [item for item in in_order(request) if item[0] != "format"]
    chosen = request.reply.format
    question = (what, group.name, sorted(rest), chosen.media_type)
    made_of = (ANALYSIS_VERSION, made_by(context, chosen), question, group.states)
    return {"ETag": weak_tag(msgspec.json.encode(made_of)), "Cache-Control": "no-cache"}


def _digest(group: Group) -> str:
    """What the members are known by, and how far they are."""
    return sha256(msgspec.json.encode((ANALYSIS_VERSION, group.name, group.states)))


def _caption(group: Group) -> str:
    """Whose picture it is."""
    return f"group {group.name}, {len(group.states)} runs, sha256 {_digest(group)[:12]}"


def _answer(group: str, rows: list[MemberRow]) -> tuple[GroupEmergenceAnswer, Table]:
    answer = answer_group(group, rows)
    return answer, table_of_group(answer)


@get(
    "/groups/{group:str}/emergence",
    summary="When it emerged in the runs of a group",
    tags=["groups"],
    **offering((*TABLE, *PICTURES), OF_A_GROUP),
)
async def get_group_emergence(
    request: SettledRequest,
    context: FromContext,
    group: GroupPath,
    chart: ChartQuery = "distribution",
) -> Response[GroupEmergenceAnswer]:
    """What each member tells, and how memorised, generalised and the lags are spread.

    A member that has not generalised is later than it was watched: counted as censored, in no mean.
    """
    found = await context.members.group(group)
    headers = _headers(context, request, "emergence", found)
    answer_headers = {**request.reply.headers, **headers}
    unchanged: AnyResponse | None = request.reply.not_modified(answer_headers)
    if unchanged:
        return unchanged
    rows = await context.members.rows(found)
    answer, table = await asyncio.to_thread(_answer, group, rows)
    return await drawing.respond(
        context,
        request,
        answer,
        table,
        chart=CHARTS[chart],
        caption=[_caption(found)],
        headers=headers,
    )


@get(
    "/groups/{group:str}/precursors",
    summary="What moves before the runs of a group generalise",
    tags=["groups"],
    **offering((*TABLE, *PICTURES), {**OF_A_GROUP, **documented(422)}),
)
async def get_precursors(
    request: SettledRequest,
    context: FromContext,
    group: GroupPath,
) -> Response[Study]:
    """How long before generalisation each series crosses its own threshold, and false alarms.

    Thresholds are chosen on the members of every other seed and judged on the rest.
    """
    found = await context.members.group(group)
    headers = _headers(context, request, "precursors", found)
    unchanged: AnyResponse | None = request.reply.not_modified({**request.reply.headers, **headers})
    if unchanged:
        return unchanged
    identity = _digest(found)
    answer = await context.derived.get(
        identity, "precursors", Study, lambda: _study(context, found)
    )
    return await drawing.respond(
        context,
        request,
        answer,
        table_of_study(answer),
        chart=precursors,
        caption=[_caption(found)],
        headers=headers,
    )


async def _study(context: Context, group: Group) -> Study:
    """Read all series of all members, and judge them."""
    need = study_bytes(sum(state.checkpoint_count for state in group.states))
    async with context.inference.memory.reserve(need, f"the series of group {group.name!r}"):
        members = await context.members.each(group, lambda view: member_of(view.contents, {}))
        return await asyncio.to_thread(study, group.name, members)
