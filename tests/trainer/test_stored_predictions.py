"""What every checkpoint answers is published with it, by trainer and importer alike."""

import asyncio
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from grokprobe.settings import Settings
from grokprobe.store.archive.predictions import Predicted, read_predictions
from grokprobe.store.records import CheckpointManifest
from grokprobe.task import UNDEFINED, answers, pairs
from tests.support.trained import Trained, archive, manifests, settings_at, tiny_config
from tests.trainer.test_import_onnx import command, files, home
from trainer.__main__ import main
from trainer.jobs.training import start
from trainer.learning.data import draw
from trainer.reporting.progress import JsonReporter

__all__ = ["home"]  # a fixture


def stored(run: Trained, modulus: int) -> list[tuple[CheckpointManifest, Predicted]]:
    """Every checkpoint with its stored predictions."""

    async def read() -> list[Predicted | None]:
        published = archive(run.settings)
        return [await read_predictions(published, m, modulus) for m in manifests_of_run]

    manifests_of_run = manifests(run)
    found = [predicted for predicted in asyncio.run(read()) if predicted is not None]
    return list(zip(manifests_of_run, found, strict=True))


def infer(run: Trained, step: int, modulus: int) -> list[int]:
    """What the published file answers, by plain ONNX Runtime a pair at a time."""
    path = run.folder / "checkpoints" / f"{step:010d}" / "model.onnx"
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found = [session.run(["logits"], {"pairs": p[None]})[0][0].tolist() for p in pairs(modulus)]
    return [row.index(max(row)) for row in found]


def test_a_trainer_publishes_what_its_files_answer(trained: Trained) -> None:
    """At every step, and the accuracies of the manifest are made of the same answers."""
    grid = draw(trained.config.task)
    assert grid.train is not None
    assert grid.test is not None
    for manifest, predicted in stored(trained, 13):
        assert predicted.tolist() == infer(trained, manifest.step, 13)
        right = predicted == grid.answers
        assert manifest.measures["train_accuracy"] == right[grid.train].mean()
        assert manifest.measures["test_accuracy"] == right[grid.test].mean()


def test_pairs_without_an_answer_are_predicted_too(tmp_path: Path) -> None:
    """Division by 0 has no answer; what the network says of it is a residue all the same."""
    task = {"operation": "div", "modulus": 7, "train_fraction": 0.6}
    config = tiny_config(task=task, training={"steps": 20}, local_learning_coefficient={"every": 0})
    run = Trained(settings_at(tmp_path), "div", config)
    assert start(run.settings, config, "div", JsonReporter()) == 0
    undefined = answers(config.task.task) == UNDEFINED
    assert undefined.sum() == 7
    for manifest, predicted in stored(run, 7):
        assert predicted.tolist() == infer(run, manifest.step, 7)
        assert manifest.measures["accuracy"] == pytest.approx(
            np.mean((predicted == answers(config.task.task))[~undefined])
        )


def test_an_import_publishes_them(home: Path, tmp_path: Path) -> None:
    """As a trainer does, without a split too; and repeated, it finds no difference."""
    paths = files(tmp_path)
    assert main(command(*paths)) == main(command(*paths)) == 0
    run = Trained(Settings(home=str(home)), "foreign", tiny_config())
    found = stored(run, 7)
    assert [manifest.step for manifest, _ in found] == [0, 30]
    for manifest, predicted in found:
        assert predicted.tolist() == infer(run, manifest.step, 7)
