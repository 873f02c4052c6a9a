"""The commands of README and docs that show no output: each runs, or is prepared to the last check.

What would train for minutes is read, decoded and checked, with the files that the docs describe.
"""

import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from grokprobe.settings import Settings
from tests.support.served import Quickstart, environment
from tests.support.trained import Trained
from tests.test_readme import BASE, ROOT, TEXT, blocks
from trainer.__main__ import PREPARE, work
from trainer.arguments import parse_arguments
from trainer.config.sweep import load_sweep

pytestmark = pytest.mark.timeout(600)  # the first test that needs it waits for the training

LINES = [
    line.partition("   #")[0].strip()
    for block in dict.fromkeys(blocks("sh"))
    for line in block.replace("\\\n", "").splitlines()
]


def those_of(start: str) -> list[str]:
    """The commands that begin so."""
    return [line for line in LINES if line.startswith(start)]


TRAINER, GROKPROBE = ".venv/bin/python -m trainer ", ".venv/bin/python -m grokprobe "
MODULE = r"python -m (\w+(?:\.\w+)*)"
KINDS = (TRAINER, GROKPROBE, "curl ", "make ", "python3 -c ", "kubectl ", "kind ")


def test_every_command_is_of_a_known_kind() -> None:
    """Each kind is tested here or in test_readme, test_layouts, test_kubernetes_docs."""
    assert [line for line in LINES if not line.startswith(KINDS)] == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files lie that the docs describe: mine.toml, seeds.toml, decay.toml."""
    mine, _, seeds, decay = blocks("toml")
    for name, text in {"mine": mine, "seeds": seeds, "decay": decay}.items():
        (tmp_path / f"{name}.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("line", [line for line in those_of(TRAINER) if " import" not in line])
def test_training_is_prepared(folder: Path, line: str) -> None:
    """Arguments, configuration, names: all that is checked before anything is trained."""
    arguments = parse_arguments(shlex.split(line.removeprefix(TRAINER).replace("RUN", "run")))
    if arguments.command != "sweep" or arguments.index is not None:
        arguments.index_from = "--index"
        assert callable(PREPARE[arguments.command](arguments, Settings(home=str(folder))))
    elif arguments.list:
        assert work(arguments) == 0
    else:
        assert load_sweep(arguments.file, arguments.run).cells


def test_the_cell_that_is_named(folder: Path) -> None:
    """Cell 4 of the sweep is what the page says that it is."""
    assert "Cell 4 here is weight decay 1.0, seed 1" in TEXT
    cell = load_sweep(folder / "decay.toml", None).cell(4, "--index").config
    assert (cell.optimiser.weight_decay, cell.training.seed) == (1.0, 1)


def test_looking_after_what_is_published(trained: Trained, tmp_path: Path) -> None:
    """In the order of the page, over a run of its own."""
    store = trained.settings.home_path / "store"
    shutil.copytree(store, tmp_path / "home/store")
    settings = Settings(home=str(tmp_path / "home"))
    for line in those_of(GROKPROBE):
        words = shlex.split(line.removeprefix(GROKPROBE).replace("RUN", "tiny"))
        yes = ["--yes"] if words[0] == "delete" else []
        command = [sys.executable, "-m", "grokprobe", *words, *yes]
        subprocess.run(command, env=environment(settings), timeout=60, check=True)


def test_the_import_of_the_demo(quickstart: Quickstart, tmp_path: Path) -> None:
    """The two lines that make the demo's last checkpoint a run of its own, run as they are."""
    [download] = [line for line in those_of("curl ") if "-o latest.onnx" in line]
    [onnx] = [line for line in those_of(TRAINER) if " import-onnx " in line]
    command = onnx.replace(".venv/bin/python", sys.executable)
    subprocess.run(
        ["bash", "-c", f"{download.replace(BASE, quickstart.served.url)} && {command}"],
        env=environment(Settings(home=str(tmp_path / "home"))) | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=120,
        check=True,
    )


@pytest.mark.parametrize("line", [line for line in those_of("curl ") if " -o " not in line])
def test_addresses(quickstart: Quickstart, line: str) -> None:
    """Each asks a route with parameters that it has; of groups the demo has none."""
    words = shlex.split(line)
    [url] = [word.replace(BASE, quickstart.served.url) for word in words if word.startswith(BASE)]
    body = words[words.index("-d") + 1] if "-d" in words else None
    form = {"Content-Type": "application/x-www-form-urlencoded"} if body else None  # as curl does
    answer = httpx.request("POST" if body else "GET", url, content=body, headers=form, timeout=60)
    missing = re.search(r"/groups/(\w+)/", url)
    assert answer.status_code == (404 if missing else 200)
    if missing:
        assert f"in a group {missing[1]!r}" in answer.json()["detail"]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|\n *)make ([a-z]+)", TEXT))))
def test_targets(target: str) -> None:
    """Each word after `make` is a target."""
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert target in " ".join(phony).split()


@pytest.mark.parametrize("module", sorted(set(re.findall(MODULE, TEXT))))
def test_modules(module: str) -> None:
    """Each program that is named exists."""
    assert find_spec(module) is not None
