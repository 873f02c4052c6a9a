"""A run of every family, trained, published, measured, sampled and served."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.served import serving
from tests.support.trained import TINY, Trained, manifests, settings_at
from trainer.config.schema import decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

OF_RESIDUES = ["embedding", "embedding_b", "effective_embedding", "effective_embedding_b"]
ALL = ["logits", "neurons", "attention", *OF_RESIDUES, "unembedding", "neuron_logit_map"]
POWER = {"layers": 2, "layer_norm": "post", "biases": "none", "initialisation": "pytorch"}
POWER |= {"d_model": 16, "heads": 2, "d_head": 8, "d_mlp": 32}
EMBEDDED = {"family": "mlp", "inputs": "embedding", "vocabularies": "separate", "d_model": 8}
ONE_TABLE = EMBEDDED | {"vocabularies": "shared", "join": "add"}
NOT_OF_MLPS = ["attention", "unembedding"]
EFFECTIVE = OF_RESIDUES[2:]
RUNS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "power": (POWER, ["embedding_b", *EFFECTIVE, "neuron_logit_map"]),
    "vocabularies": (TINY["model"] | {"vocabularies": "separate"}, EFFECTIVE),
    "gromov": ({"family": "mlp", "d_mlp": 32}, NOT_OF_MLPS),
    "embedded": (EMBEDDED | {"d_mlp": 16, "biases": "all"}, NOT_OF_MLPS),
    "added": (ONE_TABLE | {"d_mlp": 16}, [*NOT_OF_MLPS, "embedding_b", "effective_embedding_b"]),
}
SILENT = ("gromov", "embedded", "added")  # whose gradients say nothing: they add, or have no basis
SHORT = {
    "training": {"steps": 60, "device": "cpu", "threads": 1},
    "local_learning_coefficient": {"every": 60, "chains": 2, "draws": 8},
}


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A short run of a family under its name."""
    name = request.param
    config = decode_config(TINY | SHORT | {"model": RUNS[name][0]}, name)
    settings = settings_at(tmp_path_factory.mktemp(name))
    assert start(settings, config, name, JsonReporter()) == 0
    return Trained(settings, name, config)


def test_its_checkpoints_have_what_the_family_has(run: Trained) -> None:
    """Outputs and measures that it lacks are absent and null, every other measure is there."""
    absent = RUNS[run.run][1]
    last = manifests(run)[-1]
    assert last.model.outputs == [name for name in ALL if name not in absent]
    null = {"gini_neuron_logit_map"} if "neuron_logit_map" in absent else set()
    null |= {"circularity_b"} if "embedding_b" in absent else set()
    if run.run in SILENT:
        null |= {"gradient_symmetricity", "gradient_symmetricity_standard_error"}
    assert {name for name, value in last.measures.items() if value is None} == null
    coefficient = last.local_learning_coefficient
    assert coefficient is not None
    assert coefficient.traces[0][0] == pytest.approx(last.measures["train_loss"], rel=1e-4)


def test_it_is_served_but_for_what_it_lacks(run: Trained, tmp_path: Path) -> None:
    """What the family has not is 404 with its name; all else answers."""
    absent = RUNS[run.run][1]
    with serving(run.settings, tmp_path) as served:
        base = f"/v1/runs/{run.run}/checkpoints/latest"
        for of in (*OF_RESIDUES, "unembedding", "neuron_logit_map", "logits"):
            answer = served.client.get(f"{base}/spectrum?of={of}")
            assert answer.status_code == (404 if of in absent else 200), of
            assert of in absent or len(answer.json()["spectrum"]) == 6
        for of in (*OF_RESIDUES, "unembedding"):
            answer = served.client.get(f"{base}/embedding?of={of}")
            assert answer.status_code == (404 if of in absent else 200), of
            assert of not in absent or of in answer.json()["detail"]
        asked = {"pairs": [[1, 2]], "include": ["attention"]}
        answer = served.client.post(f"{base}/predictions", json=asked)
        assert answer.status_code == (404 if "attention" in absent else 200)
        for path in ("neurons", "embedding", "measures?keys=own", "predictions", "activations"):
            assert served.client.get(f"{base}/{path}").status_code == 200, path
        assert_series_are_single_steps(served.client, run.run, absent)
        names = [row["name"] for row in served.client.get(f"{base}/weights").json()["weights"]]
        for name in names:
            assert served.client.get(f"{base}/weights/{name}").status_code == 200, name
        architecture = served.client.get(f"/v1/runs/{run.run}").json()["architecture"]
        assert architecture["family"] == RUNS[run.run][0].get("family", "transformer")
        assert ("d_model" in architecture) == (run.run != "gromov")  # one-hot inputs have no width
        assert architecture["vocabularies"] == RUNS[run.run][0].get("vocabularies", "shared")


def assert_series_are_single_steps(client: httpx.Client, run: str, absent: list[str]) -> None:
    """Series equal the last single step, of matrices too that have to be computed."""

    def get(path: str) -> Any:
        return client.get(f"/v1/runs/{run}/{path}").json()

    for of in (*OF_RESIDUES, "unembedding"):
        if of in absent:
            assert of in client.get(f"/v1/runs/{run}/coordinates?of={of}").json()["detail"]
            continue
        single, series = get(f"checkpoints/latest/embedding?of={of}"), get(f"coordinates?of={of}")
        assert series["frequency"] == single["frequency"]
        last = series["coordinates"][-1]
        assert last["x"] == [float(np.float32(row["x"])) for row in single["coordinates"]], of
        assert last["radius"] == float(np.float32(single["circle"]["radius"])), of
    single, series = get("checkpoints/latest/neurons"), get("neurons")
    read_of = "mean_over_b" if "effective_embedding" in absent else "effective_embedding"
    assert single["input_phase_of"] == series["input_phase_of"] == read_of
    for name in ("input_phase", "output_phase"):
        phases = [row[name] for row in single["neurons"]]
        assert series["neurons"][-1][name] == [f and float(np.float32(f)) for f in phases]
    written = [row["output_phase"] for row in single["neurons"]]
    assert ("neuron_logit_map" in absent) == (written == [None] * len(written))


def test_its_checkpoints_are_compared(run: Trained) -> None:
    """Beside each other and over the run, whatever its embedding is in the file."""
    steps = [manifest.step for manifest in manifests(run)]
    with serving(run.settings, run.settings.home_path) as served:
        query = {"a": f"{run.run}/{steps[0]}", "b": f"{run.run}/{steps[-1]}"}
        found = served.client.get("/v1/compare", params=query).json()
        assert found["absent"] == {}
        drift = served.client.get(f"/v1/runs/{run.run}/drift").json()
        assert drift["absent"] == {}
        last = drift["drift"][-1]
        assert (last["step"], drift["reference"]) == (steps[-1], steps[0])
        assert last["cka"] == found["embedding"]["cka"]
        assert last["overlap"] == found["planes"]["overlap"]
        assert last["distance"] == found["all_weights"]["distance"]
