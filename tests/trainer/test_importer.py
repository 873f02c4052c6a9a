"""Runs that others trained: a round trip, repetition, interruption, what is refused."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from grokprobe.settings import Settings
from grokprobe.store.records import RunManifest
from tests.support.foreign import SMALL, lens, save, saved, small, weights_of
from tests.support.rounding import TINY_ROUNDING, assert_alike
from tests.support.served import serving
from tests.support.trained import Trained, archive, events, manifests, settings_at, tiny_config
from trainer.__main__ import main
from trainer.importing.weight_files import import_files
from trainer.models.export import open_session
from trainer.reporting.progress import JsonReporter

STEPS = [0, 100, 400]


def run_manifest(run: Trained) -> RunManifest:
    """The `run.json` of a run."""
    return asyncio.run(archive(run.settings).run(run.run))


def logits_of(run: Trained, step: int) -> Any:
    """What a published checkpoint answers for all pairs."""
    data = (run.folder / "checkpoints" / f"{step:010d}" / "model.onnx").read_bytes()
    pairs = np.stack(np.divmod(np.arange(169), 13), axis=1)
    return open_session(data).run(["logits"], {"pairs": pairs})[0]


@pytest.fixture(scope="module")
def imported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Three checkpoints of the run `tiny`, saved as others do, imported with its split."""
    folder = tmp_path_factory.mktemp("imported")
    mask = trained.folder / "split.npy"
    layout = lens("split.kind=mask", f"split.file='{mask}'", r"step.pattern='_(\d+)'", step=None)
    settings = settings_at(folder)
    paths = saved(trained, STEPS, folder)[::-1]
    assert import_files(settings, paths, layout, "copy", JsonReporter()) == 0
    return Trained(settings, "copy", trained.config)


def test_what_was_trained_here_comes_back(trained: Trained, imported: Trained) -> None:
    """Exported and imported, a run gives the same logits and the same measures."""
    originals = {manifest.step: manifest for manifest in manifests(trained)}
    found = manifests(imported)
    assert [manifest.step for manifest in found] == STEPS
    for manifest in found:
        original = originals[manifest.step]
        expected = logits_of(trained, manifest.step)
        assert_alike(logits_of(imported, manifest.step), expected, TINY_ROUNDING)
        more = float(len(weights_of(trained, 0)["W_U"]))  # ones in the column of "="
        expected_norm = (original.measures["weight_norm"] or 0) + more
        assert manifest.measures.pop("weight_norm") == pytest.approx(expected_norm, rel=1e-6)
        assert manifest.measures.pop("weight_l2") == pytest.approx(expected_norm**0.5, rel=1e-6)
        rest = {name: original.measures[name] for name in manifest.measures}
        assert manifest.measures == pytest.approx(rest, rel=1e-6)
        assert manifest.split_sha256 == original.split_sha256
    completions = [asyncio.run(archive(r.settings).completion(r.run)) for r in (trained, imported)]
    assert completions[0] is not None
    assert completions[1] is not None
    assert completions[1].keys == completions[0].keys


def test_the_manifest_says_where_it_comes_from(imported: Trained) -> None:
    """The layout and the digests of the files; neither an optimiser nor a seed is invented."""
    manifest = run_manifest(imported)
    assert manifest.config["layout"]["split"]["kind"] == "mask"
    assert len(manifest.config["files"]) == 3
    assert (manifest.optimiser, manifest.seed, manifest.task.train_fraction) == ({}, None, None)
    assert manifest.task.train_pairs == 101
    assert manifest.architecture["heads"] == 2


# -- the command line ----------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME of one's own for the commands of a test."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROKPROBE_LOG_FORMAT", "json")
    return tmp_path / "home"


def objects(home: Path, run: str) -> dict[str, bytes]:
    """What is published of a run, the moments of its creation aside."""
    return Trained(Settings(home=str(home)), run, tiny_config()).objects()


def command(*paths: Path, run: str = "foreign", arguments: tuple[str, ...] = ()) -> list[str]:
    """The command line that imports files whose names end in their steps."""
    pattern = r"step.pattern='_(\d+)'"
    files = [str(path) for path in paths]
    return [
        "import",
        *files,
        "--layout",
        "transformer_lens",
        "--run",
        run,
        "--set",
        pattern,
        *arguments,
    ]


def test_an_import_may_be_repeated_and_its_name_holds_nothing_else(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command again is a success and changes nothing; another one is refused."""
    files = [save(small(step), tmp_path / f"m_{step}.npz") for step in (0, 20)]
    assert main(command(*files)) == 0
    first = objects(home, "foreign")
    said = events(capsys.readouterr().out)
    assert [event.get("step") for event in said] == [0, 20, 20]
    assert said[-1]["message"] == "run foreign is imported: 2 checkpoints, the last of step 20"
    assert set(said[0]) == {"event", "run", "step", "loss", "accuracy"}
    assert main(command(*files[::-1])) == 0
    assert objects(home, "foreign") == first
    assert main(command(files[0])) == 2
    assert main(command(*files, arguments=("--set", "task.operation=sub"))) == 2
    errors = [e for e in capsys.readouterr().err.splitlines() if not e.startswith("warning: ")]
    assert errors[0].startswith(
        "error: --run: 'foreign' is another run (it differs in config.files"
    )
    assert "task.operation" in errors[1]
    assert objects(home, "foreign") == first


def test_an_interrupted_import_is_completed_by_repeating_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it left is a run that goes on, `resume` says how, and in the end nothing is missing."""
    files = [save(small(step), tmp_path / f"m_{step}.pt") for step in (0, 20)]

    class Stopped(JsonReporter):
        def published(self, *_: Any) -> None:
            raise KeyboardInterrupt

    layout = lens(r"step.pattern='_(\d+)'", step=None)
    settings = Settings(home=str(home), log_format="json")
    with pytest.raises(KeyboardInterrupt):
        import_files(settings, files, layout, "foreign", Stopped())
    assert len([path for path in objects(home, "foreign") if path.endswith("model.onnx")]) == 1
    assert main(["resume", "foreign"]) == 2
    assert "run 'foreign': was imported: import the same files again" in capsys.readouterr().err
    assert main(command(*files)) == main(command(*files, run="whole")) == 0
    apart, whole = objects(home, "foreign"), objects(home, "whole")
    assert set(apart) == set(whole)
    measures = "checkpoints/0000000020/manifest.json"
    assert json.loads(apart[measures])["measures"] == json.loads(whole[measures])["measures"]
    assert main(["resume", "foreign"]) == 0


Make = Callable[[Path], list[Path]]


def bad_tensor(folder: Path) -> list[Path]:
    return [save(small() | {"embed.W_E": np.ones(3)}, folder / "m_9.npz")]


def overflow(folder: Path) -> list[Path]:
    state = small()
    for name in ("embed.W_E", "unembed.W_U"):
        state[name] *= 1e30
    return [save(state, folder / "m_9.pt")]


def same_step(folder: Path) -> list[Path]:
    return [save(small(1), folder / "n_0.pt")]


def other_network(folder: Path) -> list[Path]:
    return [save(small(section=replace(SMALL, d_mlp=20)), folder / "m_9.pt")]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (bad_tensor, "embed.W_E (3,) as 'vocabulary d_model' has not these axes"),
        (overflow, "its logits are beyond float32"),
        (same_step, "both are step 0"),
        (other_network, "are not of one run: d_mlp is 16 and 20"),
    ],
)
def test_one_bad_file_and_nothing_is_published(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Make, words: str
) -> None:
    """Every file is checked before the first write; the error names the file."""
    good = save(small(), tmp_path / "m_0.pt")
    assert main(command(good, *make(tmp_path))) == 2
    [error] = capsys.readouterr().err.splitlines()
    assert words in error
    assert not home.exists()


@pytest.mark.parametrize("modulus", [6, 9])
def test_a_composite_modulus_is_addition_s_alone(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], modulus: int
) -> None:
    """Read off the tensors as any other; another operation says what it takes, and who told it."""
    file = save(small(modulus=modulus), tmp_path / "m_3.pt")
    assert main(command(file, arguments=("--set", "task.operation=sub"))) == 0
    run = Trained(Settings(home=str(home)), "foreign", tiny_config())
    [manifest] = manifests(run)
    assert manifest.spectrum is not None
    assert len(manifest.spectrum.power) == modulus // 2
    assert (manifest.measures["distance_irrelevance"] is None) == (modulus == 6)
    assert run_manifest(run).task.modulus == modulus
    capsys.readouterr()
    assert main(command(file, run="other", arguments=("--set", "task.operation=mul"))) == 2
    [error] = capsys.readouterr().err.splitlines()
    assert f"odd prime, got {modulus}; add and sub take any modulus from 5, by embed.W_E" in error


def test_one_file_may_hold_many_checkpoints(home: Path, tmp_path: Path) -> None:
    """A list of state dictionaries and a list of steps; the recipe of the split is on record."""
    table = {"epochs": [0, 10], "states": [small(0), small(1)], "losses": [2.0, 1.0]}
    path = save(table, tmp_path / "all.pt")
    told = ["file.state=states", "step.field=epochs", "split.kind=shuffle", "split.seed=3"]
    sets = [word for one in (*told, "split.train_fraction=0.3") for word in ("--set", one)]
    command = ["import", str(path), "--layout", "transformer_lens", "--run", "many", *sets]
    assert main(command) == 0
    run = Trained(Settings(home=str(home)), "many", tiny_config())
    assert [manifest.step for manifest in manifests(run)] == [0, 10]
    assert manifests(run)[0].measures["train_accuracy"] is not None
    task = run_manifest(run).task
    assert (task.train_fraction, task.split_seed, task.train_pairs) == (0.3, 3, 14)


def test_mistakes_on_the_command_line_are_one_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, the place, nothing written."""
    path = str(save(small(), tmp_path / "m.pt"))
    lens = ["--layout", "transformer_lens", "--run", "x"]
    assert main(["import", path, "--layout", "transformer", "--run", "x"]) == 2
    assert main(["import", path, *lens]) == 2
    assert main(["import", path, *lens, "--step", "-1"]) == 2
    assert main(["import", path, path, *lens, "--step", "1"]) == 2
    assert main(["import", "none.pt", *lens, "--step", "1"]) == 2
    assert main(["import", path, *lens[:3], "X Y", "--step", "1"]) == 2
    words = [
        "did you mean transformer_lens",
        "got none",
        "--step: step.number",
        "both are",
        "No such",
        "X Y",
    ]
    errors = capsys.readouterr().err.splitlines()
    assert all(error.startswith("error: ") for error in errors)
    assert all(word in error for word, error in zip(words, errors, strict=True))
    assert not home.exists()


def test_a_run_without_a_split_is_served(home: Path, tmp_path: Path) -> None:
    """Its train and test figures are null everywhere, and nothing fails for want of them."""
    assert main(command(save(small(), tmp_path / "m_0.pt"))) == 0
    with serving(Settings(home=str(home)), tmp_path) as served:

        def get(path: str) -> Any:
            return served.client.get(f"/v1/runs{path}").raise_for_status().json()

        assert get("")["runs"][0]["test_accuracy"] is None
        run = get("/foreign")
        assert (run["seed"], run["task"]["train_pairs"], run["memorised_step"]) == (
            None,
            None,
            None,
        )
        assert run["optimiser"] == {}
        [row] = get("/foreign/trajectory")["trajectory"]
        assert (row["train_loss"], row["test_accuracy"]) == (None, None)
        [prediction] = get("/foreign/checkpoints/0/predictions?a=1&b=2")["predictions"]
        assert (prediction["answer"], prediction["split"]) == (3, None)
        assert get("/foreign/checkpoints/0")["measures"]["softmax_collapse"] is None
