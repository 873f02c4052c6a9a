"""The version: pyproject.toml has it, and what cannot ask for it repeats it."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import images, version

ROOT = version.ROOT


def test_what_repeats_it_is_equal() -> None:
    """Dockerfile, compose, manifests and docs, wherever an image or the package is named."""
    found = {path.relative_to(ROOT): version.repeated(path) for path in version.repeating()}
    assert {one for several in found.values() for one in several} == {version.version()}
    kinds = ("Dockerfile", "compose.yaml", "k8s/base/deployment.yaml", "docs/kubernetes.md")
    assert all(found[Path(name)] for name in kinds)


def test_nothing_else_names_it() -> None:
    """Of the files that run or build: a line with the version is one that the tool knows."""
    number = re.compile(rf"(?<![\w.]){re.escape(version.version())}(?![\w.])")
    for path in version.repeating():
        if path.suffix != ".md":
            text = path.read_text()
            assert len(number.findall(text)) == len(version.repeated(path)), path


def test_who_can_ask_says_it() -> None:
    """The installed package, the images' tool, and the OpenAPI document."""
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    said = {importlib.metadata.version("grokprobe"), images.VERSION, document["info"]["version"]}
    assert said == {version.version()}


def test_the_list_of_changes_begins_with_it() -> None:
    """So that a release has a section of its own."""
    [newest, *_] = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == version.version()


def test_it_is_set_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy: all files that repeat it, each as before but for that."""
    files = [version.OWNER, *version.repeating()]
    before = {path.relative_to(ROOT): path.read_text() for path in files}
    for path, text in before.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    old = version.version()
    monkeypatch.setattr(version, "ROOT", tmp_path)
    monkeypatch.setattr(version, "OWNER", tmp_path / "pyproject.toml")
    version.write("7.8.9rc1")
    assert version.version() == "7.8.9rc1"
    assert {one for path in version.repeating() for one in version.repeated(path)} == {"7.8.9rc1"}
    version.write(old)
    assert {path: (tmp_path / path).read_text() for path in before} == before


@pytest.mark.parametrize("given", [(), ("next",), ("1.0",), ("v1.0.0",)])
def test_what_is_no_version_is_refused(given: tuple[str, ...]) -> None:
    """One line, and nothing is written."""
    command = [sys.executable, "-m", "tools.version", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected a version such as 0.2.0")
