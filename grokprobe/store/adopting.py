"""A run that lies elsewhere, published and indexed in the storage of the settings."""

import sys

from grokprobe.errors import CatalogueUnavailable
from grokprobe.settings import Settings
from grokprobe.store.archive.copying import publish_copy
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import open_backends


async def adopt(settings: Settings, source: ArchiveReader, run: str) -> None:
    """Publish a sound run, and index it; a Redis that is away is told and no error.

    Raises as `publish_copy` does.
    """
    async with open_backends(settings) as backends:
        await publish_copy(source, backends.archive, run, settings.max_model_bytes)
        try:
            await backends.catalogue.reconcile(backends.archive, run)
        except CatalogueUnavailable as error:
            print(f"warning: {error.told}; `grokprobe reindex` indexes it later", file=sys.stderr)
