"""The explorer's page as it is kept: what its sources build, from packages of exact versions."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from grokprobe.colours import THEMES

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "explorer"
BUILT = ROOT / "service" / "static" / "explorer"
CONSTANT = r"const (\w+) = \[(.+)\];"  # a ramp that both themes have
MOST_BYTES = 100_000  # of page, script and style, as gzip sends them


def test_what_is_kept_is_what_the_sources_build(tmp_path: Path) -> None:
    """Byte for byte."""
    node = shutil.which("node")
    if node is None or not (SOURCES / "node_modules").is_dir():
        pytest.skip("needs Node and explorer/node_modules: npm ci in explorer")
    subprocess.run([node, "build.mjs", str(tmp_path)], cwd=SOURCES, check=True, timeout=60)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in BUILT.iterdir()}
    assert built.keys() == kept.keys()
    differing = [name for name in built if built[name] != kept[name]]
    assert not differing, "npm run build in explorer, and commit what it writes"


def test_the_page_is_small() -> None:
    """Page, script and style together."""
    names = ("index.html", "explorer.js", "explorer.css")
    assert sum(len(gzip.compress((BUILT / name).read_bytes())) for name in names) <= MOST_BYTES


def test_packages_are_pinned_and_name_no_registry() -> None:
    """The lock has versions and digests alone, so that any registry may bring them."""
    package = json.loads((SOURCES / "package.json").read_text())
    wanted = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    lock = (SOURCES / "package-lock.json").read_text()
    locked = json.loads(lock)["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert "resolved" not in lock
    assert all("integrity" in found for path, found in locked.items() if path)


def test_the_licences_of_what_is_built_in_are_kept() -> None:
    """Each package that the script contains, with its version."""
    notice = (BUILT / "NOTICE.txt").read_text()
    locked = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    for path, found in locked.items():
        if path and not found.get("dev"):
            assert f"{path.removeprefix('node_modules/')} {found['version']}" in notice


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_and_charts_have_one_table_of_colours(theme: str) -> None:
    """What both have a name for, ramps too; none that the page draws with lacks a colour."""
    table = (SOURCES / "src" / "draw" / "colours.ts").read_text()
    constants = {name: re.findall(r"#[0-9a-f]{6}", of) for name, of in re.findall(CONSTANT, table)}
    _, found, body = table.partition(f"export const {theme.upper()}: Colours = {{\n")
    assert found
    page = {}
    for name, value in re.findall(r"^  (\w+): (.+),$", body.partition("\n};")[0], re.MULTILINE):
        page[name] = constants.get(value) or re.findall(r"#[0-9a-f]{6}", value)
        assert page[name], name
    charts = msgspec.to_builtins(THEMES[theme])
    shared = page.keys() & charts.keys()
    assert shared >= {"background", "ink", "train", "test", "key", "sequential", "cyclic", "wrong"}
    wanted = {name: charts[name] for name in shared}
    assert {name: page[name] for name in shared} == {
        name: [value] if isinstance(value, str) else list(value) for name, value in wanted.items()
    }
