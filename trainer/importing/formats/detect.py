"""What a file is, told by its first bytes: nobody has to name it as it is."""

from pathlib import Path
from typing import Any

from grokprobe.errors import InvalidInput
from trainer.importing.formats.array_files import is_npz, read_npz, read_safetensors
from trainer.importing.formats.sources import zip_entries
from trainer.importing.formats.torch_files import is_archive, read_archive, read_pickles

KINDS = ".pt, .pth and .ckpt of torch, .safetensors, .npz"


def read_value(path: Path, limit: int) -> Any:
    """What a file holds, its tensors unread.

    `limit` bounds the memory that this takes, whatever is in the file. Raises InvalidInput for what
    is not read here, and anything for a file that is broken.
    """
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK\3\4"):
        return _of_archive(path, limit)
    if head[8:] == b"{":
        return read_safetensors(path)
    return read_pickles(path, limit)


def _of_archive(path: Path, limit: int) -> Any:
    entries = zip_entries(path, limit)
    if is_archive(entries):
        return read_archive(entries, limit)
    if is_npz(entries):
        return read_npz(entries)
    raise InvalidInput("", f"is another kind of archive; those that are read are {KINDS}")
