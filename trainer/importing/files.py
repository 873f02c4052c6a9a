"""Files of weights: .safetensors, .npz, .pt and .pth, read whole and without executing anything.

What a file holds is one table of dotted names: {"model": {"embed": {"W_E": ...}}} holds
"model.embed.W_E". Lists are kept whole, as values.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from grokprobe.settings import variable
from grokprobe.store.records import sha256
from grokprobe.text import utf8
from trainer.config.toml import unknown

StateTree = dict[str, Any]

# How torch and numpy say that a file is more than data.
NEEDS_CODE = re.compile(r"GLOBAL ([\w.]+)|(TorchScript)|allow_pickle")


@dataclass(frozen=True)
class Contents:
    """What a file holds, and the digest of its bytes."""

    path: Path
    sha256: str
    table: StateTree

    @property
    def where(self) -> str:
        """The path of the file, with which errors begin."""
        return str(self.path)

    def value(self, field: str) -> Any:
        """What lies under a dotted name, arrays as lists. Raises InvalidInput if nothing does."""
        if field not in self.table:
            raise InvalidInput(self.where, f"{field} {unknown(field, self.table, 'field of it')}")
        try:
            return _plain(self.table[field])
        except RuntimeError:  # a tensor without values, such as a sparse one
            raise InvalidInput(self.where, f"{field} cannot be read as numbers") from None

    def states(self, path: str, besides: Collection[str | None]) -> list[StateTree]:
        """The state dictionaries under a dotted name, without what lies `besides` them.

        Raises InvalidInput if there are none.
        """
        found = self.table.get(path)
        if isinstance(found, list) and found:
            return [_flat(item) for item in found]
        prefix = f"{path}." if path else ""
        state = {
            name.removeprefix(prefix): leaf
            for name, leaf in self.table.items()
            if name.startswith(prefix) and name not in besides
        }
        if not state:
            tops = {name.partition(".")[0] for name in self.table}
            message = f"file.state {path!r} {unknown(path, tops, 'state dictionary of it')}"
            raise InvalidInput(self.where, message)
        return [state]


def read_file(path: Path, limit: int) -> bytes:
    """A file, whole. Raises InvalidInput if it cannot be read or is larger than `limit` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    if _size(data) > limit:
        name = variable("max_model_bytes")
        raise InvalidInput(str(path), f"holds more than {limit} bytes; raise {name} to read it")
    return data


def _size(data: bytes) -> int:
    """The bytes of a file, unpacked if it is an archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return max(len(data), sum(entry.file_size for entry in archive.infolist()))
    except Exception:  # no archive, or one that no reader will open either
        return len(data)


def _safetensors(data: bytes) -> Any:
    return safetensors.torch.load(data)


def _npz(data: bytes) -> Any:
    archive = np.load(io.BytesIO(data), allow_pickle=False)
    arrays = {name: archive[name] for name in archive.files}
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ValueError("another kind of zip archive")  # of whose entries numpy gives the bytes
    return arrays


def _torch(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")


READERS: dict[str, Callable[[bytes], Any]] = {
    ".safetensors": _safetensors,
    ".npz": _npz,
    ".pt": _torch,
    ".pth": _torch,
}


def read_contents(path: Path, limit: int) -> Contents:
    """What a file holds. Raises InvalidInput for all that is not a sound file of its kind."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        kinds = ", ".join(READERS)
        raise InvalidInput(str(path), f"is not a kind of file that is read here, which are {kinds}")
    data = read_file(path, limit)
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch, about formats older than itself
            return Contents(path, sha256(data), _flat(reader(data)))
    except Exception as error:  # of a broken file any library raises anything
        raise InvalidInput(str(path), _reason(error, path.suffix)) from None


def _reason(error: Exception, suffix: str) -> str:
    found = NEEDS_CODE.search(str(error))
    if found is None:
        return f"is no whole {suffix} file of tensors: cut off, or of another kind"
    what = found[1] or found[2] or "Python objects"
    return (
        f"needs {what}, which could execute code, so it is not read; save tensors, numbers, lists "
        "and dictionaries alone, such as a state dictionary"
    )


def _flat(value: Any, path: str = "") -> StateTree:
    """Flatten nested dictionaries into one, with dotted names."""
    if not isinstance(value, Mapping):
        return {path: value}
    parts = (_flat(item, f"{path}.{key}" if path else str(key)) for key, item in value.items())
    return {name: leaf for part in parts for name, leaf in part.items()}


def _plain(value: Any) -> Any:
    """Turn tensors and arrays into numbers and lists of them."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def read_table(file: str, limit: int) -> NDArray[Any]:
    """The table of an .npy or a .json file. Raises InvalidInput if it is none."""
    data = read_file(Path(file), limit)
    try:  # of an .npy not by np.load, which would also open a zip file
        if Path(file).suffix == ".json":
            return np.asarray(msgspec.json.decode(utf8(data, file)))
        table: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except InvalidInput:
        raise
    except Exception:  # a broken npy header comes out as anything
        raise InvalidInput(file, "is no whole table, of .npy or of .json") from None
    return table
