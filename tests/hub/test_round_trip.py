"""Train, export, push, pull, import: the same weights everywhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load, load_file

from grokprobe import Client
from grokprobe.exporting.export import export
from grokprobe.weights import Weights, weights_sha256
from tests.hub.conftest import Hubbed, done
from tests.support.foreign import weights_of
from tests.support.hub import hub_of_models
from tests.support.served import serving
from tests.support.trained import Trained, settings_at, tiny_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

STEPS = (0, 1, 4, 20, 40)
SHORT = {"training": {"steps": 40}, "local_learning_coefficient": {"every": 0}}


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Hubbed]:
    """An empty hub beside a run of few checkpoints."""
    settings, config = settings_at(tmp_path / "ours"), tiny_config(**SHORT)
    assert start(settings, config, "tiny", JsonReporter()) == 0
    trained = Trained(settings, "tiny", config)
    with hub_of_models() as hub, serving(settings, tmp_path) as served:
        yield Hubbed(hub, trained, served, tmp_path / "hf")


def test_weights_are_the_same_after_every_way(short: Hubbed, tmp_path: Path) -> None:
    """Digests of every step: exported, on the hub, pulled whole or as a file, and imported."""
    with Client(short.served.url, cache=False) as client:
        exported = export(client.run("tiny"), "safetensors", tmp_path / "exported")
    assert short.push().returncode == 0
    assert short.pull(tmp_path / "pulled").returncode == 0
    for step in STEPS:
        to = ["--revision", f"step{step}", "-o", str(tmp_path / f"files/{step}")]
        assert short.pull(tmp_path / "pulled", *to).returncode == 0
    files = [tmp_path / f"files/{step}/model.safetensors" for step in STEPS]
    words = ["import", *map(str, files), "--run", "tiny", "--layout", "grokprobe"]
    imported = done(short.command(*words), short.environment(tmp_path / "imported"))
    assert imported.returncode == 0, imported.stderr
    kept = short.hub.repositories["org/tiny"]

    def digests(step: int, file: Path) -> set[str]:
        homes = (short.trained.settings.home_path, tmp_path / "pulled", tmp_path / "imported")
        runs = [Trained(settings_at(home), "tiny", short.trained.config) for home in homes]
        found: list[Weights] = [weights_of(run, step) for run in runs]
        found += [load_file(exported / f"{step:010d}.safetensors"), load_file(file)]
        found.append(load(kept.tree(f"step{step}")["model.safetensors"]))
        return {weights_sha256(weights) for weights in found}

    each = [digests(step, file) for step, file in zip(STEPS, files, strict=True)]
    assert [len(one) for one in each] == [1] * len(STEPS)
    assert len(set.union(*each)) == len(STEPS)
