"""A folder that one process alone works in."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from grokprobe.errors import InvalidInput

LOCK = "lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have a folder, made if it is not there, for this process. Raises InvalidInput, OSError.

    The lock is SQLite's: every system has it, and gives it up however its holder ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    path.touch()
    seen = path.stat()
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as lock:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise _taken(folder) from None
            raise OSError(str(error)) from error
        if not path.exists() or not os.path.samestat(seen, path.stat()):
            raise _taken(folder)  # until now: it was removed by whoever had it
        yield


def _taken(folder: Path) -> InvalidInput:
    return InvalidInput(str(folder), "another export is at work there; wait until it has ended")
