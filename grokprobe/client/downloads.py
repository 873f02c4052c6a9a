"""A file being downloaded: beside its place until it is whole, so that it can be gone on with."""

import base64
import errno
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from grokprobe.client.bars import bar
from grokprobe.client.errors import Damaged

SHOWN_BYTES = 2**20  # a download of more has a bar


class Part:
    """What there is of a file, and the SHA-256 that the whole must have, once a reply said it."""

    def __init__(self, target: Path) -> None:
        """Raise IsADirectoryError where a file cannot be put."""
        if target.is_dir():
            raise IsADirectoryError(
                errno.EISDIR, "a file is to be named, not a folder", str(target)
            )
        self._target = target
        self.path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.etag")
        self._promised = ""

    @property
    def etag(self) -> str:
        """Of what this is a part; empty where nothing is there."""
        return self._note.read_text() if self.path.exists() and self._note.exists() else ""

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def headers(self) -> dict[str, str]:
        """Those that ask for the rest: the last byte again, since of a whole part nothing lacks."""
        found = {"Accept-Encoding": "identity"}
        if self.etag and self.size:
            found |= {"Range": f"bytes={self.size - 1}-", "If-Range": self.etag}
        return found

    def go_on(self) -> None:
        """The rest comes, as `headers` asked for it."""
        os.truncate(self.path, self.size - 1)

    def begin(self, etag: str) -> None:
        """Another answer comes, from its first byte."""
        self.path.write_bytes(b"")
        self._note.write_text(etag)

    def promise(self, headers: Mapping[str, str]) -> None:
        """Note the digest that a reply states: by itself, or as the ETag of a stored file."""
        stated = re.fullmatch(r"sha-256=:([\w+/=]+):", headers.get("Repr-Digest", ""))
        etag = headers.get("ETag", "").strip('"')
        self._promised = base64.b64decode(stated[1]).hex() if stated else etag

    def finish(self) -> None:
        """Put the file in its place. Raises Damaged, and leaves nothing, if its digest differs."""
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        self._note.unlink(missing_ok=True)
        if found != self._promised:
            self.path.unlink()
            message = f"SHA-256 is {found}, {self._promised} was promised"
            raise Damaged(f"{self._target.name}: {message}")
        self.path.replace(self._target)


def progress(
    name: str, total: int | None, begun: int, bars: bool
) -> AbstractContextManager[Callable[[int], None]]:
    """What is told of each piece's bytes; a bar of a long download, where bars are wanted."""
    if not bars or total is None or total < SHOWN_BYTES:
        return nullcontext(lambda _: None)
    return bar(name, total, begun, in_bytes=True)
