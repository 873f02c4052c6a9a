"""What a file of weights holds: its fields and state dictionaries, by paths into it.

A path is dotted through dictionaries, objects and networks, with `[0]` for a member of a list:
"model.embed.W_E", "config.d_model", "state_dicts[3]". Nothing in a file is ever executed, and its
tensors stay there until they are asked for.
"""

import hashlib
import io
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from grokprobe.settings import variable
from grokprobe.text import utf8
from trainer.config.toml import unknown
from trainer.importing.formats.array_files import METADATA
from trainer.importing.formats.detect import KINDS, read_value
from trainer.importing.formats.stored import Stored
from trainer.importing.plain_values import REBUILD, Record, find, flat, kind_of, numbers

StateTree = dict[str, Any]

TENSORS = (REBUILD, "torch.Tensor")  # with which records of tensors begin
MOST_KNOWN = 1_000  # names among which the one is looked for that was meant


@dataclass(frozen=True)
class Contents:
    """What a file holds, its tensors unread, and the digest of its bytes.

    `limit` is how many bytes of a checkpoint are read.
    """

    path: Path
    sha256: str
    table: Any
    limit: int = 2**63

    @property
    def where(self) -> str:
        """The path of the file, with which errors begin."""
        return str(self.path)

    def value(self, field: str) -> Any:
        """What lies under a path, arrays as lists. Raises InvalidInput if nothing does."""
        try:
            return numbers(self._find(field, "field of it"))
        except InvalidInput as error:
            raise InvalidInput(self.where, f"{field} {error.message}") from None
        except Exception:  # a tensor without values, or whose bytes are damaged
            raise InvalidInput(self.where, f"{field} cannot be read as numbers") from None

    def states(self, path: str, besides: Collection[str | None]) -> list[StateTree]:
        """The state dictionaries under a path, without what lies `besides` them.

        A list is one of each of its members. Raises InvalidInput if there are none.
        """
        try:
            found = self._find(path, "state dictionary of it")
            lists = isinstance(found, list | tuple) and found
            states = [flat(one) for one in (found if lists else [found])]
        except InvalidInput as error:
            raise InvalidInput(self.where, f"file.state {path!r} {error.message}") from None
        prefix = f"{path}." if path else ""
        states = [
            {name: leaf for name, leaf in state.items() if prefix + name not in besides}
            for state in states
        ]
        for state in states:
            self._check_size(state)
        if not all(states) or any("" in state for state in states):
            raise InvalidInput(self.where, f"file.state {path!r} is no state dictionary")
        return states

    def _find(self, path: str, what: str) -> Any:
        for tried in (path, f"{METADATA}.{path}"):
            try:
                return find(self.table, tried)
            except LookupError:
                continue
        raise InvalidInput("", unknown(path, self.names()[:MOST_KNOWN], what))

    def names(self) -> list[str]:
        """The paths that there are, and the dictionaries on the way to them."""
        names = list(flat(self.table))
        tops = dict.fromkeys(name.partition(".")[0] for name in names)
        return [*tops, *(name for name in names if name not in tops)]

    def _check_size(self, state: StateTree) -> None:
        size = sum(leaf.nbytes for leaf in state.values() if isinstance(leaf, Stored))
        if size > self.limit:
            name = variable("max_model_bytes")
            message = f"has a checkpoint of more than {self.limit} bytes; raise {name} to read it"
            raise InvalidInput(self.where, message)


def read_file(path: Path, limit: int) -> bytes:
    """A file, whole. Raises InvalidInput if it cannot be read or is larger than `limit` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    if len(data) > limit:
        name = variable("max_model_bytes")
        raise InvalidInput(str(path), f"holds more than {limit} bytes; raise {name} to read it")
    return data


def read_contents(path: Path, limit: int) -> Contents:
    """What a file holds, whatever it is called. Raises InvalidInput if it is none that is read.

    The file may be larger than `limit` bytes, but nothing that is read at once may.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise InvalidInput(str(path), "is no file; save it to one first")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    try:
        return Contents(path, digest, read_value(path, limit), limit)
    except InvalidInput as error:
        raise InvalidInput(str(path), error.message) from None
    except Exception:  # of a broken file any library raises anything
        message = f"is no whole file of tensors: cut off, or none of those that are read, {KINDS}"
        raise InvalidInput(str(path), message) from None


def is_tensor(leaf: Any) -> bool:
    """Whether a leaf is a tensor, be it one that can be read or not."""
    return hasattr(leaf, "__array__") or (
        isinstance(leaf, Record) and leaf.name.startswith(TENSORS)
    )


def read_array(leaf: Any, where: str) -> NDArray[Any]:
    """The numbers of a tensor of a file. Raises InvalidInput if there are none to be read."""
    if not hasattr(leaf, "__array__"):
        raise InvalidInput(where, f"is no dense tensor of numbers but {kind_of(leaf)}")
    try:
        return np.asarray(leaf)
    except InvalidInput as error:
        raise InvalidInput(where, error.message) from None
    except Exception:  # whatever a library says of bytes that are damaged
        raise InvalidInput(where, "cannot be read: damaged, or the file has changed") from None


def read_plain(path: Path, limit: int) -> Any:
    """What an .npy or a .json file holds. Raises InvalidInput if it is none."""
    data = read_file(path, limit)
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(utf8(data, str(path)))
        # Not np.load, which would also open a zip file.
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except InvalidInput:
        raise
    except Exception:  # a broken npy header comes out as anything
        raise InvalidInput(str(path), "is no whole table, of .npy or of .json") from None


def read_table(file: str, limit: int) -> NDArray[Any]:
    """The table of an .npy or a .json file. Raises InvalidInput if it is none."""
    try:
        return np.asarray(read_plain(Path(file), limit))
    except ValueError:  # rows of different lengths
        raise InvalidInput(file, "is no whole table, of .npy or of .json") from None
