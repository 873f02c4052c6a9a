"""Checkpoints that TransformerLens saved, its configuration beside them: by itself, and by a copy.

`.ci/transformer_lens` makes it an environment of its own. Without that a class of the same name
stands in, which is gone when the file is read.
"""

import dataclasses
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

from tests.support.foreign import small
from tests.support.trained import Trained, manifests, settings_at, tiny_config
from trainer.__main__ import main
from trainer.importing.files import read_contents
from trainer.models.export import open_session

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


def by_itself(folder: Path) -> None:
    """Save with the library."""
    if not (THEIRS / ".installed").exists():
        pytest.skip("TransformerLens is not here: .ci/transformer_lens makes its environment")
    files = [str(folder / name) for name in ("run.pth", "logits.pt")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    command = [str(THEIRS / "bin/python"), "-c", PROGRAM, *files]
    subprocess.run(command, env=environment, cwd=folder, check=True, timeout=300)


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


def logits_of(run: Trained, step: int) -> Any:
    """What a published checkpoint answers for all pairs."""
    data = (run.folder / "checkpoints" / f"{step:010d}" / "model.onnx").read_bytes()
    pairs = np.stack(np.divmod(np.arange(P * P), P), axis=1)
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
