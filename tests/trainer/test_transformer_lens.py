"""Checkpoints that TransformerLens saved, its configuration beside them: by itself, and by a copy.

And ours, as the service gives them to it: it computes our logits, nnsight around it does, and they
come back equal.

`.ci/transformer_lens` makes both an environment of their own. Without that a class of the same name
stands in, which is gone when the file is read.
"""

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from grokprobe.weight_files.stored import to_safetensors
from grokprobe.weights import read_weights, weights_sha256
from tests.support.foreign import save, small, weights_of
from tests.support.served import serving
from tests.support.trained import TINY, Trained, archive, manifests, settings_at, tiny_config
from trainer.__main__ import main
from trainer.config.schema import decode_config
from trainer.importing.files import read_contents
from trainer.jobs.training import start
from trainer.models.export import open_session
from trainer.reporting.progress import JsonReporter

THEIRS = Path(__file__).parents[2] / ".cache/transformer_lens"
CHECKPOINTS = 3
P = 7

# As the notebook of TransformerLens about grokking saves its run; logits beside it, to compare.
PROGRAM = """
import sys, torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

config = HookedTransformerConfig(
    n_layers=1, n_heads=2, d_model=12, d_head=6, d_mlp=16, act_fn="relu", normalization_type=None,
    d_vocab=8, d_vocab_out=7, n_ctx=3, init_weights=True, device="cpu", seed=0,
)
pairs = torch.tensor([[a, b, 7] for a in range(7) for b in range(7)])
states, logits = [], []
for seed in range(3):
    torch.manual_seed(seed)
    model = HookedTransformer(config)
    states.append(model.state_dict())
    logits.append(model(pairs)[:, -1].detach())
torch.save(
    {
        "model": model.state_dict(), "config": config, "checkpoints": states,
        "checkpoint_epochs": [0, 100, 200], "train_indices": torch.arange(20), "whole": model,
    },
    sys.argv[1],
)
torch.save(logits, sys.argv[2])
"""


def in_their_environment(program: str, folder: Path, *files: Path) -> None:
    """Run a program with the libraries."""
    stamp = THEIRS / ".installed"
    if not stamp.exists() or "nnsight" not in stamp.read_text():
        pytest.skip("TransformerLens and nnsight are not here: .ci/transformer_lens gets them")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    command = [str(THEIRS / "bin/python"), "-c", program, *map(str, files)]
    subprocess.run(command, env=environment, cwd=folder, check=True, timeout=300)


def by_itself(folder: Path) -> None:
    """Save with the library."""
    in_their_environment(PROGRAM, folder, folder / "run.pth", folder / "logits.pt")


def by_a_copy(folder: Path) -> None:
    """Save with a class that has the library's name, and is gone afterwards."""
    package = ModuleType("transformer_lens")
    module = ModuleType("transformer_lens.HookedTransformerConfig")
    fields = [("d_model", int), ("act_fn", str), ("dtype", torch.dtype), ("device", torch.device)]
    kind = dataclasses.make_dataclass("HookedTransformerConfig", fields)
    kind.__module__ = module.__name__
    module.HookedTransformerConfig = kind  # type: ignore[attr-defined]
    sys.modules |= {package.__name__: package, module.__name__: module}
    try:
        config = kind(12, "relu", torch.float32, torch.device("cpu"))
        states = [small(seed) for seed in range(CHECKPOINTS)]
        table = {
            "model": states[-1],
            "config": config,
            "checkpoints": states,
            "checkpoint_epochs": [0, 100, 200],
            "train_indices": torch.arange(20),
        }
        torch.save(table, folder / "run.pth")
    finally:
        del sys.modules[package.__name__], sys.modules[module.__name__]


def logits_of(run: Trained, step: int, p: int = P) -> Any:
    """What a published checkpoint answers for all pairs."""
    data = (run.folder / "checkpoints" / f"{step:010d}" / "model.onnx").read_bytes()
    pairs = np.stack(np.divmod(np.arange(p * p), p), axis=1)
    return open_session(data).run(["logits"], {"pairs": pairs})[0]


@pytest.mark.parametrize("save", [by_itself, by_a_copy])
def test_a_run_of_transformer_lens_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[[Path], None]
) -> None:
    """All its checkpoints, from one file; its configuration has fields and no class."""
    save(tmp_path)
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    path = tmp_path / "run.pth"
    contents = read_contents(path, 10**7)
    assert contents.value("config.d_model") == 12
    assert contents.value("train_indices") == list(range(20))
    assert "transformer_lens" not in sys.modules
    command = ["import", str(path), "--layout", "transformer_lens", "--run", "theirs"]
    fields = ["file.state=checkpoints", "step.field=checkpoint_epochs"]
    assert main([*command, *(word for field in fields for word in ("--set", field))]) == 0
    run = Trained(settings_at(tmp_path / "home"), "theirs", tiny_config())
    assert [manifest.step for manifest in manifests(run)] == [0, 100, 200]
    if (tmp_path / "logits.pt").exists():
        expected = torch.load(tmp_path / "logits.pt", weights_only=True)
        for step, logits in zip([0, 100, 200], expected, strict=True):
            np.testing.assert_allclose(logits_of(run, step), logits, rtol=1e-4, atol=1e-5)


def test_one_checkpoint_of_many_and_a_network_saved_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member of the list by its number, and the network itself, are the same checkpoint."""
    by_itself(tmp_path)
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    answers = []
    for run, state in (("member", "checkpoints[2]"), ("whole", "whole")):
        command = ["import", str(tmp_path / "run.pth"), "--layout", "transformer_lens"]
        command += ["--run", run, "--step", "200", "--set", f"file.state='{state}'"]
        assert main(command) == 0
        trained = Trained(settings_at(tmp_path / "home"), run, tiny_config())
        answers.append(logits_of(trained, 200))
    np.testing.assert_array_equal(*answers)


# -- Ours, there and back ------------------------------------------------------------------------

# As docs/importing.md says; its arguments are the files, and logits are written beside each.
LOADING = """
import json, sys, numpy, torch
from nnsight import NNsight
from safetensors import safe_open
from safetensors.torch import load_file
from transformer_lens import HookedTransformer, HookedTransformerConfig

for path in sys.argv[1:]:
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    model = HookedTransformer(HookedTransformerConfig(**config, device="cpu"))
    missing, unknown = model.load_state_dict(load_file(path), strict=False)
    lacking = {name.rpartition(".")[2][:2] for name in missing}
    assert not unknown and lacking <= {"b_", "ma", "IG"}, (missing, unknown)
    p = config["d_vocab_out"]
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    if config["n_ctx"] == 3:
        pairs = torch.cat([pairs, torch.full((p * p, 1), p)], dim=1)
    with torch.no_grad():
        numpy.save(path + ".transformer_lens.npy", model(pairs)[:, -1].numpy())
    traced = NNsight(model)
    with traced.trace(pairs):
        logits = traced.output[:, -1].save()
    numpy.save(path + ".nnsight.npy", logits.detach().numpy())
"""
WAYS = ("transformer_lens", "nnsight", "service")
STEPS = (0, 20, 40)  # the first, the middle and the last
SHORT = {"training": {"steps": 40}, "local_learning_coefficient": {"every": 0}}
LAYERED = {"layers": 2, "layer_norm": "pre", "activation": "gelu", "biases": "all"}
TRAINING = {"steps": 40, "device": "cpu", "threads": 1}
OFF = {"local_learning_coefficient": {"every": 0}}
OURS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "mlp-biases": ({}, []),
    "no-biases": (
        {"biases": "none", "attention_scale": 0.25, "heads": 4, "d_head": 3},
        ["attention_scale=0.25"],
    ),
    "layered": (
        LAYERED | {"tokens": "a b"},
        ["layer_norm=pre", "activation=gelu", "tokens=a b"],
    ),
    "sees-all": (
        LAYERED | {"causal": False, "biases": "none"},
        ["layer_norm=pre", "activation=gelu", "causal=false"],
    ),
}


@pytest.fixture(scope="module", params=OURS)
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A short run of ours."""
    settings = settings_at(tmp_path_factory.mktemp(request.param))
    config = tiny_config(model=OURS[request.param][0], **SHORT)
    assert start(settings, config, request.param, JsonReporter()) == 0
    return Trained(settings, request.param, config)


@pytest.fixture(scope="module")
def files(ours: Trained, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Its weights at three steps, by TransformerLens's names, as the service gives them.

    The service's own logits lie beside each.
    """
    folder, found = tmp_path_factory.mktemp("files"), []
    with serving(ours.settings, folder) as served:
        for step in STEPS:
            path = f"/v1/runs/{ours.run}/checkpoints/{step}"
            weights = served.client.get(f"{path}/model.safetensors?names=transformer_lens")
            found.append(folder / f"at_{step}.safetensors")
            found[-1].write_bytes(weights.raise_for_status().content)
            logits = served.client.get(f"{path}/logits").raise_for_status().content
            Path(f"{found[-1]}.service.npy").write_bytes(logits)
    return found


def test_the_libraries_compute_our_logits(ours: Trained, files: list[Path]) -> None:
    """TransformerLens, nnsight around it and the service have those of ONNX Runtime.

    Within 1e-5 of the logits' range, at three steps.
    """
    in_their_environment(LOADING, files[0].parent, *files)
    for step, path in zip(STEPS, files, strict=True):
        expected = logits_of(ours, step, 13)
        for way in WAYS:
            found = np.load(f"{path}.{way}.npy")
            assert np.abs(found - expected).max() <= 1e-5 * np.ptp(expected), (step, way)


def test_its_weights_come_back_equal(
    ours: Trained, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imported from these files, a run has the weights that it had: equal digests."""
    told = ["step.field=__metadata__.step", *(f"model.{word}" for word in OURS[ours.run][1])]
    words = ["--layout", "transformer_lens", *(w for field in told for w in ("--set", field))]
    assert_come_back(ours, files, words, tmp_path, monkeypatch)


def assert_come_back(
    ours: Trained, files: list[Path], words: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imported by such a command, these files have the weights of the run at STEPS."""
    monkeypatch.setenv("GROKPROBE_HOME", str(home))
    assert main(["import", *map(str, files), "--run", "again", *words]) == 0
    again = Trained(settings_at(home), "again", ours.config)
    for step in STEPS:
        assert weights_sha256(weights_of(again, step)) == weights_sha256(weights_of(ours, step))


EMBEDDED = {"family": "mlp", "inputs": "embedding", "vocabularies": "separate", "d_model": 8}
OTHERS = {
    "gromov": {"family": "mlp", "d_mlp": 16},
    "embedded": EMBEDDED | {"d_mlp": 16, "biases": "all"},
    "post": {**LAYERED, "layer_norm": "post", "attention_rate": 0.5, "d_model": 16, "heads": 2},
    "separate": {"vocabularies": "separate", "d_model": 16, "heads": 2, "d_head": 8, "d_mlp": 32},
    "two-tokens": {"tokens": "a b", "d_model": 16, "heads": 2, "d_head": 8, "d_mlp": 32},
}


@pytest.mark.parametrize("name", OTHERS)
def test_by_our_names_the_file_tells_its_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Networks that are no HookedTransformer come back equal, too."""
    settings = settings_at(tmp_path / "ours")
    config = decode_config({**TINY, "model": OTHERS[name], "training": TRAINING, **OFF}, name)
    assert start(settings, config, name, JsonReporter()) == 0
    run, files = Trained(settings, name, config), []
    for step in STEPS:
        path = run.folder / "checkpoints" / f"{step:010d}" / "model.onnx"
        about = {"names": "grokprobe", "step": str(step)}
        architecture = asyncio.run(archive(settings).run(name)).architecture
        about["config"] = json.dumps(architecture)
        weights = read_weights(path.read_bytes(), "here", 13)
        files.append(tmp_path / f"{step}.safetensors")
        files[-1].write_bytes(to_safetensors(weights, about))
    assert_come_back(run, files, ["--layout", "grokprobe"], tmp_path / "home", monkeypatch)


def test_a_file_that_tells_no_layout_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One by other names, or of others: the error says what it must be."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    path = save(small(), tmp_path / "theirs.safetensors")
    assert main(["import", str(path), "--layout", "grokprobe", "--run", "x", "--step", "1"]) == 2
    assert "is it a model.safetensors with names=grokprobe?" in capsys.readouterr().err
