"""Files that a command was told to write."""

import os
from pathlib import Path

from grokprobe.errors import InvalidInput


def check_place(output: Path) -> None:
    """Raise InvalidInput, before any work, if no file can be there."""
    if output.is_dir():
        raise InvalidInput("--output", f"{output} cannot be written: it is a folder")
    if not output.parent.is_dir():
        raise InvalidInput("--output", f"{output} cannot be written: there is no such folder")
    if not os.access(output.parent, os.W_OK):
        raise InvalidInput("--output", f"{output} cannot be written: its folder is not yours")


def write(output: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises InvalidInput where it cannot be."""
    try:
        put(output, data)
    except OSError as error:
        raise InvalidInput("--output", f"{output} cannot be written: {error.strerror}") from None


def put(path: Path, data: bytes) -> None:
    """Write a file beside its place and put it there at once. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
