"""`grokprobe verify`: every stored object against its digest, and the index against them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from grokprobe.errors import CatalogueUnavailable, RunNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import Examined, examine
from grokprobe.store.backends import open_redis
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.comparison import differences
from grokprobe.store.catalogue.entries import NOT_WHOLE


async def verify(settings: Settings, run: str | None) -> int:
    """Print every problem of a run, or of every name in object storage; exit status 1 if any.

    Which checkpoints of a run are identical is told too, and no problem; nor is an index that is
    not whole, or away: nobody believes it.
    """
    archive = ArchiveReader(open_store(settings))
    told = {} if run is None else {run: await examine(archive, run)}
    for name in await archive.names() if run is None else []:
        with suppress(RunNotFound):  # a folder of a freed name
            told[name] = await examine(archive, name)
    found = [line for one in told.values() for line in one.problems]
    try:
        async with open_redis(settings) as (catalogue, _):
            differing = await _of_the_index(catalogue, archive, run, [*told])
        found += differing
        compared = "the index differs" if differing else "the index has the same"
    except CatalogueUnavailable as error:
        compared = f"the index was not compared: {error}"
    for line in [*found, *_identical(told)]:
        print(line)
    print(f"verified {len(told)} runs, {len(found)} problems; {compared}")
    return 1 if found else 0


def _identical(told: Mapping[str, Examined]) -> Iterator[str]:
    """A line for each set of checkpoints that have the same weights."""
    for run, examined in told.items():
        for steps in examined.identical:
            yield f"run {run!r}: the weights of steps {', '.join(map(str, steps))} are identical"


async def _of_the_index(
    catalogue: Catalogue, archive: ArchiveReader, run: str | None, names: list[str]
) -> list[str]:
    """A line for each difference. Raises CatalogueUnavailable, too where it is not whole."""
    if not await catalogue.ready():
        raise CatalogueUnavailable(NOT_WHOLE)
    if run is None:
        names = sorted({*names, *await catalogue.runs()})
    found = [await differences(catalogue, archive, name) for name in names]
    return [line for lines in found for line in lines]
