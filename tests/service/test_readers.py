"""Tables and files read by their URL, by the tools that people read with.

Each reader is a program of its own: what a library leaves open at its end is not ours.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.test_api import LAST, RUN
from tests.service.test_api_formats import wide
from tests.service.test_parts import PLAIN
from tests.support.served import Served

__all__ = ["wide"]  # a fixture

POLARS = {
    "read_parquet": ("parquet", "pl.read_parquet(URL)"),
    "scan_parquet": ("parquet", "pl.scan_parquet(URL).collect()"),
    "read_csv": ("csv", "pl.read_csv(URL)"),
    "scan_csv": ("csv", "pl.scan_csv(URL).collect()"),
    "read_ipc_stream": ("arrow", "pl.read_ipc_stream(URL)"),
}
OTHERS = {
    "pandas.read_parquet": ("parquet", "pd.read_parquet(URL)"),
    "pandas.read_csv": ("csv", "pd.read_csv(URL)"),
    "pyarrow": ("parquet", "pq.read_table(URL, filesystem=http)"),
    "pyarrow.dataset": ("parquet", "ds.dataset(URL, filesystem=http).to_table()"),
    "pyarrow.ipc": ("arrow", "pa.ipc.open_stream(http.open(URL)).read_all()"),
    "fsspec": ("parquet", "pq.read_table(io.BytesIO(http.cat(URL)))"),
    "fsspec, small blocks": ("parquet", "pq.read_table(http.open(URL, block_size=1000))"),
    "duckdb, parquet": ("parquet", "duckdb.sql(f\"from read_parquet('{URL}')\")"),
    "duckdb, csv": ("csv", "duckdb.sql(f\"from read_csv('{URL}', header=true)\")"),
    "duckdb, file": ("parquet", "duckdb.read_parquet(http.open(URL))"),
}
TABLES = [f"{LAST}/predictions", f"{LAST}/spectrum", f"{RUN}/trajectory", f"{LAST}/weights/W_E"]
PROGRAM = """
import datetime, io, json, os, sys
import duckdb, fsspec, pandas as pd, polars as pl
import pyarrow as pa, pyarrow.dataset as ds, pyarrow.parquet as pq
from fsspec.implementations.http import HTTPFileSystem

class Unchanging(HTTPFileSystem):
    "DuckDB asks of when a file is; what never changes has no date."
    def modified(self, path):
        return datetime.datetime(1970, 1, 1)

http = Unchanging()
duckdb.register_filesystem(http)
found = []
for URL, expression in json.loads(sys.argv[1]):
    table = eval(expression)
    found.append(list(map(int, table.shape)))
print(json.dumps(found), flush=True)
os._exit(0)  # threads of the readers may abort an interpreter that ends in order
"""


def shapes(served: Served, asked: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """The shapes of what expressions of URL read."""
    given = json.dumps([(f"{served.url}{path}", expression) for path, expression in asked])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, given],
        env={k: v for k, v in os.environ.items() if "proxy" not in k.lower()},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(rows, columns) for rows, columns in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.parametrize("reader", [*POLARS, *OTHERS])
def test_tables_by_url(served: Served, reader: str) -> None:
    """Each reader finds the rows and columns that the CSV has."""
    name, expression = {**POLARS, **OTHERS}[reader]
    expected = []
    for path in TABLES:
        lines = served.client.get(f"{path}?format=csv").text.splitlines()
        expected.append((len(lines) - 1, lines[0].count(",") + 1))
    asked = [(f"{path}?format={name}", expression) for path in TABLES]
    assert shapes(served, asked) == expected


@pytest.mark.parametrize("reader", ["read_parquet", "scan_csv", "pyarrow", "duckdb, parquet"])
def test_a_large_table_by_url(wide: Served, reader: str) -> None:
    """63,001 predictions, which come in blocks where nobody reads by parts."""
    name, expression = {**POLARS, **OTHERS}[reader]
    path = f"/v1/runs/wide/checkpoints/10/predictions?format={name}"
    assert shapes(wide, [(path, expression)]) == [(251**2, 8)]


def curl(served: Served, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """What curl answers to; it fails where the service refuses."""
    command = ["curl", "-sSf", "--noproxy", "*", *options, f"{served.url}{path}"]
    return subprocess.run(command, capture_output=True, timeout=120, check=True)


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
FILES = [f"{LAST}/logits?format={name}" for name in ("npy", "csv", "arrow", "parquet", "json")]


@needs_curl
@pytest.mark.parametrize("path", [*FILES, f"{LAST}/model.onnx", f"{RUN}/trajectory?format=csv"])
def test_curl_goes_on_where_it_was(served: Served, tmp_path: Path, path: str) -> None:
    """`curl -r` gives a part, `curl -C -` the rest of a file that was cut off."""
    whole = served.client.get(path, headers=PLAIN).content
    assert curl(served, path, "-r", "10-19").stdout == whole[10:20]
    assert curl(served, path, "-r", "-7").stdout == whole[-7:]
    file = tmp_path / "file"
    file.write_bytes(whole[: len(whole) // 3])
    curl(served, path, "-C", "-", "-o", str(file))
    assert file.read_bytes() == whole


@needs_curl
def test_curl_goes_on_in_a_stream(wide: Served, tmp_path: Path) -> None:
    """63 MB of npy, of which the last few are lacking."""
    path, file = "/v1/runs/wide/checkpoints/10/logits", tmp_path / "logits.npy"
    curl(wide, path, "-o", str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[:-5_000_000])
    curl(wide, path, "-C", "-", "-o", str(file))
    assert file.read_bytes() == whole


def test_a_reader_that_looks_twice(served: Served) -> None:
    """What HEAD and every part say of the answer does not differ: readers compare."""
    path = f"{LAST}/predictions?format=parquet"
    asked = [{"Range": "bytes=0-3"}, {"Range": "bytes=-4"}]
    answers = [served.client.head(path, headers=PLAIN)]
    answers += [served.client.get(path, headers=headers) for headers in asked]
    for name in ("etag", "content-type", "accept-ranges", "cache-control", "vary"):
        assert len({answer.headers[name] for answer in answers}) == 1
