"""What only a GPU shows: that a captured step learns as the CPU does, and that runs go on there."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grokprobe.store.archive.verification import problems
from tests.support.trained import Trained, Until, archive, manifests, settings_at, tiny_config
from tests.trainer.test_learner import EVERYTHING, VARIED
from trainer.config.schema import Config, load_config, preset
from trainer.jobs.training import resume, start
from trainer.learning import learner
from trainer.learning.data import draw
from trainer.learning.learner import Learner
from trainer.learning.train import prepare
from trainer.models.network import take_rows
from trainer.reporting.progress import JsonReporter

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
GPU = {"device": "cuda", "threads": 1}
COMPILED = {
    "alone": [tiny_config()],
    "batch": [tiny_config(training={"batch": 32}, optimiser={"schedule": "cosine"})],
    "layers": [tiny_config(model={"layers": 2, "layer_norm": "pre"})],
    "mlp": [load_config(preset("gromov"), ["task.modulus=13", "model.d_mlp=32"])],
    "stablemax": [tiny_config(training={"loss": "stablemax"})],
} | {name: VARIED[name] for name in ("seeds", "rates", "fractions", "batches", "grokfast")}


def learners(configs: list[Config]) -> tuple[Learner, Learner]:
    """The same networks on the CPU and on the GPU."""
    grids = [draw(config.task) for config in configs]
    prepare(configs[0].training)
    return (
        Learner(configs, grids, torch.device("cpu")),
        Learner(configs, grids, torch.device("cuda")),
    )


@pytest.mark.parametrize("optimiser", EVERYTHING)
@pytest.mark.parametrize("batch", [0, 32])
def test_a_captured_step_learns_as_the_cpu_does(optimiser: dict[str, Any], batch: int) -> None:
    """Losses of the first steps, through the warm-up of the rate; recorded after three of them."""
    config = tiny_config(optimiser=optimiser, training={"batch": batch})
    cpu, gpu = learners([config])
    found, expected = gpu.advance(60), cpu.advance(60)
    np.testing.assert_allclose(found[:20], expected[:20], rtol=1e-2 if optimiser else 1e-3)
    assert found[-1][0] < found[0][0]


@pytest.mark.parametrize("configs", VARIED.values(), ids=VARIED)
def test_a_captured_ensemble_learns_as_the_cpu_does(configs: list[Config]) -> None:
    """Every member."""
    cpu, gpu = learners(configs)
    np.testing.assert_allclose(gpu.advance(20), cpu.advance(20), rtol=1e-2)


@pytest.mark.parametrize("configs", COMPILED.values(), ids=COMPILED)
def test_a_compiled_step_learns_as_the_cpu_does(
    configs: list[Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in runs that are long enough for it: alone, in ensembles, of every family and loss."""
    monkeypatch.setattr(learner, "COMPILED_FROM", 0)
    cpu, gpu = learners(configs)
    np.testing.assert_allclose(gpu.advance(20), cpu.advance(20), rtol=1e-2)


@pytest.mark.parametrize("own_indices", [False, True])
def test_rows_of_many_tables_are_taken_as_on_the_cpu(own_indices: bool) -> None:
    """Alone and mapped; gradients are products with one-hots there, added up in another order."""
    tables, weights = torch.randn(3, 7, 2, 4), torch.randn(3, 50, 2, 4)
    indices = torch.randint(7, (3, 50) if own_indices else (50,))
    dims = (0, 0 if own_indices else None)

    def gradient(device: str) -> list[torch.Tensor]:
        leaf = tables.to(device).requires_grad_()
        taken = torch.vmap(take_rows, in_dims=dims)(leaf, indices.to(device))
        alone = take_rows(leaf[0], indices[0].to(device) if own_indices else indices.to(device))
        loss = (taken * weights.to(device)).sum() + (alone * weights[1].to(device)).sum()
        return [taken.detach().cpu(), *(g.cpu() for g in torch.autograd.grad(loss, [leaf]))]

    (taken, found), (expected_rows, expected) = gradient("cuda"), gradient("cpu")
    assert torch.equal(taken, expected_rows)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("optimiser", [{}, {"name": "sgd", "learning_rate": 0.1}])
def test_an_ensemble_goes_on_from_its_members_states(optimiser: dict[str, Any]) -> None:
    """Where one update serves all members, each has its part of the moments."""
    configs = [tiny_config(training={"seed": seed}, optimiser=optimiser) for seed in range(3)]
    _, whole = learners(configs)
    _, second = learners(configs)
    whole.advance(10)
    snapshots = [whole.snapshot(number) for number in range(3)]
    for number, snapshot in enumerate(snapshots):
        snapshot.wait()
        second.restore(number, snapshot)
    np.testing.assert_allclose(second.advance(20), whole.advance(20), rtol=1e-3)


def test_a_learner_that_is_gone_does_not_spoil_the_next() -> None:
    """As in a sweep: its graph is freed when garbage is collected, which may be at any time."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for seed in range(20):
            grid = draw(tiny_config().task)
            gone = Learner([tiny_config(training={"seed": seed})], [grid], torch.device("cuda"))
            assert len(gone.advance(5)) == 5
            gone.itself = gone  # type: ignore[attr-defined]
    finally:
        gc.set_threshold(*before)


def test_a_snapshot_is_of_its_step_though_the_gpu_goes_on() -> None:
    """The copy is queued before the next step: it must not show what comes after it."""
    _, gpu = learners([tiny_config()])
    gpu.advance(10)
    torch.cuda.synchronize()
    expected = {name: weights.detach().cpu() for name, weights in gpu.members[0].items()}
    snapshot = gpu.snapshot(0)
    gpu.advance(60)
    snapshot.wait()
    for name, weights in expected.items():
        np.testing.assert_array_equal(snapshot.weights[name], weights)


def test_a_run_on_a_gpu_is_published_and_gone_on_with(tmp_path: Path) -> None:
    """Interrupted and resumed: every scheduled step once, and all of it sound."""
    run = Trained(settings_at(tmp_path), "gpu", tiny_config(training=GPU))
    assert start(run.settings, run.config, "gpu", Until(8)) == 130
    assert resume(run.settings, "gpu", JsonReporter()) == 0
    assert asyncio.run(problems(archive(run.settings), "gpu")) == []
    assert manifests(run)[-1].step == 400
    assert manifests(run)[-1].measures["train_accuracy"] == 1.0
