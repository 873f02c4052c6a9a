"""What a trainer publishes, and what it says."""

import asyncio
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from rich.console import Console

from grokprobe.analysis.fourier import spectrum
from grokprobe.analysis.irreps import irrep_spectrum
from grokprobe.errors import RunExists, RunNotFound, StoreUnavailable
from grokprobe.settings import Settings
from grokprobe.store.archive.contents import manifests_sha256
from grokprobe.store.archive.verification import problems
from grokprobe.store.backends import open_backends
from grokprobe.store.records import Completion, RunManifest
from tests.support.stores import answers
from tests.support.trained import (
    TINY_STEPS,
    Trained,
    archive,
    events,
    manifests,
    settings_at,
    tiny_config,
)
from trainer.__main__ import main
from trainer.jobs.training import resume, start
from trainer.learning.data import draw
from trainer.publishing.publication import Publication
from trainer.reporting.progress import JsonReporter, TextReporter, make_reporter


def test_every_scheduled_step_is_published(trained: Trained) -> None:
    """The archive is sound, the steps are those of the schedule, the run is complete."""

    async def look() -> tuple[list[str], list[int], Completion | None]:
        published = archive(trained.settings)
        return (
            await problems(published, "tiny"),
            await published.steps("tiny"),
            await published.completion("tiny"),
        )

    complaints, steps, completion = asyncio.run(look())
    assert complaints == []
    assert steps == TINY_STEPS
    assert completion is not None
    assert (completion.status, completion.step) == ("complete", 400)


def test_the_catalogue_knows_what_the_archive_holds(trained: Trained) -> None:
    """Run, checkpoints and completion can be read from Redis alike."""

    async def look() -> None:
        async with open_backends(trained.settings) as backends:
            assert await answers(backends.catalogue) == await answers(backends.archive)
            found = await backends.catalogue.contents("tiny")
            assert list(found.checkpoints) == TINY_STEPS
            assert found.completion is not None
            digest = found.completion.record.manifests_sha256
            assert digest == manifests_sha256(found.checkpoints)

    asyncio.run(look())


def test_storage_is_asked_again_after_growing_pauses(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each with a warning that says how long; other errors are raised at once."""
    failures = [StoreUnavailable("storage is silent")] * 6

    async def answer() -> int:
        if failures:
            raise failures.pop()
        return 7

    async def ask() -> None:
        async with open_backends(settings_at(tmp_path)) as backends:
            grid, manifest = draw(trained.config.task), await archive(trained.settings).run("tiny")
            publication = Publication(backends, manifest, grid, JsonReporter())
            monkeypatch.setattr(asyncio, "sleep", partial(asyncio.sleep, 0))
            assert await publication._store(answer) == 7
            with pytest.raises(RunNotFound):
                await publication._store(lambda: archive(trained.settings).run("none"))

    asyncio.run(ask())
    warned = [str(e["message"]) for e in events(capsys.readouterr().out) if e["event"] == "warning"]
    assert warned == [f"storage is silent; trying again in {s} s" for s in ("0.5", 1, 2, 4, 8, 16)]


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
        assert manifest.spectrum is not None
        assert manifest.spectrum.power == pytest.approx(expected.power, rel=1e-6)
        assert manifest.measures["gini_embedding"] == pytest.approx(expected.gini, rel=1e-6)
        assert manifest.measures["ipr_embedding"] == pytest.approx(expected.ipr, rel=1e-6)


def test_s5_is_trained_and_read_by_irrep(tmp_path: Path) -> None:
    """Composition is published like every operation; its spectrum is the powers of the irreps."""
    config = tiny_config(task={"operation": "s5", "modulus": 120}, training={"steps": 3})
    run = Trained(settings_at(tmp_path), "s5", config)
    assert start(run.settings, config, run.run, JsonReporter()) == 0
    assert asyncio.run(problems(archive(run.settings), run.run)) == []
    first = manifests(run)[0]
    model = run.folder / "checkpoints" / "0000000000" / "model.onnx"
    [embedding] = ort.InferenceSession(model.read_bytes()).run(["embedding"], {"pairs": [[0, 0]]})
    expected = irrep_spectrum(embedding)
    assert first.spectrum is not None
    assert first.spectrum.power == pytest.approx(expected.power, rel=1e-6)
    assert first.measures["ipr_embedding"] == pytest.approx(expected.ipr, rel=1e-6)
    assert first.measures["gini_embedding"] is None


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


def test_text_is_one_line_for_each_checkpoint(trained: Trained) -> None:
    """Off a terminal there is no bar, only what a person wants to read later."""
    sink = StringIO()
    reporter = TextReporter(Console(file=sink))
    reporter.start("tiny", 400, "cpu")
    reporter.step(0, 2.5)
    reporter.sampled(400, 5, 100)
    reporter.published(manifests(trained)[-1])
    reporter.warn("[Redis] is away")
    reporter.end("tiny", "complete", 400, "run tiny is complete at step 400")
    first, checkpoint, warning, last = sink.getvalue().splitlines()
    assert first == "training tiny on cpu: 400 steps"
    assert checkpoint.startswith("step    400  train loss")
    assert (warning, last) == ("warning: [Redis] is away", "run tiny is complete at step 400")


def test_sampling_has_a_bar_until_its_checkpoint_is_published(trained: Trained) -> None:
    """On a terminal, below that of training: it says which checkpoint is being sampled."""
    sink = StringIO()
    reporter = TextReporter(Console(file=sink, force_terminal=True, width=80))
    reporter.start("tiny", 400, "cpu")
    reporter.sampled(400, 5, 100)
    reporter.close()  # draws once more
    assert "5/100" in sink.getvalue()
    assert "learning coefficient of step 400" in sink.getvalue()
    reporter.published(manifests(trained)[-1])
    sink.truncate(0)
    reporter.start("tiny", 400, "cpu")
    reporter.close()
    assert "learning coefficient" not in sink.getvalue()


def test_the_reporter_follows_the_log_format() -> None:
    """`auto` is JSON where nobody watches."""
    assert isinstance(make_reporter(Settings(log_format="text")), TextReporter)
    assert isinstance(make_reporter(Settings(log_format="json")), JsonReporter)
