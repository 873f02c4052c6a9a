"""`grokprobe delete`: removes a run for ever."""

import sys

from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends


async def delete(settings: Settings, run: str) -> int:
    """Delete a run: tombstone, index, records, all else, so that nobody finds half of it."""
    async with open_backends(settings) as backends:
        await backends.publisher.mark_deleted(run)
        await backends.catalogue.remove_run(run)
        await backends.publisher.delete(run)
    print(f"deleted {run}; the name is never used again")
    return 0


def confirm(run: str) -> None:
    """Ask for the run's name on the terminal. Raises InvalidInput for any other answer."""
    if not sys.stdin.isatty():
        raise InvalidInput("--yes", f"is needed to delete {run!r} where nobody can be asked")
    print(f"Delete {run} for ever? Type its name to confirm: ", end="", flush=True)
    if sys.stdin.readline().strip() != run:
        raise InvalidInput("", "not confirmed, nothing was deleted")
