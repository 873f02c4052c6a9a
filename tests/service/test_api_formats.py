"""Every table and array over HTTP in every format, read by the tools that people use."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from grokprobe.store.backends import open_backends
from service.formats.markdown import markdown
from service.formats.pictures import PICTURES
from service.formats.registry import FORMATS
from service.http.problems import MEDIA_TYPE as PROBLEM
from tests.service.test_api import LAST, LATEST, RUN, P, get
from tests.support.rounding import TINY_ROUNDING, assert_alike
from tests.support.served import Served, peak_bytes, serving
from tests.support.tiny import tiny_run
from tests.support.trained import settings_at

EVERY_FORMAT = (*FORMATS.values(), *PICTURES, markdown(str))
NESTED = f"{RUN}/trajectory?measures=excluded_loss_per_key,key_share,fve_mean"
# A table's path and the field of its JSON that has the same rows.
TABLES = [
    ("/v1/runs", "runs"),
    (f"{RUN}/checkpoints?limit=3", "checkpoints"),
    (f"{RUN}/trajectory", "trajectory"),
    (NESTED, "trajectory"),
    (f"{RUN}/coordinates", "coordinates"),
    (f"{RUN}/neurons", "neurons"),
    (f"{RUN}/grids", "grids"),
    (f"{RUN}/grids?of=correct&from_step=20&to_step=60", "grids"),
    (f"{RUN}/pairs", "pairs"),
    (f"{RUN}/pairs?by=answer", "sums"),
    (f"{RUN}/pairs?by=difference", "sums"),
    (f"{RUN}/pairs?by=mirror", "sums"),
    (f"{LAST}/predictions", "predictions"),
    (f"{LAST}/embedding?projection=pca&dimensions=3", "coordinates"),
    (f"{LAST}/spectrum", "spectrum"),
    (f"{LAST}/neurons", "neurons"),
    (f"{LAST}/weights", "weights"),
    (f"{RUN}/drift", "drift"),
    (f"{RUN}/updates", "updates"),
    (f"{RUN}/path", "path"),
    (f"/v1/compare?a=tiny/40&b=tiny/{LATEST}", "parts"),
    (f"/v1/compare?a=tiny/40&b=tiny/{LATEST}&table=weights", "weights"),
    (f"/v1/compare?a=tiny/40&b=tiny/{LATEST}&table=keys", "keys"),
]
ARRAYS = [f"{LAST}/logits", f"{LAST}/weights/W_E", f"{LAST}/weights/b_in", f"{RUN}/spectra"]


def fetch(client: httpx.Client, path: str, chosen: str) -> bytes:
    """An answer in a format, which its Content-Type names."""
    answer = client.get(
        path, params=httpx.QueryParams(httpx.URL(path).params).set("format", chosen)
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == FORMATS[chosen].media_type
    return answer.content


def arrow(data: bytes) -> Any:
    """The table of an IPC stream."""
    return pa.ipc.open_stream(data).read_all()


def parquet(data: bytes) -> Any:
    """The table of a Parquet file."""
    return pq.read_table(io.BytesIO(data))


READERS: dict[str, Callable[[bytes], Any]] = {"arrow": arrow, "parquet": parquet}


@pytest.mark.parametrize("chosen", READERS)
@pytest.mark.parametrize(("path", "rows"), TABLES)
def test_tables(client: httpx.Client, path: str, rows: str, chosen: str) -> None:
    """The rows equal those of the JSON, and the other fields stand in the schema's metadata."""
    answer = json.loads(fetch(client, path, "json"))
    table = READERS[chosen](fetch(client, path, chosen))
    expected = answer.pop(rows)
    assert table.column_names == list(expected[0])
    plain = [
        dict(row) if isinstance(row, list) else row
        for row in table.to_pylist(maps_as_pydicts="strict")
    ]
    assert msgspec.to_builtins(plain) == expected
    assert json.loads(table.schema.metadata[b"grokprobe"]) == answer


@pytest.mark.parametrize("chosen", ["csv", "json", "arrow", "parquet"])
@pytest.mark.parametrize("path", ARRAYS)
def test_arrays(client: httpx.Client, path: str, chosen: str) -> None:
    """Each array is the npy's in every other format, a row for each of its first index."""
    array = np.load(io.BytesIO(fetch(client, path, "npy")))
    data = fetch(client, path, chosen)
    np.testing.assert_array_equal(values(chosen, data).reshape(array.shape), array)


def values(chosen: str, data: bytes) -> NDArray[Any]:
    """The numbers of an array, its column of steps left out."""
    if chosen == "json":
        answer = json.loads(data)
        spectra = [row["values"] for row in answer.get("spectra", [])]
        return np.array(answer.get("logits") or answer.get("values") or spectra)
    frame = pd.read_csv(io.BytesIO(data)) if chosen == "csv" else READERS[chosen](data).to_pandas()
    return np.asarray(frame[[name for name in frame.columns if name != "step"]])


def test_coordinates_as_npy(client: httpx.Client) -> None:
    """The coordinates alone, rows in the order of the basis."""
    rows = get(client, f"{LAST}/embedding", projection="raw")["coordinates"]
    found = np.load(io.BytesIO(fetch(client, f"{LAST}/embedding?projection=raw", "npy")))
    assert found.tolist() == [[v for n, v in row.items() if n != "residue"] for row in rows]


def test_measures_are_a_table(client: httpx.Client) -> None:
    """One row a measure, or one for each frequency of a measure that has several."""
    answer = get(client, f"{LAST}/measures")
    table = pl.read_parquet(fetch(client, f"{LAST}/measures", "parquet"))
    scalar = {n: v for n, v in answer["measures"].items() if not isinstance(v, dict)}
    assert (
        dict(table.filter(pl.col("frequency").is_null()).select("measure", "value").rows())
        == scalar
    )
    per_key = table.filter(pl.col("measure") == "excluded_loss_per_key")
    found = {str(k): v for k, v in per_key.select("frequency", "value").rows()}
    assert found == answer["measures"]["excluded_loss_per_key"]


def test_emergence_is_a_table(client: httpx.Client) -> None:
    """One row for each level of each series: where it was crossed, and by how much later."""
    answer = get(client, f"{RUN}/emergence")
    rows = parquet(fetch(client, f"{RUN}/emergence", "parquet")).to_pylist()
    assert len(rows) == 3 * len(answer["series"])
    for row in rows:
        crossing = answer["series"][row["series"]][row["level"]] or {}
        lag = answer["lags"].get(row["series"], {}).get(row["level"]) or {}
        assert (row["step"], row["high"]) == (crossing.get("step"), crossing.get("high"))
        assert (row["lag"], row["lag_resolved"]) == (lag.get("steps"), lag.get("resolved"))


def test_posted_predictions_as_arrow(client: httpx.Client) -> None:
    """Predictions with all that can be included, nested cells with their types, by Accept."""
    body = {"pairs": [[3, 5], [1, 2]], "top": 2, "include": ["logits", "attention", "neurons"]}
    expected = client.post(f"{LAST}/predictions", json=body).json()["predictions"]
    headers = {"Accept": FORMATS["arrow"].media_type}
    table = arrow(client.post(f"{LAST}/predictions", json=body, headers=headers).content)
    assert table.to_pylist() == expected
    assert str(table.schema.field("attention").type) == "list<item: list<item: double>>"


def test_a_large_answer_equals_its_parts(client: httpx.Client) -> None:
    """Predictions that are sent in blocks are those that fit into one."""
    some = [[a, b] for a in range(P) for b in range(P)] * 2
    body = {"pairs": some, "include": ["logits"]}
    whole = client.post(f"{LAST}/predictions", json=body).json()["predictions"]
    assert [[row["a"], row["b"]] for row in whole] == some
    first = client.post(f"{LAST}/predictions", json=body | {"pairs": some[:100]}).json()
    for row, alone in zip(whole, first["predictions"], strict=False):
        assert_alike(row.pop("logits"), alone.pop("logits"), TINY_ROUNDING)
        assert row["predicted"] == alone["predicted"]


def test_the_document_lists_every_format(client: httpx.Client) -> None:
    """What OpenAPI lists for a route is what it answers to, by `format` and by Accept."""
    names = {"run": "tiny", "step": "latest", "name": "W_E", "a": "tiny/40", "b": f"tiny/{LATEST}"}
    assert check_formats(client, names) > 20


def check_formats(client: httpx.Client, names: dict[str, str]) -> int:
    """Ask the routes that need no more than these for every format listed; how many there are."""
    document = client.get("/schema/openapi.json").json()
    checked = 0
    for path, methods in document["paths"].items():
        parameters = {p["name"]: p for p in methods.get("get", {}).get("parameters", [])}
        needed = {name: p["in"] for name, p in parameters.items() if p.get("required")}
        if "format" not in parameters or not needed.keys() <= names.keys():
            continue
        url, checked = path.format(**names), checked + 1
        query = {name: names[name] for name, place in needed.items() if place == "query"}
        listed = parameters["format"]["schema"]["enum"]
        types = methods["get"]["responses"]["200"]["content"]
        assert list(types) == [
            known.media_type for name in listed for known in EVERY_FORMAT if known.name == name
        ]
        for media in types:
            answer = client.get(url, params=query, headers={"Accept": f"{media}, image/gif"})
            assert answer.headers["content-type"].partition(";")[0] == media, url
        answer = client.get(url, params=query, headers={"Accept": "image/gif"})
        assert answer.headers["content-type"] == PROBLEM
    return checked


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over a run whose grid is large and whose model is small."""
    folder = tmp_path_factory.mktemp("wide")
    settings = settings_at(folder)

    async def publish() -> None:
        async with open_backends(settings) as opened:
            await tiny_run("wide", modulus=251, steps=[0, 10]).publish(opened)

    asyncio.run(publish())
    with serving(settings, folder) as served:
        yield served


@pytest.mark.parametrize(("chosen", "size"), [("npy", 4 * 251**3), ("json", 16 * 251**3)])
def test_large_answers_take_no_memory(wide: Served, chosen: str, size: int) -> None:
    """All logits of p = 251, 63 MB of npy and 300 of JSON, are sent from less than 40."""
    path = f"/v1/runs/wide/checkpoints/0/logits?format={chosen}"
    wide.client.get("/v1/runs/wide/checkpoints/0/predictions?a=1&b=2")
    before = peak_bytes(wide)
    with wide.client.stream("GET", path, headers={"Accept-Encoding": "identity"}) as answer:
        received = sum(map(len, answer.iter_raw()))
    assert received > size
    assert peak_bytes(wide) - before < 40e6
