"""Measures by request over the API: asked for by name, computed once, of what the file says."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from grokprobe.analysis.measures_table import KEY_MEASURES
from grokprobe.analysis.measuring.requested import BY_REQUEST
from grokprobe.task import Mask, pairs
from tests.service.test_api import LAST, LATEST, RUN, P, get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_formats import READERS, fetch
from tests.support.reference_maths import (
    slow_effective_rank,
    slow_held_out,
    slow_loops,
    slow_participation_ratio,
)
from tests.support.served import Served
from tests.support.trained import TINY_STEPS, Trained
from trainer.learning.data import draw

RANKS = {
    "participation_ratio": slow_participation_ratio,
    "effective_rank": slow_effective_rank,
}


def model_of(trained: Trained, step: int) -> Path:
    """The file of a checkpoint."""
    return trained.folder / "checkpoints" / f"{step:010d}" / "model.onnx"


def run(model: onnx.ModelProto, name: str) -> NDArray[np.float64]:
    """An output of a model over all pairs."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values: NDArray[np.float32] = session.run([name], {"pairs": pairs(P)})[0]
    return values.astype(np.float64)


def residual(path: Path) -> NDArray[np.float64]:
    """What the unembedding multiplies, a column at a time: the logits of an unembedding of one."""
    model = onnx.load(path)
    [W_U] = [tensor for tensor in model.graph.initializer if tensor.name == "W_U"]
    width, classes = numpy_helper.to_array(W_U).shape
    columns = []
    for column in range(width):
        alone = np.zeros((width, classes), np.float32)
        alone[column, 0] = 1
        W_U.CopyFrom(numpy_helper.from_array(alone, "W_U"))
        columns.append(run(model, "logits")[:, 0])
    return np.stack(columns, axis=1)


def loops(points: NDArray[np.float64]) -> dict[str, Any]:
    """The largest loop in units of the largest distance, and its p-value counted draw by draw."""
    unit = max(math.dist(p, q) for p in points for q in points)
    birth, death = max(slow_loops(points), key=lambda loop: loop[1] - loop[0])
    rng, reached = np.random.default_rng(0), 0
    for _ in range(99):
        columns = rng.permuted(points, axis=0)
        most = max((d - b for b, d in slow_loops(columns)), default=0.0)
        reached += most >= death - birth - 1e-6 * unit
    sizes = {"birth": birth, "death": death, "persistence": death - birth}
    found = {f"loop_{n}": pytest.approx(size / unit, abs=1e-5) for n, size in sizes.items()}
    return {**found, "loop_p_value": (1 + reached) / 100}


def expected(path: Path, train: Mask) -> dict[str, Any]:
    """Every measure by request of a file, by definition."""
    model = onnx.load(path)
    parameters = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    matrices = {n: w.astype(float) for n, w in parameters.items() if w.ndim == 2}
    neurons, embedding = run(model, "neurons"), matrices["W_E"][:P]
    found: dict[str, Any] = {}
    for name, slow in RANKS.items():
        centred = neurons - neurons.mean(axis=0)
        found[f"{name}_neurons"] = pytest.approx(slow(centred), rel=1e-5)
        found[f"{name}_weights"] = {n: pytest.approx(slow(w)) for n, w in matrices.items()}
    a, b = pairs(P).T
    features = {"embedding_sum": embedding[a] + embedding[b], "neurons": neurons}
    for name, x in {**features, "residual": residual(path)}.items():
        hits = slow_held_out(x, ((a + b) % P).tolist(), P, 5, 1e-6)
        found[f"readout_accuracy_{name}"] = np.mean(hits)
        found[f"readout_accuracy_{name}_test"] = np.mean(np.array(hits)[~train])
    return found | loops(embedding)


def test_they_are_what_the_file_says(client: httpx.Client, trained: Trained) -> None:
    """Each by its definition, of the last checkpoint and of the first."""
    train = draw(trained.config.task).train
    assert train is not None
    wanted = expected(model_of(trained, LATEST), train)
    assert wanted.keys() == BY_REQUEST.keys()
    assert get(client, f"{LAST}/measures", names=",".join(wanted))["measures"] == wanted
    first = expected(model_of(trained, 0), train)
    found = get(client, f"{RUN}/checkpoints/first/measures", names=",".join(first))["measures"]
    assert found == first
    assert {"W_E", "W_in", "W_U"} <= found["effective_rank_weights"].keys()


def test_nobody_gets_them_without_asking(client: httpx.Client, trained: Trained) -> None:
    """Neither stored nor in the answer to who names none, nor in a trajectory by default."""
    stored = json.loads((model_of(trained, LATEST).parent / "manifest.json").read_text())
    assert not BY_REQUEST.keys() & stored["measures"].keys()
    assert not BY_REQUEST.keys() & get(client, f"{LAST}/measures")["measures"].keys()
    assert not BY_REQUEST.keys() & get(client, LAST)["measures"].keys()
    assert not BY_REQUEST.keys() & get(client, f"{RUN}/trajectory")["trajectory"][0].keys()


def test_names_choose_any_measures(client: httpx.Client) -> None:
    """In the order that they are named in, once each: stored, of keys, by request."""
    names = ["restricted_loss", "effective_rank_neurons", "loss", "restricted_loss"]
    found = get(client, f"{LAST}/measures", names=",".join(names))
    assert list(found["measures"]) == names[:3]
    whole = get(client, f"{LAST}/measures")
    for name in ("loss", "restricted_loss"):
        assert found["measures"][name] == whole["measures"][name]
    assert found["keys"] == whole["keys"]
    keys = get(client, f"{LAST}/measures", names="loss,key_share", keys="2,5")
    assert keys["measures"] == {
        name: get(client, f"{LAST}/measures", keys="2,5")["measures"][name]
        for name in ("loss", "key_share")
    }


@pytest.mark.parametrize("name", ["no_such", "", "loss,", "loss;accuracy", "LOSS"])
def test_a_name_that_there_is_not(client: httpx.Client, name: str) -> None:
    """It is named, and those that there are, by request too."""
    for path, parameter in ((f"{LAST}/measures", "names"), (f"{RUN}/trajectory", "measures")):
        answer = client.get(path, params={parameter: name})
        check_problem(answer, 400, f"{parameter}:", "is not one of", "effective_rank_weights")


def test_they_are_computed_once(served: Served) -> None:
    """A family in one go: its second measure, and the series, find what the first computed."""
    path = f"{RUN}/checkpoints/20/measures"

    def computed() -> list[str]:
        text = served.client.get("/metrics").text
        return [
            line
            for line in text.splitlines()
            if line.startswith("grokprobe_derived_total{") and "computed" in line
        ]

    get(served.client, path, names="participation_ratio_weights")
    [before] = computed()
    get(served.client, path, names="effective_rank_weights")
    get(
        served.client,
        f"{RUN}/trajectory",
        measures="effective_rank_weights",
        from_step=20,
        to_step=20,
    )
    assert computed() == [before]


def test_a_series_has_what_each_step_has(client: httpx.Client) -> None:
    """The trajectory's rows are the answers of single steps; others stand beside them as stored."""
    names = ["test_loss", *BY_REQUEST, "restricted_accuracy"]
    rows = get(client, f"{RUN}/trajectory", measures=",".join(names))["trajectory"]
    assert [row["step"] for row in rows] == TINY_STEPS
    for row in rows[::6]:
        path = f"{RUN}/checkpoints/{row['step']}/measures"
        assert row == {"step": row["step"], **get(client, path, names=",".join(names))["measures"]}
    assert {"restricted_accuracy"} <= set(KEY_MEASURES)


@pytest.mark.parametrize("chosen", READERS)
def test_tables(client: httpx.Client, chosen: str) -> None:
    """A row for each weight under its name, one for a scalar; over the run a column each."""
    names = "effective_rank_weights,effective_rank_neurons,excluded_loss_per_key"
    found = get(client, f"{LAST}/measures", names=names)["measures"]
    path = f"{LAST}/measures?names={names}"
    rows = READERS[chosen](fetch(client, path, chosen)).to_pylist()
    of_weights = {r["weight"]: r["value"] for r in rows if r["weight"] is not None}
    assert of_weights == found["effective_rank_weights"]
    of_keys = {str(r["frequency"]): r["value"] for r in rows if r["frequency"] is not None}
    assert of_keys == found["excluded_loss_per_key"]
    [scalar] = [r for r in rows if r["measure"] == "effective_rank_neurons"]
    assert scalar["value"] == found["effective_rank_neurons"]
    series = READERS[chosen](fetch(client, f"{RUN}/trajectory?measures={names}", chosen))
    assert series.column_names == ["step", *names.split(",")]
    last = series.to_pylist()[-1]
    assert dict(last["effective_rank_weights"]) == found["effective_rank_weights"]
    assert last["effective_rank_neurons"] == found["effective_rank_neurons"]


def test_csv(client: httpx.Client) -> None:
    """The columns of a table of measures."""
    text = client.get(f"{LAST}/measures?names=effective_rank_weights&format=csv").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["measure", "frequency", "weight", "value"]
    assert {row["weight"] for row in rows} >= {"W_E", "W_U"}
