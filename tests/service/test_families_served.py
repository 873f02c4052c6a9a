"""A run of every family, trained, published, measured, sampled and served."""

import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
import pytest

from grokprobe.analysis.series.neurons import COLUMNS
from grokprobe.task import pairs
from tests.analysis.test_waves import slow_resultant
from tests.support.reference_maths import slow_held_out
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
    of_map = {"gini_neuron_logit_map", "phase_misalignment"}
    null = of_map if "neuron_logit_map" in absent else set()
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
        assert_readout_of_both_tables(served.client, base)
        names = [row["name"] for row in served.client.get(f"{base}/weights").json()["weights"]]
        for name in names:
            assert served.client.get(f"{base}/weights/{name}").status_code == 200, name
        architecture = served.client.get(f"/v1/runs/{run.run}").json()["architecture"]
        assert architecture["family"] == RUNS[run.run][0].get("family", "transformer")
        assert ("d_model" in architecture) == (run.run != "gromov")  # one-hot inputs have no width
        assert architecture["vocabularies"] == RUNS[run.run][0].get("vocabularies", "shared")


def assert_waves_are_summed_up(
    rows: list[dict[str, Any]], measures: dict[str, Any], direction: str | None, frequencies: int
) -> None:
    """Misalignments are those of the phases, and stored measures those of the neurons."""
    sign, apart = {"sum": 1, "difference": -1, None: None}[direction], []
    for row in rows:
        phases = [row[name] for name in ("input_phase", "input_phase_b", "output_phase")]
        if None in phases or sign is None:
            assert row["misalignment"] is None
            continue
        apart.append(abs(math.remainder(phases[0] + sign * phases[1] - phases[2], 2 * math.pi)))
        assert row["misalignment"] == pytest.approx(apart[-1], abs=1e-9)

    def near(value: Any) -> Any:
        return None if value is None else pytest.approx(value, abs=1e-6)

    live = [row for row in rows if row["frequency"]]
    phases = [math.nan if row["input_phase"] is None else row["input_phase"] for row in live]
    found = [row["frequency"] for row in live]
    assert measures["phase_misalignment"] == near(np.mean(apart) if apart else None)
    assert measures["phase_resultant"] == near(slow_resultant(found, phases))
    for name in ("input_share_f", "input_share_3f", "input_share_5f", "fve_harmonics"):
        known = [row[name] for row in live if row[name] is not None]
        told = measures["fve_mean_harmonics" if name == "fve_harmonics" else name]
        assert told == near(np.mean(known) if known else None)
    assert measures["frequency_coverage"] == near(len(set(found)) / frequencies)


def assert_readout_of_both_tables(client: httpx.Client, base: str) -> None:
    """The readout of the embeddings' sum, where there are any, is of each operand's own table."""
    name, p = "readout_accuracy_embedding_sum", TINY["task"]["modulus"]
    session = ort.InferenceSession(client.get(f"{base}/model.onnx").content)
    offered = [output.name for output in session.get_outputs()]
    found = client.get(f"{base}/measures?names={name},{name}_test").json()["measures"]
    if "embedding" not in offered:
        assert found == {name: None, f"{name}_test": None}
        return
    wanted = ["embedding", "embedding_b" if "embedding_b" in offered else "embedding"]
    of_a, of_b = session.run(wanted, {"pairs": pairs(p)[:1]})
    a, b = pairs(p).T
    x = of_a.astype(np.float64)[a] + of_b.astype(np.float64)[b]
    assert found[name] == np.mean(slow_held_out(x, ((a + b) % p).tolist(), p, 5, 1e-6))


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
    for name in COLUMNS[1:]:
        figures = [row[name] for row in single["neurons"]]
        assert series["neurons"][-1][name] == [f and float(np.float32(f)) for f in figures]
    measures = get("checkpoints/latest/measures")["measures"]
    assert_waves_are_summed_up(single["neurons"], measures, "sum", frequencies=6)
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


def test_its_weights_move(run: Trained) -> None:
    """Every weight and the embedding from step to step, and a path; null is what has no keys."""
    with serving(run.settings, run.settings.home_path) as served:
        found = served.client.get(f"/v1/runs/{run.run}/updates").json()
        keys = served.client.get(f"/v1/runs/{run.run}").json()["key_frequencies"]
        lacking = {} if keys else {"embedding_key_share": "the run has no key frequencies"}
        assert found["absent"] == lacking
        last = found["updates"][-1]
        query = {"a": f"{run.run}/{last['previous_step']}", "b": f"{run.run}/{last['step']}"}
        compared = served.client.get("/v1/compare", params=query).json()
        assert last["norms"] == {row["name"]: row["distance"] for row in compared["weights"]}
        assert min(last["participation_ratios"].values()) >= 1 - 1e-12
        assert len(last["embedding_power"]) == len(found["frequencies"])
        assert 0 <= last["embedding_key_share"] <= 1 if keys else not last["embedding_key_share"]
        path = served.client.get(f"/v1/runs/{run.run}/path").json()
        assert path["explained_shares"][0] > path["explained_shares"][1] > 0
