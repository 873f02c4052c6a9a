"""The run that comes with the package: it is there at once, so that nobody waits for a training."""

import asyncio
import tempfile
import zipfile
from pathlib import Path

from obstore.store import LocalStore

from grokprobe.settings import Settings
from grokprobe.store.adopting import adopt
from grokprobe.store.archive.reader import ArchiveReader

RUN = "narrow"
PACKED = Path(__file__).parents[1] / "shipped" / f"{RUN}.zip"  # made by tools/shipped.py


def publish_shipped(settings: Settings) -> None:
    """Publish it in the storage of the settings, where it is not there yet.

    Raises InvalidInput where another run has its name, RunDeleted where its name is taken for ever.
    """
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(PACKED) as packed:
        packed.extractall(folder)
        asyncio.run(adopt(settings, ArchiveReader(LocalStore(folder)), RUN))
