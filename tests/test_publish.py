"""Publication by a real trainer into real stores: what is there, and what failures leave behind."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from obstore.store import LocalStore

from grokprobe.analysis.fourier import spectrum
from grokprobe.errors import PublicationConflict, RunExists, StoreUnavailable, Superseded
from grokprobe.settings import Settings
from grokprobe.store.archive import Archive
from grokprobe.store.backends import open_backends
from grokprobe.store.manifest import CheckpointManifest, Completion, RunManifest
from tests.trained import TINY, TINY_STEPS, Trained, settings_at, tiny_config, train_tiny
from trainer import publish
from trainer.__main__ import main
from trainer.data import draw
from trainer.job import RunFailed, resume, start
from trainer.progress import JsonReporter, TextReporter, make_reporter
from trainer.schedule import published_steps


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_tiny(tmp_path_factory.getbasetemp())


def archive(settings: Settings) -> Archive:
    return Archive(LocalStore(str(settings.home_path / "store")))


def manifests(run: Trained) -> list[CheckpointManifest]:
    async def read() -> list[CheckpointManifest]:
        published = archive(run.settings)
        return await published.checkpoints(run.run, await published.steps(run.run))

    return asyncio.run(read())


@contextmanager
def trainer(run: Trained, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A trainer in a process of its own, killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        env={**os.environ, "GROKPROBE_HOME": run.settings.home},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def configured(folder: Path) -> str:
    """TINY as a TOML file."""
    lines = [
        f"[{section}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
        for section, table in TINY.items()
    ]
    path = folder / "tiny.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def events(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_every_scheduled_step_is_published(trained: Trained) -> None:
    """The archive is sound, the steps are those of the schedule, the run is complete."""

    async def look() -> tuple[list[str], list[int], Completion | None]:
        published = archive(trained.settings)
        return (
            await published.verify("tiny"),
            await published.steps("tiny"),
            await published.completion("tiny"),
        )

    problems, steps, completion = asyncio.run(look())
    assert problems == []
    assert steps == TINY_STEPS
    assert completion is not None
    assert (completion.status, completion.step) == ("complete", 400)


def test_the_catalogue_knows_what_the_archive_holds(trained: Trained) -> None:
    """Run, checkpoints and completion can be read from Redis alike."""

    async def look() -> None:
        async with open_backends(trained.settings) as backends:
            for source in (backends.archive, backends.catalogue):
                assert await source.runs() == ["tiny"]
                assert await source.steps("tiny") == TINY_STEPS
            assert await backends.catalogue.run("tiny") == await backends.archive.run("tiny")
            completion = await backends.catalogue.completion("tiny")
            assert completion == await backends.archive.completion("tiny")

    asyncio.run(look())


def test_measures_are_those_of_the_published_file(trained: Trained) -> None:
    """Recomputed from the ONNX file by the formulas: losses, accuracies, norm, spectrum."""
    grid = draw(trained.config.task)
    for manifest in manifests(trained)[::4]:
        folder = trained.folder / "checkpoints" / f"{manifest.step:010d}"
        session = ort.InferenceSession((folder / "model.onnx").read_bytes())
        logits, embedding = session.run(["logits", "embedding"], {"pairs": grid.pairs})
        L = logits.astype(np.float64)
        losses = np.log(np.exp(L).sum(axis=1)) - L[np.arange(len(L)), grid.answers]
        for part, mask in (("train", grid.train), ("test", grid.test)):
            assert manifest.measures[f"{part}_loss"] == pytest.approx(losses[mask].mean(), rel=1e-5)
            hits = L[mask].argmax(axis=1) == grid.answers[mask]
            assert manifest.measures[f"{part}_accuracy"] == hits.mean()
        expected = spectrum(embedding)
        assert manifest.spectrum.power == pytest.approx(expected.power, rel=1e-6)
        assert manifest.measures["gini_embedding"] == pytest.approx(expected.gini, rel=1e-6)
        assert manifest.measures["ipr_embedding"] == pytest.approx(expected.ipr, rel=1e-6)


def test_the_run_manifest_says_how_to_train_it_again(trained: Trained) -> None:
    """The whole configuration, its digest, the split as a fact."""
    manifest: RunManifest = asyncio.run(archive(trained.settings).run("tiny"))
    assert manifest.config_sha256 == trained.config.sha256
    assert manifest.config["model"] == manifest.architecture
    assert (manifest.task.train_pairs, manifest.task.test_pairs) == (101, 68)


def test_training_an_existing_run_is_refused(trained: Trained) -> None:
    """The error names `resume`, and nothing is trained."""
    with pytest.raises(RunExists, match="python -m trainer resume tiny"):
        start(trained.settings, trained.config, "tiny", JsonReporter())


def test_resuming_a_complete_run_says_so(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its index is brought up to date, and that is all."""
    assert resume(trained.settings, "tiny", JsonReporter()) == 0
    [end] = events(capsys.readouterr().out)
    assert end["message"] == "run tiny is complete at step 400: there is nothing to resume"


def test_a_killed_run_resumed_has_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    """kill -9 in the middle, resume: every object equals that of the run never interrupted."""
    killed = Trained(settings_at(tmp_path), "tiny", trained.config)
    with trainer(killed, "train", "--config", configured(tmp_path), "--run", "tiny") as process:
        assert process.stdout is not None
        for _ in range(4):  # start, steps 0, 1, 4
            process.stdout.readline()
    assert process.returncode == -signal.SIGKILL
    assert "complete.json" not in killed.objects()
    assert resume(killed.settings, "tiny", JsonReporter()) == 0
    assert killed.objects() == trained.objects()
    assert asyncio.run(archive(killed.settings).verify("tiny")) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_training_cleanly(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """The queue is flushed, the run stays open, the last line says how to go on."""
    stopped = Trained(settings_at(tmp_path), "tiny", tiny_config())
    arguments = ("train", "--config", configured(tmp_path), "--run", "tiny")
    with trainer(stopped, *arguments, "--set", "training.steps=20000") as process:
        assert process.stdout is not None
        while '"step": 1' not in process.stdout.readline():
            pass
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (status, "")
    end = events(output)[-1]
    assert end["status"] == "running"
    assert str(end["message"]).endswith("go on with `python -m trainer resume tiny`")
    assert "complete.json" not in stopped.objects()
    published = [manifest.step for manifest in manifests(stopped)]
    last = int(str(end["step"]))
    assert last < 20_000
    assert published == published_steps(tiny_config().checkpoints, 20_000)[: len(published)]
    assert last - 20 < published[-1] <= last


def test_another_result_under_the_same_name_is_a_conflict(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint that does not come out equal stops the trainer and stays as it is."""
    other = Trained(settings_at(tmp_path), "tiny", trained.config)

    async def copy_with_another_loss() -> None:
        source, target = archive(trained.settings), archive(other.settings)
        await target.publish_run(await source.run("tiny"), await source.train_mask("tiny"))
        manifest = await source.checkpoint("tiny", 4)
        model = await source.model(manifest)
        manifest.measures["train_loss"] = 1.0
        await target.publish_checkpoint(manifest, model)

    (tmp_path / "store").mkdir()
    asyncio.run(copy_with_another_loss())
    with pytest.raises(PublicationConflict, match=r"'tiny' step 4.*measures\.train_loss"):
        resume(other.settings, "tiny", JsonReporter())
    assert [event["event"] for event in events(capsys.readouterr().out)][:3] == [
        "start",
        "checkpoint",
        "checkpoint",
    ]
    assert max(manifest.step for manifest in manifests(other)) == 4


def test_a_superseded_trainer_stops(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as another attempt has started, this one publishes nothing more."""
    settings = settings_at(tmp_path)

    class Rival(JsonReporter):
        def start(self, run: str, steps: int, device: str) -> None:
            asyncio.run(archive(settings).start_attempt("tiny"))

    with pytest.raises(Superseded, match="attempt 1 of run 'tiny'"):
        start(settings, trained.config, "tiny", Rival())
    assert manifests(Trained(settings, "tiny", trained.config)) == []


def test_training_survives_a_redis_that_refuses(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything is published, the warnings say what to do, and a later resume indexes it."""
    with socket.socket() as closed:  # bound, not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}"
        settings = Settings(home=str(tmp_path), redis_url=url)
        assert start(settings, trained.config, "tiny", JsonReporter()) == 0
    warnings = [e for e in events(capsys.readouterr().out) if e["event"] == "warning"]
    assert "training goes on" in str(warnings[0]["message"])
    assert "python -m grokprobe reindex" in str(warnings[-1]["message"])
    alike = Trained(settings, "tiny", trained.config)
    assert alike.objects() == trained.objects()


def test_a_store_that_refuses_stops_training_in_bounded_time(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, then one line names the object; training does not run ahead."""
    monkeypatch.setattr(publish, "RETRY_S", 1.0)
    settings = settings_at(tmp_path)

    class Vandal(JsonReporter):
        def start(self, run: str, steps: int, device: str) -> None:
            (tmp_path / "store/runs/tiny/checkpoints").write_text("not a directory")

    with pytest.raises(StoreUnavailable, match="checkpoints"):
        start(settings, trained.config, "tiny", Vandal())


def test_a_run_that_leaves_the_numbers_is_failed(tmp_path: Path) -> None:
    """`complete.json` names the step; no checkpoint of that step or later exists."""
    config = tiny_config(optimiser={"learning_rate": 1.0, "weight_decay": 1000.0})
    failed = Trained(settings_at(tmp_path), "hot", config)
    with pytest.raises(RunFailed, match="run 'hot' failed: train_loss is not finite at step"):
        start(failed.settings, config, "hot", JsonReporter())
    completion = asyncio.run(archive(failed.settings).completion("hot"))
    assert completion is not None
    assert completion.status == "failed"
    assert f"step {completion.step}" in completion.reason
    assert all(manifest.step < completion.step for manifest in manifests(failed))


def test_errors_are_one_line_and_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 where the request was refused, and never a traceback."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path))
    assert main(["resume", "nothing"]) == 2
    assert main(["train", "--preset", "quickstar"]) == 2
    assert main(["train", "--preset", "quickstart", "--run", "No Name"]) == 2
    monkeypatch.setenv("GROKPROBE_HOMES", "x")
    assert main(["resume", "nothing"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("error: ") for line in lines)
    assert "did you mean quickstart?" in lines[1]


def test_the_reporter_follows_the_log_format() -> None:
    """`auto` is JSON where nobody watches."""
    assert isinstance(make_reporter(Settings(log_format="text")), TextReporter)
    assert isinstance(make_reporter(Settings(log_format="json")), JsonReporter)
