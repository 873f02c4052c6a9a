"""`grokprobe verify`: every stored object against its digest."""

from contextlib import suppress

from grokprobe.errors import RunNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems


async def verify(settings: Settings, run: str | None) -> int:
    """Print every problem of a run, or of every name in object storage; exit status 1 if any."""
    archive = ArchiveReader(open_store(settings))
    told = {} if run is None else {run: await problems(archive, run)}
    for name in await archive.names() if run is None else []:
        with suppress(RunNotFound):  # a folder of a freed name
            told[name] = await problems(archive, name)
    found = [line for lines in told.values() for line in lines]
    for line in found:
        print(line)
    print(f"verified {len(told)} runs, {len(found)} problems")
    return 1 if found else 0
