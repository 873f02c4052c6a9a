"""The residual of every pair: what any unembedding would have been given."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from grokprobe.analysis.probe import Probe
from grokprobe.analysis.representations.readouts import accuracy
from grokprobe.store.backends import open_backends
from grokprobe.task import pairs
from service.inference.altered import ModelFile
from service.inference.checkpoints import Checkpoint, Checkpoints
from service.inference.residual import Residual, file_reading, has_residual
from service.inference.runtime import start_runtime
from service.runs.view import read_view
from service.telemetry.metrics import Metrics
from tests.service.test_families_served import POWER
from tests.support.reference_interventions import changed_logits
from tests.support.trained import TINY, settings_at
from trainer.config.schema import decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

FEW = {"training": {"steps": 6, "device": "cpu", "threads": 1}}
MODELS: dict[str, dict[str, Any]] = {
    "one-layer": TINY["model"],
    "biases": TINY["model"] | {"biases": "all", "d_model": 40},
    "two-layers": POWER | {"biases": "all"},
    "wide": POWER | {"layer_norm": "pre"},
    "mlp": {"family": "mlp", "d_mlp": 8},
}


@pytest.fixture(scope="module", params=MODELS)
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, bytes, Any]:
    """A checkpoint of a short run, its file, and the runtime."""
    settings = settings_at(tmp_path_factory.mktemp(request.param))
    config = decode_config(TINY | FEW | {"model": MODELS[request.param]}, request.param)
    assert start(settings, config, "short", JsonReporter()) == 0
    runtime = start_runtime()

    async def load() -> tuple[Checkpoint, bytes]:
        async with open_backends(settings) as backends:
            view = await read_view(backends.archive, "short", None)
            cache = Checkpoints(backends.archive, runtime, Metrics(), 2**28, 2**28)
            checkpoint = await cache.get(view, view.steps[-1])
            return checkpoint, await backends.archive.model(checkpoint.manifest, 2**28)

    return *asyncio.run(load()), runtime


def test_it_is_what_the_unembedding_reads(loaded: tuple[Checkpoint, bytes, Any]) -> None:
    """With any other unembedding the model's logits are its product with the residual."""
    checkpoint, data, runtime = loaded
    file = ModelFile(data)
    if not has_residual(checkpoint):
        assert "W_U" not in file.parameters
        return
    session = runtime.session(file_reading(ModelFile(data)), "a test")
    residual = Residual(checkpoint, session, file)
    with ThreadPoolExecutor(2) as pool:
        residual.submit = pool.submit
        found = np.concatenate([rows for [rows] in residual.blocks(["residual"])])
        probe = Probe(checkpoint.table.task, checkpoint.table.train_mask, residual, together=())
        assert 0 <= (accuracy(probe, "residual", "test") or 0) <= 1
    p, W_U = checkpoint.table.task.modulus, file.parameters["W_U"]
    assert found.shape == (p * p, len(W_U))
    rng = np.random.default_rng(0)
    for _ in range(-(-len(W_U) // p) + 1):  # enough of them to tell every direction
        other = rng.normal(size=W_U.shape).astype(np.float32)
        logits = changed_logits(data, {"W_U": lambda _, other=other: other}, pairs(p))
        expected = found.astype(np.float64) @ other + file.parameters.get("b_U", 0)
        assert logits == pytest.approx(expected[:, :p], rel=1e-4, abs=1e-4 * np.abs(logits).max())
