"""Every route's answer over a real run, compared with the model file and the definitions."""

import io
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest

from grokprobe.analysis.coordinates import circle, frequency_plane
from grokprobe.analysis.fourier import spectrum
from grokprobe.task import Task, answers, pairs, split
from tests.support.reference_maths import (
    slow_cross_entropy,
    slow_explained,
    slow_logit_coefficients,
)
from tests.support.rounding import TINY_ROUNDING, assert_alike
from tests.support.trained import TINY_STEPS, Trained

P = 13
RUN = "/v1/runs/tiny"
LATEST = TINY_STEPS[-1]
LAST = f"{RUN}/checkpoints/{LATEST}"


def get(client: httpx.Client, path: str, **query: Any) -> Any:
    """The JSON of a GET that must succeed."""
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def model(trained: Trained) -> ort.InferenceSession:
    """The last checkpoint's file in plain ONNX Runtime."""
    path = trained.folder / "checkpoints" / f"{LATEST:010d}" / "model.onnx"
    return ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def test_runs(client: httpx.Client) -> None:
    """The list shows the run with its latest figures, and filters apply."""
    [row] = get(client, "/v1/runs")["runs"]
    assert (row["run"], row["operation"], row["modulus"]) == ("tiny", "add", P)
    assert (row["status"], row["latest_step"], row["checkpoint_count"]) == (
        "complete",
        LATEST,
        len(TINY_STEPS),
    )
    assert row["architecture"] == "transformer"
    assert get(client, "/v1/runs", modulus=P, operation="add", status="complete")["runs"] == [row]
    assert get(client, "/v1/runs", modulus=7) == {"runs": [], "next": None}
    assert get(client, "/v1/runs", after="tiny")["runs"] == []


def test_run(client: httpx.Client) -> None:
    """One run: its task, its steps, and the steps it has not reached as null."""
    run = get(client, RUN)
    assert run["task"]["train_pairs"] + run["task"]["test_pairs"] == P * P
    assert (run["first_step"], run["latest_step"], run["checkpoint_count"]) == (
        0,
        LATEST,
        len(TINY_STEPS),
    )
    assert run["architecture"]["family"] == "transformer"
    assert run["key_frequencies"] == [1, 3, 4]
    held = get(client, f"{RUN}/trajectory")["trajectory"]
    accurate = [row["step"] for row in held if row["train_accuracy"] >= 0.99]
    assert run["memorised_step"] == (accurate[0] if held[-1]["step"] in accurate else None)


def test_checkpoints_are_paged(client: httpx.Client) -> None:
    """Pages of two joined together are the whole list in the order of steps."""
    whole = get(client, f"{RUN}/checkpoints")
    assert whole["next"] is None
    assert [row["step"] for row in whole["checkpoints"]] == TINY_STEPS
    rows = get(client, f"{RUN}/checkpoints", limit=2)["checkpoints"]
    while page := get(client, f"{RUN}/checkpoints", limit=2, after=rows[-1]["step"])["checkpoints"]:
        rows += page
    assert rows == whole["checkpoints"]
    some = get(client, f"{RUN}/checkpoints", from_step=4, to_step=60)["checkpoints"]
    assert [row["step"] for row in some] == [4, 20, 40, 60]


@pytest.mark.parametrize(("label", "step"), [("first", 0), ("latest", LATEST), ("40", 40)])
def test_labels(client: httpx.Client, label: str, step: int) -> None:
    """A label answers as its number does, with Content-Location of the numbered resource."""
    answer = client.get(f"{RUN}/checkpoints/{label}")
    assert answer.json()["step"] == step
    numbered = f"{RUN}/checkpoints/{step}"
    assert answer.headers.get("content-location") == (None if label.isdigit() else numbered)
    assert client.get(numbered).json() == answer.json()


def test_content_location_keeps_the_question(client: httpx.Client) -> None:
    """The numbered resource has the query of the label's, and a POST has none."""
    answer = client.get(f"{RUN}/checkpoints/latest/embedding?of=unembedding&format=csv")
    location = answer.headers["content-location"]
    assert client.get(location).text == answer.text
    posted = client.post(f"{RUN}/checkpoints/latest/predictions", json={"pairs": [[1, 2]]})
    assert "content-location" not in posted.headers


def test_csv_lists_link_to_the_next_page(client: httpx.Client) -> None:
    """A page of CSV has no cursor, so the Link header names the next one; the last has none."""
    page = client.get(f"{RUN}/checkpoints?format=csv&limit=20")
    rest = client.get(page.links["next"]["url"])
    steps = [line.split(",")[0] for text in (page, rest) for line in text.text.splitlines()[1:]]
    assert [int(step) for step in steps] == TINY_STEPS
    assert "next" not in rest.links


def test_manifest(client: httpx.Client) -> None:
    """The checkpoint names its file, and the measures equal their definitions."""
    found = get(client, LAST)
    logits = np.load(io.BytesIO(client.get(f"{LAST}/logits").content))
    mask = split(Task(modulus=P), 0.6, 0)
    truth = answers(Task(modulus=P))
    losses = np.array(
        [
            slow_cross_entropy(list(map(float, r)), int(c))
            for r, c in zip(logits, truth, strict=True)
        ]
    )
    assert found["measures"]["train_loss"] == pytest.approx(losses[mask].mean(), rel=1e-5)
    assert found["measures"]["test_loss"] == pytest.approx(losses[~mask].mean(), rel=1e-5)
    hits = logits.argmax(axis=1) == truth
    assert found["measures"]["test_accuracy"] == pytest.approx(hits[~mask].mean())
    assert found["model"]["outputs"][0] == "logits"


def test_predictions_equal_plain_onnxruntime(
    client: httpx.Client, model: ort.InferenceSession
) -> None:
    """The service's predictions are exactly the file's, its logits up to rounding."""
    grid = pairs(P)
    (logits,) = model.run(["logits"], {"pairs": grid})
    found = get(client, f"{LAST}/predictions")["predictions"]
    assert [(row["a"], row["b"]) for row in found] == list(map(tuple, grid.tolist()))
    assert [row["predicted"] for row in found] == logits.argmax(axis=1).tolist()
    served = np.load(io.BytesIO(client.get(f"{LAST}/logits").content))
    assert_alike(served, logits, TINY_ROUNDING)
    assert np.allclose(get(client, f"{LAST}/logits", format="json")["logits"], served)


def test_a_prediction_in_full(client: httpx.Client, model: ort.InferenceSession) -> None:
    """Answer, split, probability, loss, the likeliest residues and the outputs asked for."""
    body = {"pairs": [[3, 5], [12, 12]], "top": 3, "include": ["logits", "attention", "neurons"]}
    answer = client.post(f"{LAST}/predictions", json=body)
    assert answer.status_code == 200
    first, second = answer.json()["predictions"]
    assert (first["answer"], second["answer"]) == (8, 11)
    assert first["split"] == ("train" if split(Task(modulus=P), 0.6, 0)[3 * P + 5] else "test")
    logits = np.array(first["logits"])
    weights = np.exp(logits - logits.max())
    assert first["probability"] == pytest.approx(weights.max() / weights.sum())
    assert first["loss"] == pytest.approx(slow_cross_entropy(logits.tolist(), 8))
    assert [t["residue"] for t in first["top"]] == np.argsort(-logits)[:3].tolist()
    assert first["top"][0]["probability"] == first["probability"]
    attention, neurons = model.run(["attention", "neurons"], {"pairs": np.array([[3, 5]])})
    assert_alike(first["attention"], attention[0], TINY_ROUNDING)
    assert_alike(first["neurons"], neurons[0], TINY_ROUNDING)


def test_one_pair_by_query(client: httpx.Client) -> None:
    """GET with a and b is the same prediction as POST of the pair, without extras."""
    by_get = get(client, f"{LAST}/predictions", a=3, b=5)
    by_post = client.post(f"{LAST}/predictions", json={"pairs": [[3, 5]]}).json()
    assert by_get == by_post
    assert set(by_get["predictions"][0]) == {
        *("a", "b", "predicted", "answer", "correct", "probability", "loss", "split")
    }


def test_msgpack_bodies(client: httpx.Client) -> None:
    """A MsgPack body is decoded as strictly as JSON."""
    import msgspec

    headers = {"Content-Type": "application/msgpack"}
    good = msgspec.msgpack.encode({"pairs": [[3, 5]]})
    bad = msgspec.msgpack.encode({"pairs": [["3", 5]]})
    statuses = [
        client.post(f"{LAST}/predictions", content=body, headers=headers).status_code
        for body in (good, bad)
    ]
    assert statuses == [200, 400]


@pytest.mark.parametrize("of", ["embedding", "unembedding", "neuron_logit_map"])
def test_spectrum(client: httpx.Client, model: ort.InferenceSession, of: str) -> None:
    """Each matrix's spectrum equals that of the file's output, and Parseval holds."""
    (matrix,) = model.run([of], {"pairs": np.zeros((1, 2), dtype=np.int64)})
    expected, found = spectrum(matrix), get(client, f"{LAST}/spectrum", of=of)
    assert [row["power"] for row in found["spectrum"]] == pytest.approx(expected.power.tolist())
    assert found["total_power"] == pytest.approx(float(np.sum(matrix.astype(float) ** 2)))
    assert sum(row["share"] for row in found["spectrum"]) == pytest.approx(1)
    assert found["basis"] == {"group": "Z_13", "order": 13, "reindex": "natural", "generator": None}
    assert (found["null"], found["provisional"]) == (None, False)
    assert (found["key_frequencies"], found["key_rule"]) == ([1, 3, 4], "logits")
    assert [row["frequency"] for row in found["spectrum"] if row["key"]] == [1, 3, 4]


def test_spectrum_of_the_logits(client: httpx.Client, model: ort.InferenceSession) -> None:
    """The cosines of a + b - c in the centred logits, as one product with the cube a frequency."""
    (logits,) = model.run(["logits"], {"pairs": pairs(P)})
    alphas, betas, _ = slow_logit_coefficients(logits.astype(float).reshape(P, P, P), "sum")
    found = get(client, f"{LAST}/spectrum", of="logits", null=20)
    assert [row["cosine_norm"] for row in found["spectrum"]] == pytest.approx(alphas, rel=1e-4)
    assert [row["sine_norm"] for row in found["spectrum"]] == pytest.approx(betas, rel=1e-4)
    assert found["null"]["permutations"] == 20


def test_neurons(client: httpx.Client, model: ort.InferenceSession) -> None:
    """Each neuron's best of the eight products of rows, and clusters that add up."""
    (values,) = model.run(["neurons"], {"pairs": pairs(P)})
    found = get(client, f"{LAST}/neurons")
    shares = [slow_explained(n.reshape(P, P).astype(float)) for n in values.T if n.std() > 1e-9]
    live = [row for row in found["neurons"] if row["frequency"] is not None]
    assert [row["fve"] for row in live] == pytest.approx([max(s) for s in shares], rel=1e-4)
    assert [row["frequency"] for row in live] == [1 + int(np.argmax(s)) for s in shares]
    clustered = sum(cluster["neurons"] for cluster in found["clusters"])
    assert clustered + found["unclustered"] + found["dead"] == len(found["neurons"]) == 32


def test_spectrum_null(client: httpx.Client) -> None:
    """The null comes when asked for, with its seed, and the same seed gives the same null."""
    found = get(client, f"{LAST}/spectrum", null=50, seed=3)["null"]
    assert (found["permutations"], found["seed"]) == (50, 3)
    assert found["statistic"] == "gini_frequencies"
    assert get(client, f"{LAST}/spectrum", null=50, seed=3)["null"] == found


def test_embedding(client: httpx.Client, model: ort.InferenceSession) -> None:
    """By default the plane of the strongest frequency, with its circle and the circle's null."""
    (matrix,) = model.run(["embedding"], {"pairs": np.zeros((1, 2), dtype=np.int64)})
    strongest, found = spectrum(matrix).strongest, get(client, f"{LAST}/embedding")
    assert (found["projection"], found["frequency"]) == ("frequency", strongest)
    points = [[row["x"], row["y"]] for row in found["coordinates"]]
    np.testing.assert_allclose(points, frequency_plane(matrix, strongest), atol=1e-9)
    expected = circle(matrix, strongest)
    assert found["circle"]["r_squared"] == pytest.approx(expected.r_squared)
    assert found["circle"]["winding"] == expected.winding
    assert found["circle"]["null"]["permutations"] == 200


def test_projections(client: httpx.Client) -> None:
    """PCA and raw coordinates have as many columns as asked for, a circle only on request."""
    pca = get(client, f"{LAST}/embedding", projection="pca", dimensions=3, of="unembedding")
    assert set(pca["coordinates"][0]) == {"residue", "x", "y", "z"}
    assert (pca["circle"], pca["frequency"]) == (None, None)
    raw = get(client, f"{LAST}/embedding", projection="raw", frequency=2)
    assert len(raw["coordinates"][0]) == 1 + 16
    assert raw["explained_share"] == pytest.approx(1)
    assert raw["circle"]["null"] is not None


def test_trajectory(client: httpx.Client) -> None:
    """Every checkpoint in order; other measures on request."""
    rows = get(client, f"{RUN}/trajectory")["trajectory"]
    assert [row["step"] for row in rows] == TINY_STEPS
    chosen = get(client, f"{RUN}/trajectory", measures="ipr_embedding", from_step=TINY_STEPS[-2])
    assert [set(row) for row in chosen["trajectory"]] == [{"step", "ipr_embedding"}] * 2


def test_spectra(client: httpx.Client) -> None:
    """The stored spectra equal those computed from each checkpoint's own model."""
    found = get(client, f"{RUN}/spectra")
    assert found["frequencies"] == [1, 2, 3, 4, 5, 6]
    for row in found["spectra"]:
        own = get(client, f"{RUN}/checkpoints/{row['step']}/spectrum")["spectrum"]
        assert row["values"] == pytest.approx([entry["share"] for entry in own], rel=1e-5)
    power = get(client, f"{RUN}/spectra", value="power")["spectra"][-1]["values"]
    assert power == pytest.approx([e["power"] for e in get(client, f"{LAST}/spectrum")["spectrum"]])


def test_model_file(client: httpx.Client, trained: Trained) -> None:
    """The file's bytes, its digest as ETag, and HEAD with the same headers and no body."""
    path = trained.folder / "checkpoints" / f"{LATEST:010d}" / "model.onnx"
    answer = client.get(f"{LAST}/model.onnx")
    assert answer.content == path.read_bytes()
    assert answer.headers["etag"] == f'"{get(client, LAST)["model"]["sha256"]}"'
    head = client.head(f"{LAST}/model.onnx")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type"):
        assert head.headers[name] == answer.headers[name]


@pytest.mark.parametrize("path", ["/v1/runs", RUN, f"{RUN}/trajectory", "/livez", "/metrics"])
def test_head_answers_where_get_does(client: httpx.Client, path: str) -> None:
    """HEAD is GET without the body."""
    head, get_answer = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get_answer.status_code, b"")


def test_tables_as_csv(client: httpx.Client) -> None:
    """The rows of a table as CSV equal its JSON, by `format` or by Accept."""
    text = client.get(f"{LAST}/spectrum", params={"format": "csv"})
    assert text.headers["content-type"].startswith("text/csv")
    header, *lines = text.text.splitlines()
    rows = get(client, f"{LAST}/spectrum")["spectrum"]
    assert header == "frequency,power,share,cosine_norm,sine_norm,key"
    assert [float(line.split(",")[1]) for line in lines] == [row["power"] for row in rows]
    by_accept = client.get(f"{LAST}/spectrum", headers={"Accept": "text/csv;q=0.9, image/gif"})
    assert by_accept.text == text.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs",
        f"{RUN}/checkpoints",
        f"{RUN}/trajectory",
        f"{LAST}/predictions",
        f"{LAST}/embedding",
    ],
)
def test_every_table_has_csv(client: httpx.Client, path: str) -> None:
    """CSV is on offer for every table, one line a row below its header."""
    lines = client.get(path, params={"format": "csv"}).text.splitlines()
    body = get(client, path)
    [rows] = [value for value in body.values() if isinstance(value, list)]
    assert len(lines) == 1 + len(rows)


def test_the_reader_works_without_internet(client: httpx.Client) -> None:
    """/schema and every script and style it names come from this service."""
    page = client.get("/schema", follow_redirects=True)
    assert page.status_code == 200
    assert "://" not in page.text.split("<body>")[0].replace("http://www.w3.org", "")
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js"):
        assert f"/static/{name}" in page.text
        assert client.get(f"/static/{name}").status_code == 200
    assert client.get("/schema/openapi.json").json()["openapi"].startswith("3.1")
