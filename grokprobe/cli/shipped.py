"""The run that comes with the package: it is there at once, so that nobody waits for a training.

`python -m grokprobe.cli.shipped` publishes it; a process of its own, since Ctrl-C ends a child
wherever it is, and what is cut there the next one goes on with.
"""

import asyncio
import sys
import zipfile
from pathlib import Path

from obstore.store import MemoryStore

from grokprobe.errors import GrokprobeError, RunDeleted, SettingError
from grokprobe.settings import Settings, read_settings, refuse_memory, variable
from grokprobe.store.adopting import adopt
from grokprobe.store.archive.reader import ArchiveReader

RUN = "narrow"
PACKED = Path(__file__).parents[1] / "shipped" / f"{RUN}.zip"  # made by tools/shipped.py


def publish_shipped(settings: Settings) -> None:
    """Publish it in the storage of the settings, where it is not there yet.

    Raises SettingError where nothing would be kept or its name is taken for ever, and as `adopt`.
    """
    refuse_memory(settings)
    unpacked = MemoryStore()  # what is cut leaves no folder behind
    with zipfile.ZipFile(PACKED) as packed:
        for name in packed.namelist():
            unpacked.put(name, packed.read(name))
    try:
        asyncio.run(adopt(settings, ArchiveReader(unpacked), RUN))
    except RunDeleted:
        message = f"its run {RUN} was deleted, for ever; name another folder"
        raise SettingError(variable("home"), message) from None


if __name__ == "__main__":
    try:
        publish_shipped(read_settings())
    except (GrokprobeError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
