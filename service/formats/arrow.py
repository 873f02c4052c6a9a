"""Tables as Arrow IPC streams and Parquet files, in blocks.

Imported when the first of them is asked for: pyarrow takes a tenth of a second and 40 MB. The
answer's fields beside its rows are one JSON object under `grokprobe` in the schema's metadata.
"""

import io
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import inspect

from grokprobe.machine.cpus import allowed_cpus
from service.formats.tables import AnyArray, Block, Columns

pa.set_cpu_count(allowed_cpus())  # else one thread for each CPU of the machine
METADATA = "grokprobe"
Arrow = Any  # a type, schema, writer or batch of pyarrow, which has no annotations

SCALARS = {
    inspect.IntType: pa.int64(),
    inspect.FloatType: pa.float64(),
    inspect.BoolType: pa.bool_(),
    inspect.StrType: pa.string(),
    inspect.LiteralType: pa.string(),
    inspect.DateTimeType: pa.timestamp("us", tz="UTC"),
}


def arrow_type(kind: object) -> Arrow:
    """The Arrow type of a column, from a Python annotation or a numpy dtype.

    It depends on the annotation alone, never on the values: a record is a struct, and an object
    with free keys a map from strings.
    """
    if isinstance(kind, np.dtype):
        each = pa.from_numpy_dtype(kind.base)
        return pa.list_(each, math.prod(kind.shape)) if kind.shape else each
    return _arrow(inspect.type_info(kind))


def _arrow(kind: inspect.Type) -> Arrow:
    match kind:
        case inspect.ListType(item_type=item):
            return pa.list_(_arrow(item))
        case inspect.DictType(value_type=value):
            return pa.map_(pa.string(), _arrow(value))
        case inspect.StructType(fields=fields):
            return pa.struct([(field.name, _arrow(field.type)) for field in fields])
        case inspect.Metadata(extra_json_schema={"format": "float"}):
            return pa.float32()
        case inspect.UnionType(types=types):  # of one type and None
            return _arrow(next(t for t in types if not isinstance(t, inspect.NoneType)))
    return SCALARS[type(kind)]


class _Pieces(io.RawIOBase):
    """A file that hands out what was written to it since the last time."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


class _Batches:
    """Writes blocks as record batches by one of pyarrow's writers."""

    row_bytes = None

    def __init__(self, columns: Columns, about: Mapping[str, object]) -> None:
        fields = [(name, arrow_type(kind)) for name, kind in columns.items()]
        self._schema = pa.schema(fields, metadata={METADATA: msgspec.json.encode(about)})
        self._pieces = _Pieces()
        self._writer = self._open(self._pieces, self._schema)

    def _open(self, pieces: _Pieces, schema: Arrow) -> Arrow:
        raise NotImplementedError

    def head(self) -> bytes:
        """What stands before the first row."""
        return self._pieces.take()

    def rows(self, block: Block) -> bytes:
        """The rows as one batch."""
        self._writer.write_batch(_batch(block, self._schema))
        return self._pieces.take()

    def tail(self) -> bytes:
        """What stands after the last row."""
        self._writer.close()
        return self._pieces.take()


class ArrowRows(_Batches):
    """The Arrow IPC stream format."""

    def _open(self, pieces: _Pieces, schema: Arrow) -> Arrow:
        return pa.ipc.new_stream(pieces, schema)


class ParquetRows(_Batches):
    """A Parquet file, one row group a block."""

    def _open(self, pieces: _Pieces, schema: Arrow) -> Arrow:
        # Measured floats hardly repeat: a dictionary of them would be longer than they are.
        return pq.ParquetWriter(pieces, schema, compression="zstd", use_dictionary=False)


def _batch(block: Block, schema: Arrow) -> Arrow:
    """Rows as an Arrow record batch."""
    if isinstance(block, np.ndarray):
        columns = [pa.array(column) for column in np.ascontiguousarray(block.T)]
        return pa.RecordBatch.from_arrays(columns, schema=schema)
    if isinstance(block, Mapping):
        columns = [_column(values, schema.field(name).type) for name, values in block.items()]
        return pa.RecordBatch.from_arrays(columns, schema=schema)
    records = msgspec.to_builtins(block, builtin_types=(datetime,))
    return pa.RecordBatch.from_pylist(records, schema=schema)


def _column(values: AnyArray, kind: Arrow) -> Arrow:
    """An array (n, ...) as a column, null where it is masked."""
    mask = np.ma.getmaskarray(values).ravel()
    is_nested = values.ndim > 1
    each = kind.value_type if is_nested else kind
    flat = pa.array(np.ma.getdata(values).ravel(), type=each, mask=mask if mask.any() else None)
    return pa.FixedSizeListArray.from_arrays(flat, type=kind) if is_nested else flat
