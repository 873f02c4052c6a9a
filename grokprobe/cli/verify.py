"""`grokprobe verify`: every stored object against its digest."""

from grokprobe.settings import Settings
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems


async def verify(settings: Settings, run: str | None) -> int:
    """Print every problem of a run, or of every name in object storage; exit status 1 if any."""
    archive = ArchiveReader(open_store(settings))
    names = await archive.names() if run is None else [run]
    found = [line for name in names for line in await problems(archive, name)]
    for line in found:
        print(line)
    print(f"verified {len(names)} runs, {len(found)} problems")
    return 1 if found else 0
