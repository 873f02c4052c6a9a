"""To wait, in either kind of client: one is put in the place of the other."""

import asyncio
import time


async def sleep_async(seconds: float) -> None:
    """Let others run meanwhile."""
    await asyncio.sleep(seconds)


def sleep(seconds: float) -> None:
    """Block."""
    time.sleep(seconds)
