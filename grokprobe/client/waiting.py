"""To wait, and where that is, in either kind of client: one is put in the place of the other."""

import asyncio
import os
import time


async def sleep_async(seconds: float) -> None:
    """Let others run meanwhile."""
    await asyncio.sleep(seconds)


def sleep(seconds: float) -> None:
    """Block."""
    time.sleep(seconds)


def here_async() -> tuple[int, asyncio.AbstractEventLoop | None]:
    """What connections cannot leave: this process and its event loop that runs, if one does."""
    try:
        return os.getpid(), asyncio.get_running_loop()
    except RuntimeError:
        return os.getpid(), None


def here() -> int:
    """What connections cannot leave: this process."""
    return os.getpid()
