"""What is built for others: a wheel that works without the checkout, and an sdist."""

import os
import re
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from grokprobe.settings import Settings
from tests.support.served import free_port, started

ROOT = Path(__file__).parents[2]
PACKAGES = ["grokprobe", "trainer", "service"]


def run(*command: str | Path) -> str:
    """What a program says that ends well; it sees no variable but PATH."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built without isolation: no package index is asked."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and sees what is installed here."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    [wheel] = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    run(*pip, "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel))
    [packages] = home.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if path.endswith("-packages")]
    (packages / "shared.pth").write_text("\n".join(shared))
    return home / "bin"


def test_the_wheel_is_small(built: Path) -> None:
    """At most 6 MB, the explorer included."""
    [wheel] = built.glob("*.whl")
    assert wheel.stat().st_size <= 6_000_000


def source_files() -> set[str]:
    """Every file of the packages, by its path in the checkout."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*"))
    files = (str(p.relative_to(ROOT)) for p in found if p.is_file() and p.suffix != ".pyc")
    return set(files)


def test_the_wheel_has_every_file_of_the_source(built: Path) -> None:
    """Presets, layouts, pages and the mark of types among them, and nothing else."""
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == source_files()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_the_sdist_has_what_a_wheel_is_built_from(built: Path) -> None:
    """The same files, what describes them, and nothing that lies about in a checkout."""
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    beside = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "PKG-INFO", "README.md", "constraints.txt"}
    assert names == source_files() | beside | {"pyproject.toml", ".gitignore"}


def test_the_programs_are_those_of_the_wheel(installed: Path) -> None:
    """Each package is read from the new environment, not from this checkout."""
    places = "import grokprobe, trainer, service; print(grokprobe, trainer, service)"
    said = run(installed / "python", "-P", "-c", places)
    assert said.count(str(installed.parent)) == 3


def test_the_command_is_installed(installed: Path) -> None:
    """It names itself, and hands over to a trainer that has its presets and layouts."""
    assert re.fullmatch(r"grokprobe \d+\.\d+\.\d+\n", run(installed / "grokprobe", "--version"))
    assert "import-onnx" in run(installed / "grokprobe", "--help")
    assert "--preset NAME" in run(installed / "grokprobe", "train", "--help")


@pytest.mark.parametrize("program", [["grokprobe", "serve"], ["python", "-P", "-m", "service"]])
def test_the_installed_service_serves(installed: Path, tmp_path: Path, program: list[str]) -> None:
    """It answers with its pages, and SIGTERM ends it well, started by the one or the other."""
    settings = Settings(home=str(tmp_path), port=free_port())
    command = [str(installed / program[0]), *program[1:]]
    with started(command, settings, tmp_path, "serving on") as process:
        for path, said in {"": "explorer.js", "schema": "swagger-ui"}.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{settings.port}/{path}") as page:
                assert said in page.read().decode()
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
