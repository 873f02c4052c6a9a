"""The command `grokprobe`: help, usage, and that trainer and service run as themselves."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from grokprobe.cli.extras import MODULES
from grokprobe.cli.main import OF_THE_TRAINER, commands
from grokprobe.settings import Settings
from tests.deploy.test_images import asked
from tests.support.served import environment, free_port, started
from trainer.__main__ import PREPARE

ROOT = Path(__file__).parents[2]
# The names of extras that keep the one ONNX Runtime that is here.
NAMED_WITH = {
    None: {},
    "onnxruntime": {name: f"{name}-cpu" for name in ("service", "trainer")},
    "onnxruntime-gpu": {"demo": "service"},
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# As the installed script does, `-P` leaves the current folder out of what is imported.
COMMAND = [sys.executable, "-P", "-m", "grokprobe"]


def run(command: list[str], folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """A program that must end by itself, in a folder that is also its HOME."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(Settings(home=str(folder)), **changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_page_of_commands_is_the_help(tmp_path: Path) -> None:
    """Each command has a row with its line of `--help`, in the same order, and no other has one."""
    page = (ROOT / "docs" / "commands.md").read_text()
    rows = re.findall(r"^\| `grokprobe (\S+)` \| (.*?) \|", page, re.MULTILINE)
    lines = {name: command.get_short_help_str(80) for name, command in commands.commands.items()}
    assert rows == list(lines.items())
    shown = run([*COMMAND, "--help"], tmp_path)
    assert shown.returncode == 0
    assert re.findall(r"^  (\S+)  +([A-Z].*)$", shown.stdout.split("Commands:")[1], re.M) == rows


def test_the_version_is_the_project_s(tmp_path: Path) -> None:
    """One line: name and version."""
    assert run([*COMMAND, "--version"], tmp_path).stdout == f"grokprobe {PROJECT['version']}\n"


def test_every_command_of_the_trainer_is_one_of_ours() -> None:
    """In the trainer's order, with the arguments left to it."""
    assert list(OF_THE_TRAINER) == list(PREPARE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["srve"], "No such command 'srve'. Did you mean 'serve'?"),
        (["serve", "--port", "1"], "No such option '--port'."),
        (["delete"], "Missing argument 'RUN'."),
        (["delete", "--yse", "x"], "No such option '--yse'. Did you mean '--yes'?"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], says: str) -> None:
    """Exit status 2; the last line says what was wrong, and what was meant."""
    done = run([*COMMAND, *arguments], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {says}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--help"],
        ["train", "--preset", "quikstart"],
        ["import", "--layout", "pizza", "--run", "x", "--", "-none.pt"],
        ["import-onnx"],
    ],
)
def test_the_trainer_answers_as_itself(tmp_path: Path, arguments: list[str]) -> None:
    """Output, errors and exit status are those of `python -m trainer`."""
    by_command = run([*COMMAND, *arguments], tmp_path)
    by_module = run([sys.executable, "-m", "trainer", *arguments], tmp_path)
    assert by_command.stdout + by_command.stderr == by_module.stdout + by_module.stderr != ""
    assert by_command.returncode == by_module.returncode


@pytest.mark.timeout(600)  # the trainer's first checkpoint, where others have the cores
@pytest.mark.parametrize(
    ("arguments", "event", "status"),
    [(["serve"], "serving on", 0), (["train", "--preset", "quickstart"], '"checkpoint"', 143)],
)
def test_signals_reach_the_program(
    tmp_path: Path, arguments: list[str], event: str, status: int
) -> None:
    """SIGTERM to the command's own process ends service and trainer as it ends them alone."""
    settings = Settings(home=str(tmp_path), port=free_port(), log_format="json")
    with started([*COMMAND, *arguments], settings, tmp_path, event) as process:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == status


def test_a_namesake_in_the_folder_is_not_started(tmp_path: Path) -> None:
    """A `trainer.py` of somebody else, or a file named as one of Python's own, is left alone."""
    for name in ("trainer", "service", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a namesake')")
    done = run([*COMMAND, "train", "--preset", "none"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --preset none: is not a preset")


@pytest.mark.parametrize(
    ("command", "lacking", "extras"),
    [
        ("serve", ["litestar"], "service"),
        ("serve", ["obstore"], "service"),
        ("train", ["torch"], "trainer"),
        ("train", ["einops"], "trainer"),
        ("demo", ["uvicorn", "torch"], "demo"),
        ("report x -o x.html", ["pyarrow"], "service"),
        ("study x --with all", ["onnx"], "service"),
        ("export x --format npz -o x", ["zarr"], "export"),
        ("push x hf://a/b", ["huggingface_hub"], "hub"),
        ("pull hf://a/b", ["huggingface_hub"], "hub"),
        ("mcp", ["mcp"], "mcp"),
        *[
            (command, [module], "store")
            for command in ("runs", "verify", "reindex", "delete x --yes", "study x")
            for module in ("obstore", "redis")
        ],
    ],
)
@pytest.mark.parametrize("runtime", [None, "onnxruntime", "onnxruntime-gpu"])
def test_a_missing_extra_is_named(
    tmp_path: Path, command: str, lacking: list[str], extras: str, runtime: str | None
) -> None:
    """Exit status 2 and one line: what is missing, and the pip that brings no second runtime."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({lacking}));"
        "import grokprobe.cli.extras as extras;"
        f"extras.runtimes = lambda: {[runtime] if runtime else []};"
        f"from grokprobe.cli.main import main; sys.exit(main({command.split()}))"
    )
    done = run([sys.executable, "-c", program], tmp_path)
    advice = f"bring it by: pip install 'grokprobe[{NAMED_WITH[runtime].get(extras, extras)}]'"
    name, *_ = command.split()
    line = f"error: grokprobe {name}: needs {lacking[0]}, which is not installed; {advice}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize(
    "extra",
    ["store", "service", "service-cpu", "trainer", "trainer-cpu", "export", "hub", "mcp"],
)
def test_what_an_extra_brings_is_looked_for(extra: str) -> None:
    """The table of modules names what pyproject.toml asks for, no more and no less."""
    modules = {one.name.removesuffix("-gpu").replace("-", "_") for one in asked(extra)}
    named = {"PIL": "pillow"}
    listed = [named.get(module, module) for module in MODULES[extra.removesuffix("-cpu")]]
    assert sorted(listed) == sorted(modules)


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["demo", "--help"]])
def test_the_base_install_is_enough_to_be_asked(tmp_path: Path, command: list[str]) -> None:
    """Without any module of an extra: the package, help and version."""
    lacking = sorted({module for modules in MODULES.values() for module in modules})
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({lacking}));"
        f"import grokprobe; from grokprobe.cli.main import main; sys.exit(main({command}))"
    )
    done = run([sys.executable, "-c", program], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "grokprobe" in done.stdout


def test_the_base_install_is_light() -> None:
    """What it asks for: nothing that computes on graphs, stores, serves or draws."""
    base = {one.name for one in map(Requirement, PROJECT["dependencies"])}
    assert base == {"click", "httpx", "msgspec", "numpy", "rich", "tenacity"}


def test_help_needs_no_backend(tmp_path: Path) -> None:
    """What stores, computes or trains is imported by the command that needs it."""
    heavy = ["numpy", "obstore", "redis", "trainer", "service"]
    program = (
        "import sys; from grokprobe.cli.main import main; main(['--help']);"
        f"sys.exit(' '.join(set({heavy}) & set(sys.modules)))"
    )
    assert run([sys.executable, "-c", program], tmp_path).stderr == "\n"


def test_the_shell_completes(tmp_path: Path) -> None:
    """The library's script, and the names that begin as what was typed."""
    script = run(COMMAND, tmp_path, _GROKPROBE_COMPLETE="bash_source").stdout
    assert "_GROKPROBE_COMPLETE=bash_complete" in script
    typed = {"COMP_WORDS": "grokprobe re", "COMP_CWORD": "1"}
    done = run(COMMAND, tmp_path, _GROKPROBE_COMPLETE="bash_complete", **typed)
    assert done.stdout.split() == ["plain,resume", "plain,report", "plain,reindex"]


@pytest.mark.parametrize("name", ["nörrow", "\udcff", ""])
def test_a_name_that_cannot_be_shown_or_sent(tmp_path: Path, name: str) -> None:
    """One line all the same, on a terminal of ASCII too."""
    for words in (["show", name, "--url", "http://127.0.0.1:1"], ["report", name, "-o", "r.html"]):
        done = run([*COMMAND, *words], tmp_path, PYTHONIOENCODING="ascii")
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("error: ")
