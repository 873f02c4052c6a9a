"""A folder that one process alone works in."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from grokprobe.errors import InvalidInput

LOCK = "lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have a folder, made if it is not there, for this process. Raises InvalidInput, OSError.

    The lock is SQLite's, which gives it up however its holder ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    try:
        path.touch()
        seen = path.stat()
    except FileNotFoundError:
        raise _taken(folder) from None
    with closing(_lock(path)):
        if not path.exists() or not os.path.samestat(seen, path.stat()):
            raise _taken(folder)  # until now: it was removed by whoever had it
        yield


def _lock(path: Path) -> sqlite3.Connection:
    """The lock, taken."""
    lock = None
    try:
        lock = sqlite3.connect(path, timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if lock:
            lock.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY or not path.exists():
            raise _taken(path.parent) from None
        raise OSError(f"{path}: {error}; remove it") from error
    return lock


def empty(folder: Path) -> None:
    """Leave nothing but the lock in a folder that this process has alone."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def remove(folder: Path) -> None:
    """Remove such a folder: the lock after all that it guards."""
    empty(folder)
    with suppress(OSError):  # who comes meanwhile makes a lock of its own there
        (folder / LOCK).unlink()
        folder.rmdir()


def _taken(folder: Path) -> InvalidInput:
    return InvalidInput(str(folder), "another export is at work there; wait until it has ended")
