"""Whole runs in the formats of other tools: the numbers of the API."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import numpy as np
import pytest
import xarray as xr
from safetensors import safe_open
from safetensors.numpy import load_file

from grokprobe import Client
from grokprobe.cli.reading.exporting import FORMATS
from grokprobe.errors import InvalidInput
from grokprobe.exporting.export import ENDINGS, WRITERS, export
from grokprobe.exporting.series import SERIES
from grokprobe.exporting.writers import plain
from tests.cli.test_command import COMMAND, run
from tests.support.faulty import faulty
from tests.support.served import Served, serving
from tests.support.trained import TINY, settings_at
from trainer.config.schema import decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

V1 = "/v1/runs/tiny"
ARRAYS = {"spectra": "share", "coordinates": "coordinates", "grids": "predicted", "path": "path"}


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    """A client of the service over the run `tiny`."""
    with Client(served.url, cache=False, bars=False) as found:
        yield found


def array(served: Served, part: str) -> np.ndarray[Any, Any]:
    """The API's array."""
    data = served.client.get(f"{V1}/{part}", params={"format": "npy"}).content
    found: np.ndarray[Any, Any] = np.load(io.BytesIO(data))
    return found


def opened(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The series and the weights of an export, whatever its format."""
    if path.suffix == ".zarr":
        groups = (xr.open_zarr(path, group=g, consolidated=True) for g in (None, "weights"))
        series, weights = ({str(n): v.to_numpy() for n, v in g.variables.items()} for g in groups)
        return series, {name: values for name, values in weights.items() if name != "step"}
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            every = {name: file[name] for name in file.files}
        weights = {n.removeprefix("weights/"): v for n, v in every.items() if "/" in n}
        return every, weights
    steps = [load_file(file) for file in sorted(path.glob("0*.safetensors"))]
    weights = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
    return load_file(path / "series.safetensors"), weights


@pytest.mark.parametrize("form", ["zarr", "npz", "safetensors"])
def test_an_export_has_the_numbers_of_the_api(
    served: Served, client: Client, tmp_path: Path, form: str
) -> None:
    """Every stored measure, every series, every weight of every checkpoint, exactly."""
    series, weights = opened(export(client.run("tiny"), form, tmp_path / "to"))
    steps = series["step"].tolist()
    assert steps == [r["step"] for r in served.client.get(f"{V1}/trajectory").json()["trajectory"]]
    for part, name in ARRAYS.items():
        np.testing.assert_array_equal(series[name], array(served, part))
    measures = list(served.client.get(f"{V1}/checkpoints/latest").json()["measures"])
    rows = served.client.get(f"{V1}/trajectory", params={"measures": ",".join(measures)}).json()
    for name in measures:
        column = [row[name] for row in rows["trajectory"]]
        if not any(isinstance(value, dict) for value in column):
            expected = np.array([np.nan if v is None else v for v in column], float)
            np.testing.assert_array_equal(series[name], expected, name)
    for name, values in weights.items():
        for place in (0, -1):
            path = f"{V1}/checkpoints/{steps[place]}/weights/{name}"
            data = served.client.get(path, params={"format": "npy"}).content
            np.testing.assert_array_equal(values[place], np.load(io.BytesIO(data)), name)
    assert len(weights) == len(
        served.client.get(f"{V1}/checkpoints/latest/weights").json()["weights"]
    )
    assert [one.name for one in (tmp_path / "to").iterdir()] == [f"tiny{ENDINGS.get(form, '')}"]


@pytest.mark.parametrize("form", WRITERS)
def test_each_series_is_asked_for_once(served: Served, tmp_path: Path, form: str) -> None:
    """In the one format that is kept of it: those of many checkpoints are large."""
    with faulty(served.url) as watched, Client(watched.url, cache=False) as client:
        export(client.run("tiny"), form, tmp_path)
    asked = Counter(urlsplit(path).path.rpartition("/")[2] for path in watched.paths)
    assert {name: asked[name] for name in SERIES} == dict.fromkeys(SERIES, 1)


def test_parquet_is_read_by_duckdb(served: Served, client: Client, tmp_path: Path) -> None:
    """One query over many runs, partitioned by `run`: the API's numbers; its weights too."""
    for name in client.runs().runs:
        export(client.run(name.run), "parquet", tmp_path)
    query = "SELECT step, test_loss FROM read_parquet('{}/trajectory/*/*.parquet') WHERE run='tiny'"
    found = duckdb.execute(query.format(tmp_path)).fetchall()
    rows = served.client.get(f"{V1}/trajectory").json()["trajectory"]
    assert found == [(row["step"], row["test_loss"]) for row in rows]
    query = "SELECT values FROM read_parquet('{}/weights/*/*.parquet') WHERE name='W_E' AND step={}"
    [[values]] = duckdb.execute(query.format(tmp_path, rows[-1]["step"])).fetchall()
    path = f"{V1}/checkpoints/latest/weights/W_E"
    expected = np.load(io.BytesIO(served.client.get(path, params={"format": "npy"}).content))
    np.testing.assert_array_equal(np.array(values, np.float32), expected.ravel())
    counts = duckdb.execute(
        f"SELECT run, count(*) FROM read_parquet('{tmp_path}/pairs/*/*.parquet') GROUP BY run"
    ).fetchall()
    assert sorted(name for name, _ in counts) == sorted(row.run for row in client.runs().runs)


def test_a_network_of_another_form_is_exported(tmp_path: Path) -> None:
    """S_5 has no circle, a perceptron no attention: what is absent is said, the rest is there."""
    settings = settings_at(tmp_path / "home")
    some: dict[str, dict[str, Any]] = {
        "training": {"steps": 2},
        "local_learning_coefficient": {"every": 0},
        "checkpoints": {"every": 1},
    }
    s5 = {"task": {"operation": "s5", "modulus": 120, "train_fraction": 0.5}}
    mlp = {"model": {"family": "mlp", "d_mlp": 16}}
    for name, changes in {"group": s5, "perceptron": mlp}.items():
        config = decode_config({**TINY, "model": {}, **some, **changes}, "tiny")
        assert start(settings, config, name, JsonReporter()) == 0
    with serving(settings, tmp_path) as served, Client(served.url, cache=False) as client:
        group, perceptron = (
            xr.open_zarr(export(client.run(name), "zarr", tmp_path), consolidated=True)
            for name in ("group", "perceptron")
        )
        data, spectra = client.run("group").to_xarray(), client.run("group").spectra()
        shares = spectra.to_numpy()
    assert data.share.dims == ("step", "irrep") == group.share.dims
    assert data.irrep.values.tolist() == spectra.frequencies == group.irrep.values.tolist()
    np.testing.assert_array_equal(data.share.values, shares)
    np.testing.assert_array_equal(data.margin.values, group.margin.values)
    assert "coordinates: " in group.attrs["absent"]
    assert group.predicted.shape == (3, 14_400)
    assert "coordinates" not in group
    assert perceptron.predicted.shape == (3, 169)


def test_a_taken_place_is_left_alone(client: Client, tmp_path: Path) -> None:
    """And said, before anything is fetched."""
    (tmp_path / "tiny.npz").write_text("mine")
    with pytest.raises(InvalidInput, match=r"tiny\.npz: is there already; remove it"):
        export(client.run("tiny"), "npz", tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["tiny.npz"]
    assert (tmp_path / "tiny.npz").read_text() == "mine"


def test_weights_of_another_run_of_that_name_are_not_gone_on_with(
    client: Client, tmp_path: Path
) -> None:
    """What was fetched is of the run that was created then."""
    stage = tmp_path / ".tiny.export"
    stage.mkdir()
    (stage / "run.json").write_text(json.dumps({"created_at": "2020-01-01T00:00:00Z"}))
    (stage / "0000000000.safetensors").write_text("of another")
    target = export(client.run("tiny"), "safetensors", tmp_path)
    with safe_open(target / "0000000000.safetensors", "np") as file:
        assert "W_E" in file.keys()  # noqa: SIM118


def test_a_folder_that_cannot_be_is_told(served: Served, tmp_path: Path) -> None:
    """One line, exit status 2."""
    (tmp_path / "file").write_text("")
    words = [*COMMAND, "export", "tiny", "--format", "npz", "-o", "file", "--url", served.url]
    done = run(words, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: file: cannot be written: File exists\n"


def test_the_command_knows_every_format() -> None:
    """Though it imports none of what writes them until it is called."""
    assert tuple(WRITERS) == FORMATS


def test_names_of_weights_stay_in_their_folder() -> None:
    """Others' may hold slashes and dots."""
    assert [plain(name) for name in ("W_E", "a/b", "..", "../x")] == [
        *("W_E", "a%2Fb", "%2E%2E", "..%2Fx")
    ]
