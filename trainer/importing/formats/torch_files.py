"""Files of torch.save, and other pickles: values as plain data, tensors unread.

Since 1.6 torch writes a zip archive: one pickle (FOLDER/data.pkl) and an entry for each storage
(FOLDER/data/KEY). Before, and now if asked to, it wrote a row of pickles: a number, a version,
facts of the machine, the value, the list of its storages, and then those as bytes.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from grokprobe.errors import InvalidInput
from trainer.importing.formats.pickled_tensors import TENSOR_BUILDERS, Storage, StorageName
from trainer.importing.formats.sources import Entry, Section
from trainer.importing.formats.stored import itemsize, natural
from trainer.importing.inert import Machine
from trainer.importing.plain_values import text_of

MAGIC = 0x1950A86A20F9469CFC6C  # with which files before 1.6 begin
PICKLE = "data.pkl"
BIG = {b"big": ">"}


def is_archive(entries: Mapping[str, Entry]) -> bool:
    """Whether an archive is one of torch."""
    return any(name.rpartition("/")[2] == PICKLE for name in entries)


def read_archive(entries: Mapping[str, Entry], limit: int) -> Any:
    """The value in an archive of torch. Raises InvalidInput, or anything if it is broken."""
    [name] = [name for name in entries if name.rpartition("/")[2] == PICKLE]
    folder = name.removesuffix(PICKLE)
    if f"{folder}constants.pkl" in entries:
        raise InvalidInput("", "is a program (TorchScript); save its state dictionary instead")
    order = "<"
    if (said := entries.get(f"{folder}byteorder")) is not None:
        order = BIG.get(said.read(0, said.size), "<")
    storages: dict[str, Entry] = {}

    def load(written: Any) -> Storage:
        known = StorageName.read(written)
        entry = storages.setdefault(known.key, entries[f"{folder}data/{known.key}"])
        if known.length * itemsize(known.dtype) > entry.size:
            raise InvalidInput("", f"has a storage {text_of(known.key)} that is cut off")
        return Storage(entry, known.dtype, order=order)

    value = entries[name]
    return Machine(limit, TENSOR_BUILDERS, load).run(io.BytesIO(value.read(0, value.size)))


class Window:
    """What pickletools asks of a stream, never more than there is of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        """The next bytes."""
        return self._file.read(min(size, self._size - self.tell()))

    def readline(self) -> bytes:
        """The next line, or the beginning of a long one."""
        return self._file.readline(2**20)


@dataclass
class _Storages:
    """The storages of a file before 1.6: where they lie is known after the value is read."""

    path: Path
    order: str = "<"
    known: dict[str, Section] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def load(self, written: Any) -> Any:
        """What a persistent name stands for."""
        if isinstance(written, tuple) and written[:1] == ("module",) and len(written) == 4:
            return written[1]  # a class, here with its source
        name = StorageName.read(written)
        size = itemsize(name.dtype)
        section = self.known.setdefault(name.key, Section(self.path, 0, name.length * size))
        self.sizes.setdefault(name.key, size)
        start = 0
        if name.part is not None:
            _, start, _ = name.part
            if not natural(start):
                raise InvalidInput("", f"has a storage from {text_of(start)}")
        return Storage(section, name.dtype, start, self.order)

    def place(self, keys: Any, file: BinaryIO, end: int) -> None:
        """Read where each storage lies: its number of elements, then they themselves."""
        for key in keys:
            text = key if isinstance(key, str) else text_of(key)
            section, size = self.known[text], self.sizes[text]
            if int.from_bytes(file.read(8), "little") * size != section.size:
                raise InvalidInput("", f"has a storage {text_of(key)} of another length")
            section.start = file.tell()
            if file.seek(section.start + section.size) > end:
                raise EOFError(key)


def read_pickles(path: Path, limit: int) -> Any:
    """The value of a file that is no archive: of torch before 1.6, or a single pickle."""
    size = path.stat().st_size
    storages = _Storages(path)
    machine = Machine(limit, TENSOR_BUILDERS, storages.load)
    with path.open("rb") as file:
        stream: Any = Window(file, size)
        value = machine.run(stream)
        if value != MAGIC:
            return value
        machine.run(stream)
        facts = machine.run(stream)
        storages.order = "<" if facts["little_endian"] else ">"
        value = machine.run(stream)
        storages.place(machine.run(stream), file, size)
        return value
