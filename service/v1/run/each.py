"""What is computed of one checkpoint after another, as far as the time of a request goes."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from grokprobe.store.archive.objects import gather
from service.context import Context
from service.errors import Unfinished
from service.http.preconditions import SettledRequest
from service.telemetry.requests import state_of

WITHIN_S = 20.0  # proxies wait for 60 s, a stop of the process for 20


async def for_each(
    context: Context,
    request: SettledRequest,
    steps: Sequence[int],
    work: Callable[[int], Coroutine[Any, Any, object]],
    at_once: int = 1,
) -> None:
    """Work on each step, which keeps what it computes, so many at a time under one permit.

    Raises Overloaded; Unfinished after WITHIN_S, or at the request's own deadline: what has been
    computed by then is kept for the next that asks.
    """
    state, done = state_of(request.scope), 0
    try:
        async with asyncio.timeout(WITHIN_S) as limit:
            for start in range(0, len(steps), at_once):
                state.unfinished = Unfinished(done, len(steps))
                some = steps[start : start + at_once]
                with context.inference.permit():
                    await gather(work, some)
                done += len(some)
    except TimeoutError:
        if limit.expired():
            raise Unfinished(done, len(steps)) from None
        raise
    finally:
        state.unfinished = None
