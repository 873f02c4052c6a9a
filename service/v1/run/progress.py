"""What is computed of a run a checkpoint at a time: within which time, and how far it came."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.errors import Unfinished
from service.http.preconditions import SettledRequest
from service.telemetry.requests import state_of

WITHIN_S = 20.0  # proxies wait for 60 s, a stop of the process for 20


@asynccontextmanager
async def unfinished_after(
    request: SettledRequest, wanted: int, done: str
) -> AsyncIterator[Callable[[], None]]:
    """Gives what is called for each of so many checkpoints that is `done`, such as `read`.

    Raises Unfinished after WITHIN_S, or at the request's own deadline: what has been computed by
    then is kept for the next that asks.
    """
    state, so_far = state_of(request.scope), Unfinished(0, wanted, done)

    def count() -> None:
        nonlocal so_far
        state.unfinished = so_far = Unfinished(so_far.done + 1, wanted, done)

    state.unfinished = so_far
    try:
        async with asyncio.timeout(WITHIN_S) as limit:
            yield count
    except TimeoutError:
        if limit.expired():
            raise so_far from None
        raise
    finally:
        state.unfinished = None
