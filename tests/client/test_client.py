"""The client reads a real service: records, tables, arrays, pictures, files, events."""

import asyncio
import gc
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from grokprobe import AsyncClient, Client
from grokprobe.client import errors
from grokprobe.client.answers import Table
from tests.support.served import Served

OF_A_RUN = (
    *("checkpoints", "trajectory", "emergence", "coordinates", "spectra", "grids", "pairs"),
    *("split", "neurons", "drift", "updates", "path"),
)
OF_A_CHECKPOINT = (
    *("spectrum", "embedding", "predictions", "measures", "neurons", "logits"),
    *("activations", "weights"),
)
TABLES = [(part, False) for part in OF_A_RUN] + [(part, True) for part in OF_A_CHECKPOINT]


@pytest.fixture
def reader(served: Served, tmp_path: Path) -> Iterator[Client]:
    """A client of the service over the run `tiny`."""
    with Client(served.url, cache=tmp_path / "cache") as found:
        yield found


def answer_of(client: Client, part: str, of_checkpoint: bool) -> tuple[Table, str]:
    """An answer, and its path."""
    run = client.run("tiny")
    found = getattr(run.at(-1) if of_checkpoint else run, part)()
    return found, f"/v1/runs/tiny{'/checkpoints/latest' if of_checkpoint else ''}/{part}"


@pytest.mark.parametrize(("part", "of_checkpoint"), TABLES)
def test_tables_have_the_numbers_of_the_api(
    served: Served, reader: Client, part: str, of_checkpoint: bool
) -> None:
    """pyarrow, pandas and polars alike; numpy has the service's array where there is one."""
    answer, path = answer_of(reader, part, of_checkpoint)
    more = {"limit": 1000} if part == "checkpoints" else {}
    data = served.client.get(path, params={"format": "arrow", **more}).content
    table = pa.ipc.open_stream(data).read_all()
    assert answer.to_arrow().equals(table)
    assert answer.to_pandas().equals(table.to_pandas())
    assert answer.to_polars().equals(pl.read_ipc_stream(io.BytesIO(data)))
    array = served.client.get(path, params={"format": "npy"})
    if array.status_code == 200:
        expected = np.load(io.BytesIO(array.content))
        np.testing.assert_array_equal(answer.to_numpy(), expected)
    else:
        rows = answer.to_numpy()
        assert rows.dtype.names == tuple(table.column_names)
        assert len(rows) == table.num_rows


@pytest.mark.parametrize(
    ("part", "of_checkpoint"), [row for row in TABLES if row[0] not in ("logits", "activations")]
)
def test_records_have_the_fields_of_the_api(
    served: Served, reader: Client, part: str, of_checkpoint: bool
) -> None:
    """Each field of the JSON is in the record, with its value."""

    def held(record: Any, answer: Any) -> bool:
        if isinstance(answer, dict):
            return all(held(record[name], value) for name, value in answer.items())
        if isinstance(answer, list):
            return len(record) == len(answer) and all(map(held, record, answer))
        return bool(record == answer) or "T" in str(answer)  # a moment

    answer, path = answer_of(reader, part, of_checkpoint)
    found: Any = answer
    assert held(found.to_dict(), served.client.get(path).json())


def test_steps_are_numbers_labels_or_counted(reader: Client) -> None:
    """-1 is the last, and so on; what is not there is told."""
    run = reader.run("tiny")
    steps = [row.step for row in run.checkpoints().checkpoints]
    assert [run.at(-n).about().step for n in (1, 2)] == [steps[-1], steps[-2]]
    assert run.at("first").about().step == run.at(steps[0]).about().step
    with pytest.raises(errors.ClientError, match="checkpoints: none is -999"):
        run.at(-999).about()


def test_the_model_is_the_file(reader: Client, tmp_path: Path) -> None:
    """Its bytes, or a file whose digest is the checkpoint's."""
    last = reader.run("tiny").at(-1)
    path = last.model(tmp_path / "model.onnx")
    assert path.read_bytes() == last.model()
    assert hashlib.sha256(last.model()).hexdigest() == last.about().model.sha256
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["model.onnx"]


@pytest.mark.parametrize("names", [None, "transformer_lens"])
def test_the_weights_are_a_file(
    served: Served, reader: Client, tmp_path: Path, names: Literal["transformer_lens"] | None
) -> None:
    """As safetensors, whose digest the reply states: its bytes, or a file."""
    last = reader.run("tiny").at(-1)
    path = last.safetensors(tmp_path / "model.safetensors", names=names)
    address = f"/v1/runs/tiny/checkpoints/latest/model.safetensors?names={names or 'grokprobe'}"
    assert path.read_bytes() == last.safetensors(names=names)
    assert path.read_bytes() == served.client.get(address).content
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["model.safetensors"]


def test_what_else_there_is(reader: Client) -> None:
    """Runs, predictions, interventions, weights, the projector, comparing, events."""
    run = reader.run("tiny")
    last = run.at(-1)
    assert [row.run for row in reader.runs(status="complete").runs] == ["tiny"]
    predicted = last.predict([(1, 2), (2, 1)], top=2).predictions
    assert [(p.a, p.b, len(p.top or ())) for p in predicted] == [(1, 2, 2), (2, 1, 2)]
    assert last.intervene("logits", remove=[1], controls=2).to_arrow().num_rows > 0
    shape = last.weights().weights[0].shape
    assert list(last.weight(last.weights().weights[0].name).to_numpy().shape) == list(shape)
    assert len(last.projector_tensors().splitlines()) == run.about.task.modulus
    assert last.projector().embeddings
    assert last.projector_metadata()
    compared = reader.compare(run.at("first"), "tiny/latest", table="weights")
    assert compared.b.step == run.about.latest_step
    assert [event.event for event in run.events()] == ["complete"]
    assert list(run.events(after="complete")) == []


def test_a_picture_is_shown_in_a_notebook(reader: Client) -> None:
    """Vega-Lite, png and text; svg by name; text alone where there is none."""
    embedding = reader.run("tiny").at(-1).embedding()
    shown = embedding._repr_mimebundle_()
    assert {"text/plain", "image/png", "application/vnd.vegalite.v5+json"} == set(shown)
    assert embedding.picture("svg", lines=1).startswith(b"<svg")
    assert set(reader.runs()._repr_mimebundle_()) == {"text/plain"}
    with pytest.raises(errors.NotHere, match="no picture 'gif'; on offer: vega-lite, svg"):
        embedding.picture("gif")


def test_errors_say_what_the_service_says(reader: Client, closed_port: int) -> None:
    """Title, detail and status; where nobody listens, where that is."""
    with pytest.raises(errors.NotFound, match="'tin'") as told:
        reader.run("tin")
    assert (told.value.status, told.value.detail) == (404, "run 'tin' is not published here")
    with pytest.raises(errors.InvalidRequest, match="1000"):
        reader.run("tiny").at(-1).predict([(1000, 0)])
    with (
        Client(f"http://127.0.0.1:{closed_port}", wait_s=0) as away,
        pytest.raises(errors.Unreachable, match=f"127.0.0.1:{closed_port}"),
    ):
        away.runs()
    with pytest.raises(errors.ClientError, match="expected an address"):
        Client("nowhere")


async def read_async(url: str) -> tuple[int, int, list[str]]:
    """The same questions, awaited."""
    async with AsyncClient(url, cache=False) as client:
        run = await client.run("tiny")
        spectra = await run.spectra()
        await client.read([spectra], "npy")
        events = [event.event async for event in run.events()]
        predicted = (await run.at(-1).predict([(1, 2)])).predictions
        return len(predicted), len(spectra.to_numpy()), events


def test_the_client_that_awaits(served: Served) -> None:
    """As the other; formats fetched before are not waited for."""
    predicted, spectra, events = asyncio.run(read_async(served.url))
    assert (predicted, spectra > 1, events) == (1, True, ["complete"])


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # by the loops, which are gone
def test_a_client_in_one_event_loop_after_another(served: Served, tmp_path: Path) -> None:
    """As where a notebook or a program says asyncio.run for each question; then it is closed."""
    client = AsyncClient(served.url, cache=False)
    run = asyncio.run(client.run("tiny"))
    for _ in range(2):
        assert asyncio.run(run.at(-1).predict([(1, 2)])).predictions[0].a == 1
        assert asyncio.run(run.at(-1).model(tmp_path / "model.onnx")).exists()
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(asyncio.run, run.at(step).spectrum()) for step in [0, -1] * 5]
        assert len({found.result().step for found in asked}) == 2
    asyncio.run(client.aclose())
    with pytest.raises(errors.ClientError, match="is closed"):
        asyncio.run(client.run("tiny"))
    del client, run, threads, asked
    gc.collect()


def test_a_dataset(reader: Client) -> None:
    """Dimensions, the answers' numbers, units and meanings."""
    run = reader.run("tiny")
    data = run.to_xarray()
    p = run.about.task.modulus
    assert dict(data.sizes) == {
        "step": run.about.checkpoint_count,
        "frequency": p // 2,
        "residue": p,
        "axis": 2,
        "pair": p * p,
    }
    np.testing.assert_array_equal(data.share.values, run.spectra().to_numpy())
    np.testing.assert_array_equal(data.coordinates.values, run.coordinates().to_numpy())
    np.testing.assert_array_equal(data.margin.values, run.pairs().to_numpy()[:, 3])
    assert data.test_loss.values.tolist() == [r["test_loss"] for r in run.trajectory().trajectory]
    assert data.train_loss.attrs == {
        "long_name": "`loss` over the train pairs",
        "units": "nat",
    }


def test_a_list_of_several_pages_is_one_table(
    reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its record, whatever a page holds; as JSON it is the record alone."""
    run = reader.run("tiny")
    whole = run.checkpoints().to_pandas()
    monkeypatch.setattr("grokprobe.client.synchronous.steps.PAGE", 5)
    found = run.checkpoints()
    assert len(found.checkpoints) == len(whole) > 5
    assert found.to_pandas().equals(whole)
    assert found.to_polars()["step"].to_list() == [row.step for row in found.checkpoints]
    with pytest.raises(errors.ClientError, match="pages"):
        found.to_json()
