"""Packages of ONNX Runtime that overwrite each other are refused by name at the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grokprobe.runtimes import runtimes
from grokprobe.settings import Settings
from tests.support.served import environment

[INSTALLED] = runtimes()
PROGRAMS = {"service": ["service"], "trainer": ["trainer", "train", "--preset", "quickstart"]}


def plant(folder: Path, name: str, module: str = "onnxruntime") -> Path:
    """A folder in which a package is installed, as far as its records tell."""
    told = folder / f"{name.replace('-', '_')}-1.31.1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.31.1\n")
    (told / "RECORD").write_text(f"{module}/__init__.py,,\n{told.name}/METADATA,,\n")
    return folder


def beside(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run Python where a planted package is installed beside ours."""
    paths = os.pathsep.join([str(folder), str(Path.cwd())])
    given = environment(Settings(home=str(folder / "home")), PYTHONPATH=paths)
    whole = [sys.executable, *command]
    return subprocess.run(whole, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", ["onnxruntime-openvino", "ort-nightly"])
def test_two_packages_of_one_module_are_refused(tmp_path: Path, program: str, name: str) -> None:
    """Exit status 2 and one line: both by name, and what to do; nothing was started."""
    done = beside(plant(tmp_path, name), "-m", *PROGRAMS[program])
    both = sorted([INSTALLED, name])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: ONNX Runtime: {both[0]} and {both[1]} are installed")
    assert f"pip uninstall {both[0]} {both[1]}, then" in done.stderr
    assert f"'grokprobe[{program}]'" in done.stderr
    assert f"'grokprobe[{program}-cpu]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_other_of_our_two_extras_is_refused(tmp_path: Path, program: str) -> None:
    """onnxruntime beside onnxruntime-gpu, whichever of them is here."""
    other = {"onnxruntime": "onnxruntime-gpu", "onnxruntime-gpu": "onnxruntime"}[INSTALLED]
    done = beside(plant(tmp_path, other), "-m", *PROGRAMS[program])
    assert done.returncode == 2
    assert "onnxruntime and onnxruntime-gpu are installed together" in done.stderr


def test_a_package_of_another_module_is_no_runtime(tmp_path: Path) -> None:
    """What extends ONNX Runtime may stand beside it, and the same one twice is one."""
    plant(tmp_path, "onnxruntime-extensions", "onnxruntime_extensions")
    plant(tmp_path, INSTALLED)
    done = beside(tmp_path, "-c", "from grokprobe.runtimes import runtimes; print(*runtimes())")
    assert done.stdout.split() == [INSTALLED]
