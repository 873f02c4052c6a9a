"""Negotiation, and each format's encoder: in blocks as in one piece."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.errors import FormatNotOffered
from service.formats.arrow import ArrowRows, ParquetRows, arrow_type
from service.formats.negotiation import negotiate
from service.formats.npy import NpyRows
from service.formats.registry import ARRAY, FORMATS, JSON, TABLE, TABLE_OF_NUMBERS
from service.formats.tables import Table, array_table, columns_of, to_json, write
from service.formats.text import CsvRows
from service.v1.checkpoint.logits import LogitsAnswer
from service.v1.checkpoint.prediction_records import Prediction, TopResidue
from service.v1.checkpoint.weights import WeightRow

ARROW = "application/vnd.apache.arrow.stream"
LOGITS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7


@pytest.mark.parametrize(
    ("asked", "accept", "expected"),
    [
        (None, "", "json"),
        (None, "*/*", "json"),
        ("csv", "application/json", "csv"),
        (None, "text/csv", "csv"),
        (None, "text/csv;q=0.5, application/json;q=0.9", "json"),
        (None, "application/json;q=0.5, text/*", "csv"),
        (None, "image/png, text/csv;q=0.1", "csv"),
        (None, "TEXT/CSV", "csv"),
        (None, "text/csv;q=high, application/json", "json"),
        (None, "application/json;q=0, */*", "csv"),
        (None, "text/csv;Q=0.1, application/json;q=0.5", "json"),
        (None, "text/csv, application/json", "json"),
        (None, f"{ARROW}, application/vnd.apache.parquet;q=0.9, */*;q=0.1", "arrow"),
    ],
)
def test_negotiate(asked: str | None, accept: str, expected: str) -> None:
    """`format` first, then Accept by quality, then the resource's default."""
    assert negotiate(asked, accept, TABLE) is FORMATS[expected]


def test_names_and_media_types_are_unambiguous() -> None:
    """Each format is chosen by a name and a media type of its own, and every format is on offer."""
    assert len({known.media_type for known in FORMATS.values()}) == len(FORMATS)
    assert set(FORMATS.values()) == {*TABLE_OF_NUMBERS} == {*ARRAY}


@pytest.mark.parametrize(("asked", "accept"), [("xml", ""), (None, "image/png"), (None, "*/*;q=0")])
def test_nothing_on_offer(asked: str | None, accept: str) -> None:
    """What is not on offer is refused, the offers listed."""
    with pytest.raises(FormatNotOffered, match="json"):
        negotiate(asked, accept, TABLE)


def test_csv() -> None:
    """A header line even without rows, one line a row, None empty, nested cells as JSON."""
    rows: list[dict[str, Any]] = [
        {"step": 0, "share": 0.25, "more": [1]},
        {"step": 1, "share": None},
    ]
    assert write(CsvRows({"step": int, "share": float}), rows) == b"step,share\n0,0.25\n1,\n"
    assert write(CsvRows({"hit": bool}), [{"hit": True}]) == b"hit\ntrue\n"
    assert write(CsvRows({"more": list}), rows[:1]) == b"more\n[1]\n"
    assert write(CsvRows({"step": int}), []) == b"step\n"


@given(
    st.lists(
        st.lists(
            st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.floats(-9, 9)),
            min_size=2,
            max_size=2,
        )
    )
)
def test_csv_is_what_its_reader_reads(rows: list[list[Any]]) -> None:
    """Text comes back as it was; everything else as its JSON, and None as nothing."""
    records = [dict(zip(("a,b", 'c"d'), row, strict=True)) for row in rows]
    data = write(CsvRows({"a,b": Any, 'c"d': Any}), records).decode()
    header, *found = csv.reader(io.StringIO(data, newline=""), strict=True)
    assert header == ["a,b", 'c"d']
    told = [
        ["" if x is None else x if isinstance(x, str) else json.loads(to_json(x)) for x in row]
        for row in rows
    ]
    assert [
        [
            cell if isinstance(x, str) or x is None else json.loads(cell)
            for cell, x in zip(line, row, strict=True)
        ]
        for line, row in zip(found, rows, strict=True)
    ] == told


def test_csv_of_an_array() -> None:
    """Numbers as JSON writes them, NaN empty: what every reader of CSV takes."""
    found = write(CsvRows({"0": float, "1": float}), np.array([[0.5, np.nan], [np.nan, 1e-9]]))
    assert found == b"0,1\n0.5,\n,1e-9\n"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (int | None, pa.int64()),
        (bool, pa.bool_()),
        (datetime, pa.timestamp("us", tz="UTC")),
        (dict[str, float], pa.map_(pa.string(), pa.float64())),
        (list[list[float]], pa.list_(pa.list_(pa.float64()))),
        (TopResidue, pa.struct([("residue", pa.int64()), ("probability", pa.float64())])),
        (np.dtype(np.float32), pa.float32()),
    ],
)
def test_arrow_types(kind: Any, expected: Any) -> None:
    """Each column's type comes from its annotation, nested ones too, never from the values."""
    assert arrow_type(kind) == expected


def test_an_arrow_table_of_records() -> None:
    """Rows come back as they were, absent extras left out, None null, the other fields beside."""
    row = Prediction(1, 2, 3, None, None, 0.5, None, "test", top=[TopResidue(3, 0.5)])
    columns = {n: k for n, k in columns_of(Prediction).items() if n in ("a", "loss", "top")}
    data = write(ArrowRows(columns, {"run": "tiny", "null": None}), [row])
    table = pa.ipc.open_stream(data).read_all()
    assert table.to_pylist() == [
        {"a": 1, "loss": None, "top": [{"residue": 3, "probability": 0.5}]}
    ]
    assert json.loads(table.schema.metadata[b"grokprobe"]) == {"run": "tiny", "null": None}


@pytest.mark.parametrize("kind", [ArrowRows, ParquetRows])
def test_an_empty_table_has_its_types(kind: Any) -> None:
    """Without rows a table still says what its columns are: pages of a list never disagree."""
    data = write(kind({"name": str, "created_at": datetime, "keys": dict[str, float]}, {}), [])
    schema = (
        pq.read_schema(io.BytesIO(data)) if kind is ParquetRows else pa.ipc.open_stream(data).schema
    )
    assert list(map(str, schema.types[:2])) == ["string", "timestamp[us, tz=UTC]"]
    assert pa.types.is_map(schema.types[2])


def test_moments_keep_their_zone() -> None:
    """A moment is a timestamp in UTC, to the microsecond."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    data = write(ArrowRows({"created_at": datetime}, {}), [{"created_at": moment}])
    assert pa.ipc.open_stream(data).read_all().to_pylist() == [{"created_at": moment}]


def read(chosen: str, data: bytes) -> NDArray[Any]:
    """The logits that an answer in a format holds."""
    if chosen == "json":
        return np.array(msgspec.json.decode(data, type=LogitsAnswer).logits)
    if chosen == "npy":
        return np.asarray(np.load(io.BytesIO(data)))
    if chosen == "csv":
        return np.loadtxt(io.BytesIO(data), delimiter=",", skiprows=1)
    table = (
        pa.ipc.open_stream(data).read_all()
        if chosen == "arrow"
        else pq.read_table(io.BytesIO(data))
    )
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


@pytest.mark.parametrize("chosen", FORMATS)
@pytest.mark.parametrize("size", [1, 3, 4])
def test_blocks_make_the_whole(chosen: str, size: int) -> None:
    """An array in blocks of any size is the array, in every format."""
    answer = LogitsAnswer("tiny", 1, 3, [])
    writer = FORMATS[chosen].encoder(answer, array_table(LOGITS[:0], {}), len(LOGITS))
    blocks = [writer.rows(LOGITS[i : i + size]) for i in range(0, len(LOGITS), size)]
    data = b"".join([writer.head(), *blocks, writer.tail()])
    if writer.row_bytes is not None:
        length = len(LOGITS) * writer.row_bytes
        assert length == len(data) - len(writer.head()) - len(writer.tail())
    np.testing.assert_array_equal(read(chosen, data).astype(np.float32), LOGITS)


def test_json_in_blocks_is_the_json() -> None:
    """The bytes are those of the answer encoded at once."""
    whole = LogitsAnswer("tiny", 1, 3, LOGITS.tolist())
    writer = JSON.encoder(LogitsAnswer("tiny", 1, 3, []), Table({}, [], {}), 2)
    data = writer.head() + writer.rows(LOGITS[:1]) + writer.rows(LOGITS[1:]) + writer.tail()
    assert data == JSON.encode(whole, None, None)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4)])
def test_arrays_of_any_shape(shape: tuple[int, ...]) -> None:
    """npy keeps the shape; as a table the first index is the row, all others the columns."""
    array = np.ones(shape, dtype=np.float32)
    assert read("npy", write(NpyRows(array.shape, array.dtype), array)).shape == shape
    table = array_table(array, {})
    assert np.asarray(table.rows).size == array.size
    assert len(table.columns) == np.asarray(table.rows).shape[1]


def test_lists_in_cells() -> None:
    """A list is JSON text in CSV and a list in Arrow."""
    rows = [WeightRow("W_E", [14, 16], "float32")]
    assert write(CsvRows(columns_of(WeightRow)), rows).endswith(b'W_E,"[14,16]",float32\n')
    data = write(ArrowRows(columns_of(WeightRow), {}), rows)
    assert pa.ipc.open_stream(data).read_all().to_pylist()[0]["shape"] == [14, 16]
