"""`import --inspect`: what a file holds, in lines, without torch and without publishing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.support.foreign import save, small
from trainer.__main__ import main
from trainer.importing.inspection import MOST_LINES


class Config:
    """An object beside the tensors."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Any:
    """The lines about a file, each once with its columns one space apart."""

    def lines(path: Path) -> list[str]:
        assert main(["import", "--inspect", str(path)]) == 0
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return lines


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".npz", ".safetensors"])
def test_the_tensors_of_every_kind_of_file(tmp_path: Path, suffix: str, inspect: Any) -> None:
    """Name, kind of number, shape."""
    path = save(small(), tmp_path / f"m{suffix}")
    found = inspect(path)
    assert found[0] == str(path)
    assert {"embed.W_E float32 (8, 12)", "blocks.0.attn.mask bool (3, 3)"} <= set(found)
    assert len(found) == 1 + len(small())


def test_fields_and_records(tmp_path: Path, inspect: Any) -> None:
    """By the paths that a layout uses; of a list of checkpoints the first; no long values."""
    table = {
        "state_dicts": [small(n) for n in range(3)],
        "epochs": list(range(0, 3000, 10)),
        "config": Config(p=113, dtype=torch.float32, act="relu" * 99, inner=Config(seed=1)),
        "sparse": torch.eye(2).to_sparse(),
    }
    torch.save(table, tmp_path / "m.pth")
    found = inspect(tmp_path / "m.pth")
    assert "state_dicts list of 3" in found
    assert "state_dicts[0].embed.W_E float32 (8, 12)" in found
    assert "epochs list of 300: 0, 10, 20, ... 2990" in found
    assert "config tests.trainer.test_inspection.Config()" in found
    assert {"config.p 113", "config.dtype torch.float32", "config.inner.seed 1"} <= set(found)
    assert max(map(len, found)) < 200
    assert "sparse a sparse_tensor, which is not read" in found


def test_metadata(tmp_path: Path, inspect: Any) -> None:
    """Of safetensors."""
    safetensors.torch.save_file(small(), tmp_path / "m.safetensors", metadata={"step": "12"})
    assert "__metadata__.step '12'" in inspect(tmp_path / "m.safetensors")


def test_an_onnx_file(trained: Any, inspect: Any) -> None:
    """Its inputs, outputs and initialisers, and what it says of itself."""
    found = inspect(trained.folder / "checkpoints/0000000400/model.onnx")
    assert "pairs input int64 (batch, 2)" in found
    assert "logits output float32 (batch, 13)" in found
    assert "W_E float32 (14, 16)" in found
    assert "step '400'" in found


def test_nothing_of_a_file_reaches_the_terminal(tmp_path: Path, inspect: Any) -> None:
    """Neither escapes nor new lines, nor more lines than a person reads."""
    names = {"a\n\x1b[31m": torch.ones(1), **{str(n): 0 for n in range(2 * MOST_LINES)}}
    torch.save(names | {"x": "\x1b[2J\n" * 99}, tmp_path / "m.pt")
    found = inspect(tmp_path / "m.pt")
    assert len(found) == MOST_LINES + 2
    assert found[-1] == "..."
    assert all(line.isprintable() for line in found)


def test_what_is_no_file_of_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and status 2."""
    for name in ("m.pt", "m.onnx"):
        (tmp_path / name).write_bytes(b"\xff\xff\xff")
        assert main(["import", "--inspect", str(tmp_path / name)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(SystemExit) as caught:
        main(["import", "m.pt"])
    assert caught.value.code == 2
    assert "--inspect alone shows what a file holds" in capsys.readouterr().err


def test_what_is_wrong_within_a_file_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what is found when its names are walked through, after it was read."""
    path = tmp_path / "m.pt"
    torch.save({"x" * 300: torch.zeros(1)}, path)
    assert main(["import", "--inspect", str(path)]) == 2
    assert f"error: {path}: has more than" in capsys.readouterr().err


def test_torch_is_not_needed(tmp_path: Path) -> None:
    """The answer is quick."""
    np.savez(tmp_path / "m.npz", W=np.ones(3))
    torch.save({"W": torch.ones(3)}, tmp_path / "m.pt")
    program = (
        "import sys; sys.modules['torch'] = None; from trainer.__main__ import main; "
        "sys.exit(main(['import', '--inspect', *sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "m.pt"), str(tmp_path / "m.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("float") == 2
