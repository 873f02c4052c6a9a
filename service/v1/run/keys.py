"""A run measured with key frequencies that a request names, a checkpoint at a time."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from litestar.params import QueryParameter

from grokprobe.store.records import CheckpointManifest, Measure, task_of
from service.context import Context
from service.errors import Unfinished
from service.http.preconditions import SettledRequest
from service.runs.view import GivenKeys, RunView
from service.telemetry.requests import state_of
from service.v1.probing import given_keys, measured_with

FINAL = "final"
WITHIN_S = 20.0  # proxies wait for 60 s, a stop of the process for 20

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

    Raises InvalidInput, Overloaded; Unfinished after WITHIN_S, or at the request's own deadline:
    what has been measured by then is kept for the next that asks.
    """
    view, state = request.target.view, state_of(request.scope)
    if keys == FINAL:
        return view
    record = given_keys(keys, task_of(view.manifest), [FINAL])
    wanted = list(checkpoints)
    measured: dict[int, dict[str, Measure]] = {}
    try:
        async with asyncio.timeout(WITHIN_S) as limit:
            for checkpoint in wanted:
                state.unfinished = Unfinished(len(measured), len(wanted))
                with context.inference.permit():
                    found = await measured_with(context, view, checkpoint.step, record.frequencies)
                measured[checkpoint.step] = found
    except TimeoutError:
        if limit.expired():
            raise Unfinished(len(measured), len(wanted)) from None
        raise
    finally:
        state.unfinished = None
    return replace(view, given=GivenKeys(record, measured))
