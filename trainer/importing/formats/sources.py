"""Rows of bytes, in a file or in memory. Nothing of a file stays open."""

import io
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from grokprobe.errors import InvalidInput

MOST_DIRECTORY = 8 * 2**20  # bytes of a zip archive's list of entries


class Source(Protocol):
    """A row of bytes."""

    @property
    def size(self) -> int: ...  # bytes

    def read(self, start: int, stop: int) -> bytes: ...


@dataclass(frozen=True, eq=False)
class Held:
    """A row of bytes in memory; as text where Python 2 wrote it, so that nothing is copied."""

    data: bytes | str

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`."""
        part = self.data[start:stop]
        return part.encode("latin-1") if isinstance(part, str) else part


@dataclass(eq=False)
class Section:
    """A row of bytes of a file."""

    path: Path
    start: int
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`. Raises EOFError if the file is cut off."""
        with self.path.open("rb") as file:
            file.seek(self.start + start)
            data = file.read(stop - start)
        if len(data) != stop - start:
            raise EOFError(str(self.path))
        return data


@dataclass(frozen=True, eq=False)
class Later:
    """The rest of a row of bytes."""

    whole: Source
    start: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.whole.size - self.start

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`."""
        return self.whole.read(self.start + start, self.start + stop)


@dataclass(frozen=True, eq=False)
class Entry:
    """A file in a zip archive, of which at most `limit` bytes are read at once."""

    packed: Section
    size: int
    crc: int
    deflated: bool
    limit: int

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`; all of them are checked by their sum."""
        if not self.deflated and (start, stop) != (0, self.size):
            return self.packed.read(start, stop)
        if self.size > self.limit:
            raise InvalidInput("", f"has an entry of more than {self.limit} bytes")
        data = self.head(self.size + 1)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise zipfile.BadZipFile
        return data[start:stop]

    def head(self, size: int) -> bytes:
        """The first bytes, at most `size`."""
        if not self.deflated:
            return self.packed.read(0, min(size, self.packed.size))
        most = size + size // 64 + 1024  # no packing makes it longer than that
        data = self.packed.read(0, min(self.packed.size, most))
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)


class Bounded(io.FileIO):
    """A file that is never asked for more bytes at once than a list of entries may have."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; raises InvalidInput for more than that, before there is room made for it."""
        rest = max(0, os.fstat(self.fileno()).st_size - self.tell())
        size = rest if size is None or size < 0 else min(size, rest)
        if size > MOST_DIRECTORY:
            words = f"has a list of entries of more than {MOST_DIRECTORY} bytes"
            raise InvalidInput("", words)
        return super().read(size)


def zip_entries(path: Path, limit: int) -> dict[str, Entry]:
    """The entries of a zip archive, by name. Raises InvalidInput, BadZipFile."""
    with Bounded(path) as file, zipfile.ZipFile(file) as archive:
        end = path.stat().st_size
        return {info.filename: _entry(path, end, file, info, limit) for info in archive.infolist()}


def _entry(path: Path, end: int, file: Bounded, info: zipfile.ZipInfo, limit: int) -> Entry:
    file.seek(info.header_offset)
    head = file.read(30)
    deflated = info.compress_type == zipfile.ZIP_DEFLATED
    names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    packed = Section(path, info.header_offset + 30 + names, info.compress_size)
    sound = head.startswith(b"PK\3\4") and packed.start + packed.size <= end
    plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    if not sound or not (deflated or plain) or info.flag_bits & 1:  # encrypted
        raise zipfile.BadZipFile
    return Entry(packed, info.file_size, info.CRC, deflated, limit)
