"""`grokprobe study --with`: measures by request are computed by a process, once, and kept."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from grokprobe.cli.main import main
from grokprobe.cli.study import SERIES
from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from grokprobe.store.records import sha256
from tests.service.test_api import get
from tests.service.test_api_precursors import change
from tests.support.grouped import GROUP, STEPS
from tests.support.served import serving
from tests.support.studied import RUNS
from tests.support.tiny import WIDTH, TinyRun, digest_of
from tests.support.trained import settings_at

NAMES = ("participation_ratio_neurons", "effective_rank_neurons")


def with_neurons(run: TinyRun) -> TinyRun:
    """The same run, whose models offer neurons: what is rectified of the sum of embeddings."""
    checkpoints = []
    for manifest, model in run.checkpoints:
        loaded = onnx.load_model_from_string(model)
        loaded.graph.node.append(helper.make_node("Relu", ["sum"], ["neurons"]))
        shape = helper.make_tensor_value_info("neurons", TensorProto.FLOAT, ["batch", WIDTH])
        loaded.graph.output.append(shape)
        data = bytes(loaded.SerializeToString())
        record = msgspec.structs.replace(
            manifest.model,
            sha256=sha256(data),
            bytes=len(data),
            outputs=[*manifest.model.outputs, "neurons"],
        )
        checkpoints.append((msgspec.structs.replace(manifest, model=record), data))
    digest = digest_of(manifest for manifest, _ in checkpoints)
    completion = msgspec.structs.replace(run.completion, manifests_sha256=digest)
    return TinyRun(run.manifest, run.train_mask, checkpoints, completion)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects of the group, two of whose members have no neurons."""
    settings = settings_at(tmp_path_factory.mktemp("published"))

    async def publish(to: Backends) -> None:
        for run in RUNS[:4]:
            await with_neurons(run).publish(to)
        for run in RUNS[4:6]:
            await run.publish(to)

    change(settings, publish)
    return settings.home_path / "store"


@pytest.fixture
def home(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with a copy of them, and no more: no index is needed."""
    settings = settings_at(tmp_path / "home")
    shutil.copytree(published, settings.home_path / "store")
    monkeypatch.setenv("GROKPROBE_HOME", str(settings.home_path))
    return settings


def table(out: str) -> dict[str, list[str]]:
    """The cells of each series."""
    rows = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells for cells in rows}


def files(settings: Settings) -> dict[str, Any]:
    """What is kept, by the digest of a run."""
    folder = settings.home_path / "measures"
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*")}


def test_they_are_computed_once_and_kept(
    home: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As the service has them; a second study starts nothing and says the same."""
    assert main(["study", GROUP]) == 0
    without = capfd.readouterr().out
    assert f"not asked for (--with): {', '.join(SERIES)}" in without
    assert not set(NAMES) & table(without).keys()
    assert files(home) == {}

    assert main(["study", GROUP, "--with", ",".join(NAMES)]) == 0
    first = capfd.readouterr()
    assert table(first.out).keys() == table(without).keys() | set(NAMES)
    assert f"groks-0: {len(STEPS)} of {len(STEPS)} checkpoints" in first.err
    kept = files(home)
    assert len(kept) == 6
    with serving(home, tmp_path) as served:
        for run in ("groks-0", "never-1", RUNS[4].name):
            rows = get(served.client, f"/v1/runs/{run}/trajectory", measures=",".join(NAMES))
            told = get(served.client, f"/v1/runs/{run}/checkpoints/400")["model"]["sha256"]
            values = next(k["models"][told] for k in kept.values() if told in k["models"])
            for name in NAMES:
                assert values[name] == pytest.approx(rows["trajectory"][-1][name], rel=1e-6)
                assert (values[name] is None) == (run == RUNS[4].name)

    assert main(["study", GROUP, "--with", ",".join(NAMES)]) == 0
    again = capfd.readouterr()
    assert again.err == ""
    for name, cells in table(first.out).items():
        assert table(again.out)[name][:-1] == cells[:-1]  # but for the milliseconds


def test_what_is_kept_is_ours_or_nothing(home: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is broken, or of other formulas, is computed anew."""
    asked = ["study", GROUP, "--with", NAMES[0]]
    assert main(asked) == 0
    good = files(home)
    for number, path in enumerate(sorted((home.home_path / "measures").glob("*"))):
        text = json.dumps({**good[path.stem], "analysis_version": 0})
        path.write_text(text if number % 2 else "{")
    capfd.readouterr()
    assert main(asked) == 0
    assert "of 5 checkpoints" in capfd.readouterr().err
    assert files(home) == good


@pytest.mark.parametrize("name", ["loss", "no_such", "effective_rank_weights", "all,loss"])
def test_what_is_no_series_by_request(
    home: Settings, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Stored ones are there anyway; one of each weight is no series. Nothing is computed."""
    assert main(["study", GROUP, "--with", name]) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: --with: '")
    assert all(series in err for series in SERIES)
    assert files(home) == {}


def test_a_broken_model_is_named(home: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """With what was found before it, which is kept."""
    broken = home.home_path / "store/runs/groks-2/checkpoints/0000000200/model.onnx"
    broken.write_bytes(broken.read_bytes()[:-1])
    assert main(["study", GROUP, "--with", "all"]) == 2
    assert "groks-2" in capfd.readouterr().err
    counts = sorted(len(kept["models"]) for kept in files(home).values())
    assert counts[0] == 2
    assert counts[-1] == len(STEPS)
