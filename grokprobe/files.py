"""Files that are there whole or not at all."""

import os
from pathlib import Path


def put(path: Path, data: bytes) -> None:
    """Write a file beside its place and put it there at once. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
