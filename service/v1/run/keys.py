"""A run measured with key frequencies that a request names, a checkpoint at a time."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from litestar.params import QueryParameter

from grokprobe.store.records import CheckpointManifest, Measure, task_of
from service.context import Context
from service.http.preconditions import SettledRequest
from service.runs.view import GivenKeys, RunView
from service.v1.probing import given_keys, measured_with
from service.v1.run.progress import unfinished_after

FINAL = "final"

RunKeys = Annotated[
    str,
    QueryParameter(
        description="`final`: the run's key frequencies; or frequencies such as 14,35, with which "
        "every checkpoint is measured. What takes longer than a request may is 503: ask again."
    ),
]


async def view_with_keys(
    context: Context, request: SettledRequest, keys: str, checkpoints: Iterable[CheckpointManifest]
) -> RunView:
    """The request's run, with these checkpoints measured with the keys that it names, if any.

    Raises InvalidInput, Overloaded, Unfinished.
    """
    view = request.target.view
    if keys == FINAL:
        return view
    record = given_keys(keys, task_of(view.manifest), [FINAL])
    wanted = list(checkpoints)
    measured: dict[int, dict[str, Measure]] = {}
    async with unfinished_after(request, len(wanted), "measured with these keys") as count:
        for checkpoint in wanted:
            with context.inference.permit():
                found = await measured_with(context, view, checkpoint.step, record.frequencies)
            measured[checkpoint.step] = found
            count()
    return replace(view, given=GivenKeys(record, measured))
