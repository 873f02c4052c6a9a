"""Addition and subtraction of composite moduli: every route answers, and by the definitions.

An even modulus has a Nyquist frequency: a cosine row and no sine row, so no circle.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from grokprobe.analysis.coordinates import frequency_plane
from grokprobe.analysis.fourier import Array
from grokprobe.cached import cached_property
from grokprobe.task import Task, pairs, split
from tests.service.test_api import get
from tests.support.reference_maths import (
    slow_circularity,
    slow_cross_entropy,
    slow_distance_irrelevance,
    slow_explained,
    slow_gini,
    slow_logit_coefficients,
    slow_projection,
    slow_r_squared,
    slow_spectrum,
    slow_winding,
)
from tests.support.served import serving
from tests.support.trained import settings_at, tiny_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

MODULI = {"add-6": 40, "sub-8": 40, "add-9": 40, "sub-15": 40, "add-118": 3}  # and their steps
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text())


def near(expected: Any) -> Any:
    """Equal but for float32, which the logits are."""
    return pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.fixture(scope="module")
def composite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over a short run of each modulus."""
    settings = settings_at(tmp_path_factory.mktemp("composite"))
    for run, steps in MODULI.items():
        operation, modulus = run.split("-")
        config = tiny_config(
            task={"operation": operation, "modulus": int(modulus)},
            training={"steps": steps},
            checkpoints={"every": 20},
            local_learning_coefficient={"every": 0},
        )
        assert start(settings, config, run, JsonReporter(), group="composite") == 0
    with serving(settings, settings.home_path) as served:
        yield served.client


@dataclass(frozen=True)
class Last:
    """The last checkpoint of a run, by its own file: outputs over all pairs in float64."""

    client: httpx.Client
    run: str

    @property
    def path(self) -> str:
        return f"/v1/runs/{self.run}/checkpoints/latest"

    @property
    def p(self) -> int:
        return int(self.run.split("-")[1])

    @property
    def direction(self) -> str:
        return "sum" if self.run.startswith("add") else "difference"

    @cached_property
    def outputs(self) -> dict[str, NDArray[np.float64]]:
        model = self.client.get(f"{self.path}/model.onnx").content
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        found = session.run(names, {"pairs": pairs(self.p)})
        return {n: np.asarray(v, dtype=np.float64) for n, v in zip(names, found, strict=True)}

    @property
    def cube(self) -> Array:
        return self.outputs["logits"].reshape(self.p, self.p, self.p)

    @cached_property
    def answers(self) -> list[int]:
        sign = 1 if self.direction == "sum" else -1
        return [(a + sign * b) % self.p for a in range(self.p) for b in range(self.p)]

    @cached_property
    def train(self) -> NDArray[np.bool_]:
        operation: Any = self.run.split("-")[0]
        return split(Task(operation=operation, modulus=self.p), 0.6, 0)

    def losses(self, logits: Array) -> Array:
        """The loss of each pair for logits (p*p, p) or (p, p, p)."""
        rows = logits.reshape(-1, self.p).tolist()
        return np.array([slow_cross_entropy(r, y) for r, y in zip(rows, self.answers, strict=True)])


@pytest.fixture(params=MODULI)
def last(composite: httpx.Client, request: pytest.FixtureRequest) -> Last:
    """The last checkpoint of each run."""
    return Last(composite, request.param)


ABSENT = ("embedding_b", "effective_embedding", "effective_embedding_b")


def routes() -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Every GET of the API, with each parameter that has a list of values."""
    return [
        (path, [(q["name"], q["schema"]["enum"]) for q in verbs["get"].get("parameters", [])
                if "enum" in q.get("schema", {})])
        for path, verbs in SCHEMA["paths"].items()
        if "get" in verbs and path.startswith(("/v1", "/v2/models/")) and "events" not in path
    ]  # fmt: skip


OF_PICTURES = {name: {"format": "vega-lite"} for name in ("theme", "chart")}  # 400 of all else


def test_every_route_answers(last: Last) -> None:
    """Each route as it comes, with each of its values, and in each of its formats: 200.

    But for matrices that a transformer of one vocabulary does not have.
    """
    names = {"run": last.run, "step": "latest", "group": "composite", "name": "W_E"}
    refused = set()
    for path, choices in routes():
        url = path.format(**names)
        if path == "/v1/compare":
            url += f"?a={last.run}/latest&b={last.run}/latest"
        asked = [(name, value) for name, values in choices for value in values]
        every = [{}, *({name: value, **OF_PICTURES.get(name, {})} for name, value in asked)]
        for query in every[: None if last.p < 100 else 1]:  # all pairs of a large one are long
            answer = last.client.get(httpx.URL(url).copy_merge_params(query))
            absent = answer.status_code == 404 and query.get("of") in ABSENT
            if answer.status_code != 200 and not absent:
                refused.add((path, str(query), answer.status_code))
    assert refused == set()
    body = {"pairs": pairs(last.p).tolist(), "top": last.p}
    found = last.client.post(f"{last.path}/predictions", json=body).json()["predictions"]
    assert [row["answer"] for row in found] == last.answers
    tensor = {"name": "pairs", "shape": [1, 2], "datatype": "INT64", "data": [last.p - 1, 1]}
    assert last.client.post(f"/v2/models/{last.run}/infer", json={"inputs": [tensor]}).is_success


def test_predictions(last: Last) -> None:
    """All pairs in canonical order: answers modulo p, splits, predictions of the file."""
    found = get(last.client, f"{last.path}/predictions")["predictions"]
    assert [row["answer"] for row in found] == last.answers
    assert [row["split"] == "train" for row in found] == last.train.tolist()
    assert [row["predicted"] for row in found] == last.outputs["logits"].argmax(axis=1).tolist()
    assert [row["loss"] for row in found] == near(last.losses(last.cube))


@pytest.mark.parametrize("of", ["embedding", "unembedding", "neuron_logit_map"])
def test_spectra_equal_the_double_sum(last: Last, of: str) -> None:
    """Every frequency from 1 to floor(p/2); Nyquist has no sine norm; all figures and the null."""
    matrix, draws = last.outputs[of], 20 if last.p < 100 else 2
    found = get(last.client, f"{last.path}/spectrum", of=of, null=draws, seed=3)
    cosines, sines, constant = slow_spectrum(matrix)
    rows, power = found["spectrum"], np.square(cosines) + np.square(sines)
    has_sine = [2 * row["frequency"] < last.p for row in rows]
    assert [row["frequency"] for row in rows] == list(range(1, last.p // 2 + 1))
    assert [row["cosine_norm"] for row in rows] == near(cosines)
    assert [row["sine_norm"] is not None for row in rows] == has_sine
    assert [row["sine_norm"] or 0 for row in rows] == near(sines)
    assert [row["share"] for row in rows] == near(power / power.sum())
    norms = cosines + [s for s, there in zip(sines, has_sine, strict=True) if there]
    assert len(norms) == last.p - 1
    expected = (slow_gini(norms), slow_gini(np.sqrt(power).tolist()), constant)
    got = (found["gini"], found["gini_frequencies"], found["constant_power"])
    assert got == near(expected)
    assert found["ipr"] == near(float(np.sum((power / power.sum()) ** 2)))
    rng = np.random.default_rng(3)
    ginis = []
    for _ in range(draws):
        c, s, _ = slow_spectrum(matrix[rng.permutation(last.p)])
        ginis.append(slow_gini(np.hypot(c, s).tolist()))
    null = found["null"]
    assert (null["mean"], null["max"]) == near((np.mean(ginis), max(ginis)))  # type: ignore[arg-type, type-var]


def test_logits_and_their_keys(last: Last) -> None:
    """Coefficients from the whole cube, and the key rule's set, Nyquist among the frequencies."""
    alphas, betas, norm = slow_logit_coefficients(last.cube, last.direction)
    rows = get(last.client, f"{last.path}/spectrum", of="logits")["spectrum"]
    assert [row["cosine_norm"] for row in rows] == pytest.approx(alphas, rel=1e-4, abs=1e-5 * norm)
    assert [row["sine_norm"] or 0 for row in rows] == pytest.approx(
        betas, rel=1e-4, abs=1e-5 * norm
    )
    similarity = np.array(alphas) / norm
    middle = float(np.sort(similarity)[-2:].mean())  # between the largest and the next
    for threshold in (0.1, middle):
        keys = get(last.client, f"{last.path}/measures", key_threshold=threshold)["keys"]
        assert keys["frequencies"] == (np.flatnonzero(similarity > threshold) + 1).tolist()


def test_neurons_equal_their_products(last: Last) -> None:
    """The strongest frequency of each neuron and what it explains, by its 8 terms (Nyquist: 3)."""
    values = last.outputs["neurons"].reshape(last.p, last.p, -1)
    rows = get(last.client, f"{last.path}/neurons")["neurons"]
    for neuron, row in enumerate(rows):
        if row["frequency"] is None:
            assert float(np.ptp(values[:, :, neuron])) == 0
            continue
        explained = slow_explained(values[:, :, neuron])
        assert row["fve"] == near(max(explained))
        assert explained[row["frequency"] - 1] == near(max(explained))
    live = [row["fve"] for row in rows if row["frequency"] is not None]
    measures = get(last.client, f"{last.path}/measures")["measures"]
    assert measures["fve_mean"] == near(np.mean(live))
    assert measures["neurons_clustered"] == pytest.approx(np.mean(np.array(live) >= 0.85))


def sets_of_keys(p: int) -> list[list[int]]:
    """The lowest; the top one alone, Nyquist where p is even; several; one that divides p; all."""
    divisor = next(d for d in range(2, p) if p % d == 0)
    sets = [[1], [p // 2], [1, p // 2], [divisor], list(range(1, p // 2 + 1))]
    return sets if p < 100 else sets[2:3]


def test_measures_of_keys_equal_the_projections(last: Last) -> None:
    """Restricted and excluded losses by C_k and S_k on the grid: at Nyquist there is C alone."""
    cosines, sines, _ = slow_spectrum(last.outputs["embedding"])
    power, train = np.square(cosines) + np.square(sines), last.train
    for keys in sets_of_keys(last.p):
        named = ",".join(map(str, keys))
        found = get(last.client, f"{last.path}/measures", keys=named)["measures"]
        P = slow_projection(last.cube, keys, last.direction)
        R = P + last.cube.mean(axis=(0, 1))
        losses, without = last.losses(R), last.losses(last.cube - P)
        expected = {
            "restricted_loss": losses.mean(),
            "restricted_loss_train": losses[train].mean(),
            "restricted_loss_test": losses[~train].mean(),
            "restricted_accuracy": np.mean(
                R.reshape(-1, last.p).argmax(axis=1) == np.array(last.answers)
            ),
            "excluded_loss": without[train].mean(),
            "key_share": power[np.array(keys) - 1].sum() / power.sum(),
        }
        assert {name: found[name] for name in expected} == near(expected)
        for key in keys[:3]:
            alone = last.losses(last.cube - slow_projection(last.cube, [key], last.direction))
            per_key = found["excluded_loss_per_key"][str(key)]
            assert per_key == near(alone[train].mean())


def test_measures_without_keys(last: Last) -> None:
    """Losses, ginis, circularity without Nyquist; distance irrelevance is null for an even p."""
    found = get(last.client, f"{last.path}/measures")["measures"]
    losses, embedding = last.losses(last.cube), last.outputs["embedding"]
    assert found["loss"] == near(losses.mean())
    assert found["train_loss"] == near(losses[last.train].mean())
    assert found["test_loss"] == near(losses[~last.train].mean())
    assert found["circularity"] == near(slow_circularity(embedding))
    if last.p % 2:
        expected = slow_distance_irrelevance(last.cube, last.direction)
        assert found["distance_irrelevance"] == near(expected)
    else:
        assert found["distance_irrelevance"] is None
    assert 0 < abs(found["gradient_symmetricity"]) <= 1


def test_circles(last: Last) -> None:
    """Each frequency that has a plane has a circle, whatever factor it shares with p."""
    matrix, highest = last.outputs["embedding"], (last.p - 1) // 2
    for k in {1, 2, *range(3, min(highest, 7)), highest}:
        found = get(last.client, f"{last.path}/embedding", frequency=k)
        points, circle = frequency_plane(matrix, k), found["circle"]
        centred = points - points.mean(axis=0)
        assert circle["r_squared"] == near(slow_r_squared(points, k))
        assert circle["winding"] == slow_winding(centred, k)
        assert circle["radius"] == near(np.hypot(*centred.T).mean())
        variance = float(np.sum((matrix - matrix.mean(axis=0)) ** 2))
        assert found["explained_share"] == near(np.sum(centred**2) / variance)
    cosines, sines, _ = slow_spectrum(matrix)
    power = np.square(cosines[:highest]) + np.square(sines[:highest])
    default = get(last.client, f"{last.path}/embedding")
    assert default["frequency"] == power.argmax() + 1
    rng, fits = np.random.default_rng(0), []
    for _ in range(200 if last.p < 100 else 0):  # each draw at its own strongest with a plane
        rows = matrix[rng.permutation(last.p)]
        transform = np.fft.rfft(rows, axis=0)[1 : highest + 1]
        k = 1 + int((np.abs(transform) ** 2).sum(axis=1).argmax())
        fits.append(slow_r_squared(frequency_plane(rows, k), k))
    if fits:
        null = default["circle"]["null"]
        assert (null["mean"], null["max"]) == near((np.mean(fits), max(fits)))


def test_nyquist_has_no_circle(last: Last) -> None:
    """It is a frequency of spectra and keys; a plane of it is refused with the reason."""
    if last.p % 2:
        return
    answer = last.client.get(f"{last.path}/embedding", params={"frequency": last.p // 2})
    words = f"must be 1..{last.p // 2 - 1}, got {last.p // 2}: the Nyquist frequency has no sine"
    assert (answer.status_code, words in answer.json()["detail"]) == (400, True)


def test_a_run_over_its_steps(last: Last) -> None:
    """Stored spectra have a column for each frequency, and emergence follows given moduli."""
    spectra = get(last.client, f"/v1/runs/{last.run}/spectra")
    assert spectra["frequencies"] == list(range(1, last.p // 2 + 1))
    assert math.fsum(spectra["spectra"][-1]["values"]) == pytest.approx(1)
    run = get(last.client, f"/v1/runs/{last.run}")
    assert run["task"]["train_pairs"] == int(0.6 * last.p**2)
    [row] = get(last.client, "/v1/runs", modulus=last.p)["runs"]
    assert row["run"] == last.run
