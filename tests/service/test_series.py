"""Series over a run's checkpoints that need their weights, against the single steps."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from grokprobe.analysis.series.neurons import COLUMNS
from grokprobe.task import pairs
from tests.analysis.test_harmonics import slow_shares
from tests.analysis.test_series import slow_plane
from tests.analysis.test_waves import apart, slow_coefficient
from tests.service.test_api import LAST, RUN, P, get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_measures import ask, unfinished
from tests.support.rounding import TINY_ROUNDING, assert_alike
from tests.support.trained import TINY_STEPS, Trained

__all__ = ["unfinished"]  # a fixture

TEXT = ["json", "csv"]
FORMATS = [*TEXT, "arrow", "parquet"]


def once(figure: float | None) -> float | None:
    """A double figure rounded once to float32."""
    return None if figure is None else float(np.float32(figure))


def rows(client: httpx.Client, path: str, name: str, chosen: str) -> list[dict[str, Any]]:
    """The rows of a table in a format, as plain values."""
    query = httpx.QueryParams(httpx.URL(path).params).set("format", chosen)
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    if chosen == "json":
        found: list[dict[str, Any]] = answer.json()[name]
        return found
    if chosen == "csv":
        frame = pd.read_csv(io.BytesIO(answer.content))
        plain = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return [
            {k: json.loads(v) if isinstance(v, str) else v for k, v in row.items()} for row in plain
        ]
    data = io.BytesIO(answer.content)
    table = pa.ipc.open_stream(data).read_all() if chosen == "arrow" else pq.read_table(data)
    listed: list[dict[str, Any]] = table.to_pylist(maps_as_pydicts="strict")
    return listed


def npy(client: httpx.Client, path: str, **query: Any) -> NDArray[Any]:
    """The array of an answer."""
    answer = client.get(path, params={**query, "format": "npy"})
    assert answer.status_code == 200, answer.text
    found: NDArray[Any] = np.load(io.BytesIO(answer.content))
    return found


@pytest.mark.parametrize("chosen", FORMATS)
@pytest.mark.parametrize(("of", "frequency"), [("embedding", 5), ("unembedding", None)])
def test_coordinates_are_those_of_the_single_steps(
    client: httpx.Client, of: str, frequency: int | None, chosen: str
) -> None:
    """In every format each figure is the single step's, rounded once to float32."""
    query = f"of={of}" + (f"&frequency={frequency}" if frequency else "")
    used = frequency or get(client, f"{LAST}/embedding", of=of)["frequency"]
    found = rows(client, f"{RUN}/coordinates?{query}", "coordinates", chosen)
    assert [row["step"] for row in found] == TINY_STEPS
    for row in found:
        path = f"{RUN}/checkpoints/{row['step']}/embedding"
        single = get(client, path, of=of, frequency=used)
        assert row["x"] == [once(point["x"]) for point in single["coordinates"]]
        assert row["y"] == [once(point["y"]) for point in single["coordinates"]]
        assert row["radius"] == once(single["circle"]["radius"])
        assert row["r_squared"] == once(single["circle"]["r_squared"])
        assert row["explained_share"] == once(single["explained_share"])


def test_coordinates_say_what_they_are_of(client: httpx.Client) -> None:
    """Beside the rows: matrix, basis, residues, and the frequency of the last checkpoint."""
    answer = get(client, f"{RUN}/coordinates")
    single = get(client, f"{LAST}/embedding")
    assert (answer["run"], answer["of"], answer["provisional"]) == ("tiny", "embedding", False)
    assert (answer["frequency"], answer["basis"]) == (single["frequency"], single["basis"])
    assert answer["residues"] == [row["residue"] for row in single["coordinates"]]


def test_coordinates_by_definition(client: httpx.Client, trained: Trained) -> None:
    """As npy (steps, p, 2) in float32, they are what the definition makes of the files."""
    found = npy(client, f"{RUN}/coordinates", frequency=2)
    assert (found.shape, str(found.dtype)) == ((len(TINY_STEPS), P, 2), "float32")
    for step, points in zip(TINY_STEPS, found, strict=True):
        file: Path = trained.folder / "checkpoints" / f"{step:010d}" / "model.onnx"
        [table] = [t for t in onnx.load(file).graph.initializer if t.name == "W_E"]
        expected = slow_plane(onnx.numpy_helper.to_array(table)[:P].astype(np.float64), 2)
        np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-6)


def test_columns_have_their_types(client: httpx.Client) -> None:
    """Steps are integers, all other numbers have 32 bits."""
    data = client.get(f"{RUN}/coordinates?format=arrow").content
    schema = pa.ipc.open_stream(data).schema
    assert [str(field.type) for field in schema] == [
        *("int64", "float", "float", "float"),
        *["list<item: float>"] * 2,
    ]


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("from_step=4&to_step=60", [4, 20, 40, 60]),
        ("from_step=390", [400]),
        ("to_step=0", [0]),
        ("from_step=401", []),
        ("from_step=60&to_step=4", []),
    ],
)
@pytest.mark.parametrize("what", ["coordinates", "neurons"])
def test_a_part_of_a_series_is_that_part(
    client: httpx.Client, what: str, query: str, steps: list[int]
) -> None:
    """The rows of these steps, whatever the part; a default frequency is that of the whole."""
    bounds = dict(pair.split("=") for pair in query.split("&"))
    whole, part = get(client, f"{RUN}/{what}"), get(client, f"{RUN}/{what}", **bounds)
    assert part == whole | {what: [row for row in whole[what] if row["step"] in steps]}
    every = npy(client, f"{RUN}/{what}")
    kept = [TINY_STEPS.index(step) for step in steps]
    found = npy(client, f"{RUN}/{what}", **bounds)
    assert len(found) == len(kept)
    if kept:
        np.testing.assert_array_equal(found, every[kept])


@pytest.mark.parametrize("what", ["coordinates", "neurons"])
def test_a_series_of_a_run_that_goes_on(client: httpx.Client, unfinished: str, what: str) -> None:
    """It says that it is provisional, is asked for again each time, and is else the same."""
    running, ended = ask(unfinished, f"{RUN}/{what}"), get(client, f"{RUN}/{what}")
    assert running.headers["cache-control"] == "no-cache"
    assert running.json() == ended | {"provisional": True}
    etag = {"If-None-Match": running.headers["etag"]}
    again = httpx.get(f"{unfinished}{RUN}/{what}", headers=etag)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("coordinates?frequency=7", ("frequency:", "must be 1..6, got 7")),
        ("coordinates?frequency=0", ("frequency:", ">= 1")),
        ("coordinates?frequency=5.5", ("frequency:", "integer")),
        ("coordinates?of=neurons", ("of:", "must be one of")),
        ("coordinates?from_step=-1", ("from_step:", ">= 0")),
        ("coordinates?step=4", ("step:", "is not a parameter")),
        ("neurons?to_step=x", ("to_step:", "integer")),
        ("neurons?of=attention", ("of:", "is not a parameter")),
        ("checkpoints/4/activations?index=32", ("index:", "must be 0..31 for neurons, got 32")),
        ("checkpoints/4/activations?index=-1", ("index:", ">= 0")),
        ("checkpoints/4/activations?of=logits&index=13", ("index:", "0..12 for logits")),
        (
            "checkpoints/4/activations?of=attention&index=6",
            ("index:", "0..5 for attention: 2 heads of 3 tokens, got 6"),
        ),
        ("checkpoints/4/activations?of=embedding", ("of:", "neurons, attention, logits")),
        ("checkpoints/4/activations?index=1,0", ("index:", "integer")),
    ],
)
def test_bad_queries(client: httpx.Client, path: str, words: tuple[str, ...]) -> None:
    """400, the parameter named, with what it may be."""
    check_problem(client.get(f"{RUN}/{path}"), 400, *words)


@pytest.mark.parametrize("of", ["effective_embedding", "embedding_b"])
def test_what_a_checkpoint_has_not_is_named(client: httpx.Client, of: str) -> None:
    """404 with the first step whose model lacks it, and what it has."""
    answer = client.get(f"{RUN}/coordinates?of={of}")
    check_problem(answer, 404, "the model of step 0 has no output", of, "unembedding")


@pytest.mark.parametrize("chosen", FORMATS)
def test_neurons_are_those_of_the_single_steps(client: httpx.Client, chosen: str) -> None:
    """In every format: integers equal, figures the single step's, rounded once to float32."""
    found = rows(client, f"{RUN}/neurons", "neurons", chosen)
    assert [row["step"] for row in found] == TINY_STEPS
    for row in found[:: len(found) // 4]:
        single = get(client, f"{RUN}/checkpoints/{row['step']}/neurons")["neurons"]
        assert row["frequency"] == [neuron["frequency"] for neuron in single]
        for name in COLUMNS[1:]:
            assert row[name] == [once(neuron[name]) for neuron in single]


def test_neurons_as_an_array(client: httpx.Client) -> None:
    """Frequency, share and waves, 0 and NaN where the JSON has null."""
    found, answer = npy(client, f"{RUN}/neurons"), get(client, f"{RUN}/neurons")
    assert (found.shape, str(found.dtype)) == ((len(TINY_STEPS), 32, len(COLUMNS)), "float32")
    assert (answer["input_phase_of"], answer["provisional"]) == ("mean_over_b", False)
    for step, row in zip(found, answer["neurons"], strict=True):
        np.testing.assert_array_equal(step[:, 0], [k or 0 for k in row["frequency"]])
        for i, name in enumerate(COLUMNS[1:], 1):
            np.testing.assert_array_equal(step[:, i], np.array(row[name], np.float64))


def test_waves_by_definition(client: httpx.Client, trained: Trained) -> None:
    """Angles and lengths of the Fourier sums of what the file computes in plain ONNX Runtime."""
    session = ort.InferenceSession(
        (trained.folder / "checkpoints" / f"{TINY_STEPS[-1]:010d}" / "model.onnx").read_bytes(),
        providers=["CPUExecutionProvider"],
    )
    values, written = session.run(["neurons", "neuron_logit_map"], {"pairs": pairs(P)})
    grid = values.astype(np.float64).reshape(P, P, -1)
    read_of = {"input": grid.mean(axis=1), "input_b": grid.mean(axis=0), "output": written}
    found = get(client, f"{LAST}/neurons")["neurons"]
    live = [neuron for neuron in found if neuron["frequency"]]
    assert len(live) > 10
    for neuron in live:
        i, k = neuron["neuron"], neuron["frequency"]
        waves = {name: slow_coefficient(matrix[:, i], k) for name, matrix in read_of.items()}
        shares = [neuron[f"input_share_{name}"] for name in ("f", "3f", "5f")]
        expected_shares = slow_shares(read_of["input"][:, i], k)
        assert shares == pytest.approx(expected_shares, abs=1e-3)
        for name, expected in waves.items():
            read, _, operand = name.partition("_")
            phase, amplitude = (
                "_".join(filter(None, [read, figure, operand])) for figure in ("phase", "amplitude")
            )
            assert neuron[amplitude] == pytest.approx(2 / P * abs(expected), rel=1e-4, abs=1e-6)
            if abs(expected) > 1e-3:
                assert apart(np.array(neuron[phase]), np.array(np.angle(expected))) < 1e-4
        if min(map(abs, waves.values())) > 1e-2:
            turned = waves["input"] * waves["input_b"] * np.conj(waves["output"])
            assert neuron["misalignment"] == pytest.approx(abs(np.angle(turned)), abs=1e-3)


@pytest.mark.parametrize(
    ("of", "index", "head", "token"),
    [("neurons", 31, None, None), ("attention", 5, 1, 2), ("logits", 7, None, None)],
)
def test_activations_are_those_of_the_pairs(
    client: httpx.Client, of: str, index: int, head: int | None, token: int | None
) -> None:
    """Row a, column b: what a prediction of that pair includes, in every format."""
    path = f"{LAST}/activations?of={of}&index={index}"
    found = npy(client, f"{LAST}/activations", of=of, index=index)
    body = {"pairs": pairs(P).tolist(), "include": [of]}
    listed = client.post(f"{LAST}/predictions", json=body).json()["predictions"]
    expected = np.array([np.ravel(row[of])[index] for row in listed]).reshape(P, P)
    assert found.dtype == np.float32
    assert_alike(found, expected, TINY_ROUNDING)
    answer = client.get(f"{path}&format=json").json()
    named = {"of": of, "index": index, "head": head, "token": token}
    assert {name: answer[name] for name in named} == named
    assert np.array_equal(np.array(answer["activations"], np.float32), found)
    for chosen in ("csv", "arrow", "parquet"):
        table = rows(client, path, "activations", chosen)
        cells = [[row[str(b)] for b in range(P)] for row in table]
        assert np.array_equal(np.array(cells, np.float32), found)


def test_a_logit_is_the_column_of_all_logits(client: httpx.Client) -> None:
    """The very numbers."""
    every = npy(client, f"{LAST}/logits").reshape(P, P, P)
    for index in (0, 12):
        one = npy(client, f"{LAST}/activations", of="logits", index=index)
        np.testing.assert_array_equal(one, every[:, :, index])
