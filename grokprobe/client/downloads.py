"""A file being downloaded: beside its place until it is whole, so that it can be gone on with."""

import base64
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from grokprobe.client.bars import bar
from grokprobe.client.errors import ClientError, Damaged

SHOWN_BYTES = 2**20  # a download of more has a bar


class Part:
    """What there is of a file, and the SHA-256 that the whole must have, once a reply said it.

    What was cut off is gone on with by whoever holds its lock; who comes meanwhile, or where there
    are no locks, begins a part of its own, of which nothing stays.
    """

    def __init__(self, target: Path) -> None:
        """Raise IsADirectoryError where a file cannot be put."""
        if target.is_dir():
            raise IsADirectoryError(
                errno.EISDIR, "a file is to be named, not a folder", str(target)
            )
        self._target = target
        self.path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.etag")
        self._etag = self._promised = ""
        self._lock: int | None = None
        self._is_done = False  # then what is at its path is another's

    def open(self) -> None:
        """Go on with what is there, or begin a part of one's own. Raises OSError."""
        self._lock = _locked(self.path)
        if self._lock is None:
            self.path = self.path.with_stem(f".{self._target.name}.{secrets.token_hex(4)}")
            self.path.touch(exist_ok=False)
        elif self._note.exists():
            self._etag = self._note.read_text()

    def close(self) -> None:
        """Leave what can be gone on with, and nothing else."""
        if self._lock is None:
            self.path.unlink(missing_ok=True)
            return
        try:
            if not self._is_done and not self.size:
                self.path.unlink()
                self._note.unlink(missing_ok=True)
        finally:
            os.close(self._lock)

    @property
    def size(self) -> int:
        """How many bytes are there."""
        return self.path.stat().st_size

    def headers(self) -> dict[str, str]:
        """Those that ask for the rest: the last byte again, since of a whole part nothing lacks."""
        found = {"Accept-Encoding": "identity"}
        if self._etag and self.size:
            found |= {"Range": f"bytes={self.size - 1}-", "If-Range": self._etag}
        return found

    def go_on(self) -> None:
        """The rest comes, as `headers` asked for it."""
        os.truncate(self.path, self.size - 1)

    def begin(self, etag: str) -> None:
        """Another answer comes, from its first byte."""
        os.truncate(self.path, 0)
        self._etag = etag
        if self._lock is not None:
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
        if self._lock is not None:
            self._note.unlink(missing_ok=True)
        if found == self._promised:
            self.path.replace(self._target)
        else:
            self.path.unlink()
        self._is_done = True
        if found != self._promised:
            message = f"SHA-256 is {found}, {self._promised} was promised"
            raise Damaged(f"{self._target.name}: {message}")


@contextmanager
def taken(to: str | Path) -> Iterator[Part]:
    """The part of a file, this download's alone. What the disk refuses names the file itself.

    Raises ClientError for what is no path.
    """
    try:
        is_path = b"\0" not in os.fsencode(Path(to))
    except (TypeError, ValueError):
        is_path = False
    if not is_path:
        raise ClientError(f"expected the path of a file to be written, got {to!r:.80}")
    part = Part(Path(to))
    try:
        part.open()
        try:
            yield part
        finally:
            part.close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(to)) from None


def _locked(path: Path) -> int | None:
    """The descriptor of a file that is there or made, which holds its lock; None: no lock."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    while True:
        try:
            found = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # another's, who lets nobody write it
            return None
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError) and not os.fstat(found).st_size:
                path.unlink(missing_ok=True)  # a file system without locks: made just now
            os.close(found)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(found), path.stat()):
                return found
        os.close(found)  # who held it has put it in its place meanwhile


def progress(
    name: str, total: int | None, begun: int, bars: bool
) -> AbstractContextManager[Callable[[int], None]]:
    """What is told of each piece's bytes; a bar of a long download, where bars are wanted."""
    if not bars or total is None or total < SHOWN_BYTES:
        return nullcontext(lambda _: None)
    return bar(name, total, begun, in_bytes=True)
