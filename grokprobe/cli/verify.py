"""`grokprobe verify`: every stored object against its digest."""

from grokprobe.settings import Settings
from grokprobe.store.archive import Archive
from grokprobe.store.backends import open_store


async def verify(settings: Settings, run: str | None) -> int:
    """Print every problem of a run, or of every name in object storage; exit status 1 if any."""
    archive = Archive(open_store(settings))
    names = await archive.names() if run is None else [run]
    problems = [line for name in names for line in await archive.verify(name)]
    for line in problems:
        print(line)
    print(f"verified {len(names)} runs, {len(problems)} problems")
    return 1 if problems else 0
