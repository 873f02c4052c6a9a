"""`python -m tools.version NEW`: the version, in pyproject.toml and wherever else it must stand.

pyproject.toml is the one place; images, their labels and what runs them repeat it, since none of
them can ask. Afterwards `make openapi`, whose document asks the installed package.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWNER = ROOT / "pyproject.toml"
ALLOWED = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
# An image of ours by its tag, the package by its pin, and the label.
REPEATED = re.compile(
    r'(grokprobe(?:-[a-z-]+:|==)|image\.version="|^version: )(\d+\.\d+\.\d+\w*)', re.MULTILINE
)


def version() -> str:
    """The project's."""
    return str(tomllib.loads(OWNER.read_text())["project"]["version"])


def repeating() -> Iterator[Path]:
    """The files that may repeat it."""
    yield from (
        ROOT / "CITATION.cff",
        ROOT / "Dockerfile",
        ROOT / "compose.yaml",
        ROOT / "README.md",
    )
    for folder, ending in (("k8s", "yaml"), ("docs", "md")):
        yield from sorted((ROOT / folder).rglob(f"*.{ending}"))


def repeated(path: Path) -> list[str]:
    """The versions that a file repeats."""
    return [found[1] for found in REPEATED.findall(path.read_text())]


def write(new: str) -> None:
    """Set it everywhere."""
    owner = re.sub(r'^version = ".*"$', f'version = "{new}"', OWNER.read_text(), flags=re.MULTILINE)
    OWNER.write_text(owner)
    for path in filter(repeated, repeating()):
        path.write_text(REPEATED.sub(rf"\g<1>{new}", path.read_text()))


if __name__ == "__main__":
    [given] = sys.argv[1:] or [""]
    if not ALLOWED.fullmatch(given):
        sys.exit(f"error: expected a version such as 0.2.0 or 0.2.0rc1, got {given!r}")
    write(given)
