"""Answers kept on disk, for several processes at once.

A file an answer: a line of JSON with its headers and the digest of what follows. It is written
under another name and put in place whole; one that is not what its line says is thrown away. Above
the bound those that were read longest ago go.
"""

import hashlib
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

DEFAULT_BYTES = 512 * 2**20
SUFFIX = ".answer"


class Kept(msgspec.Struct):
    """An answer, and what its headers say of it."""

    media_type: str
    etag: str = ""
    immutable: bool = False
    sha256: str = ""
    body: bytes = b""


def default_folder() -> Path:
    """Where this system keeps what can be had again."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "grokprobe"
    base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "grokprobe"


class Cache:
    """A folder of answers of at most so many bytes; a folder that cannot be used keeps none."""

    def __init__(self, folder: Path, most_bytes: int = DEFAULT_BYTES) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    def _path(self, key: str) -> Path:
        return self._folder / (hashlib.sha256(key.encode()).hexdigest() + SUFFIX)

    def get(self, key: str) -> Kept | None:
        """The answer under a key; None where there is none that is whole."""
        path = self._path(key)
        try:
            head, _, body = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        try:
            found = msgspec.json.decode(head, type=Kept)
        except msgspec.MsgspecError:
            found = Kept("")
        if not found.sha256 or found.sha256 != hashlib.sha256(body).hexdigest():
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        found.body = body
        return found

    def put(self, key: str, kept: Kept) -> None:
        """Keep an answer, unless it is too large or the folder cannot be written."""
        digest = hashlib.sha256(kept.body).hexdigest()
        head = msgspec.json.encode(msgspec.structs.replace(kept, body=b"", sha256=digest))
        data = head + b"\n" + kept.body
        if len(data) > self._most_bytes:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                Path(name).replace(self._path(key))
            finally:
                Path(name).unlink(missing_ok=True)
            self._make_room()

    def _make_room(self) -> None:
        """Remove what was read longest ago; another process may do the same."""
        files = []
        for entry in os.scandir(self._folder):
            with suppress(OSError):
                if entry.name.endswith(SUFFIX):
                    files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most_bytes:
                return
            with suppress(OSError):
                Path(path).unlink()
            total -= size
