"""`grokprobe delete`: removes a run for ever, or as if its name had never been used."""

import sys

from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.store.archive.freeing import check_may_be_freed
from grokprobe.store.backends import open_backends

FREED = (
    "caches may hold its answers for up to a year: browsers, proxies, notebooks; whoever asked it "
    "anything should reload"
)


async def delete(settings: Settings, run: str, free_name: bool) -> int:
    """Delete a run: tombstone, index, records, all else, so that nobody finds half of it.

    Last of all the tombstone, if its name is to be free: till then the run stays deleted. Raises
    NameKept, before anything is deleted, if somebody may rely on the run.
    """
    async with open_backends(settings) as backends:
        if free_name:
            await check_may_be_freed(backends.archive, run)
        await backends.publisher.mark_deleted(run)
        await backends.catalogue.remove_run(run)
        await backends.publisher.delete(run)
        if free_name:
            await backends.publisher.free_name(run)
    if free_name:
        print(f"warning: {FREED}", file=sys.stderr)
    print(f"deleted {run}; the name is {'free' if free_name else 'never used again'}")
    return 0


def confirm(run: str) -> None:
    """Ask for the run's name on the terminal. Raises InvalidInput for any other answer."""
    if not sys.stdin.isatty():
        raise InvalidInput("--yes", f"is needed to delete {run!r} where nobody can be asked")
    print(f"Delete {run} for ever? Type its name to confirm: ", end="", flush=True)
    if sys.stdin.readline().strip() != run:
        raise InvalidInput("", "not confirmed, nothing was deleted")
