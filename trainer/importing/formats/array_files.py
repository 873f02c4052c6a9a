"""Files of numpy.savez and of safetensors: tables of tensors, which stay unread."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors

from grokprobe.errors import InvalidInput
from trainer.importing.formats.pickled_tensors import OF_NUMPY
from trainer.importing.formats.sources import Entry, Later, Section
from trainer.importing.formats.stored import Stored, contiguous, stored

LONGEST_HEADER = 10_000  # bytes before an array of numpy
MOST_NAMES = 16 * 2**20  # bytes of safetensors' table
METADATA = "__metadata__"
OF_SAFETENSORS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}


class Place(msgspec.Struct):
    """A tensor of safetensors."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def is_npz(entries: Mapping[str, Entry]) -> bool:
    """Whether an archive is one of numpy."""
    return bool(entries) and all(name.endswith(".npy") for name in entries)


def read_npz(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """The arrays of an archive of numpy."""
    return {name.removesuffix(".npy"): _array(entry) for name, entry in entries.items()}


def _array(entry: Entry) -> Stored:
    head = io.BytesIO(entry.head(LONGEST_HEADER))
    version = np.lib.format.read_magic(head)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, fortran, dtype = read[version](head, max_header_size=LONGEST_HEADER)
    code = f"{dtype.kind}{dtype.itemsize}"
    name = OF_NUMPY.get(code, f"numpy's {dtype}")
    order = ">" if dtype.byteorder == ">" else "<"
    return stored(Later(entry, head.tell()), name, 0, shape, contiguous(shape, fortran), order)


def read_safetensors(path: Path) -> dict[str, Any]:
    """The tensors of safetensors, and its metadata under their name there."""
    with safetensors.safe_open(path, "numpy") as checked:
        names = checked.keys()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MOST_NAMES:
            raise InvalidInput("", f"has a table of more than {MOST_NAMES} bytes")
        table = msgspec.json.decode(file.read(length), type=dict[str, msgspec.Raw])
    metadata = msgspec.json.decode(table.get(METADATA, b"{}"), type=dict[str, str])
    places = {name: msgspec.json.decode(table[name], type=Place) for name in names}
    found = {name: _tensor(path, 8 + length, place) for name, place in places.items()}
    return {**found, METADATA: metadata} if metadata else found


def _tensor(path: Path, base: int, place: Place) -> Stored:
    start, stop = place.data_offsets
    source = Section(path, base + start, stop - start)
    name = OF_SAFETENSORS.get(place.dtype, place.dtype)
    return stored(source, name, 0, place.shape, contiguous(place.shape))
