"""What has to hold before a release is built, each a sentence that says what to do."""

import json
import re

from tools import images
from tools.version import ROOT, repeated, repeating, version

SECTION = re.compile(r"^## (\S+)(.*)\n((?:(?!## ).*\n?)*)", re.MULTILINE)


class CannotRelease(Exception):
    """One sentence: what is wrong, where, and what to do."""


def git(*arguments: str) -> str:
    """What git says of this repository. Raises CannotRelease with its last line if it fails."""
    try:
        return images.output("git", *arguments, folder=ROOT)
    except images.CannotBuild as error:
        raise CannotRelease(str(error)) from None


def check_tree() -> None:
    """Nothing differs from the commit, which alone is built."""
    if changed := git("status", "--porcelain").splitlines():
        first, others = changed[0].split(maxsplit=1)[1], len(changed) - 1
        more = f" and {others} more" if others else ""
        raise CannotRelease(f"{first}{more} differs from the commit; commit it, or stash it")


def check_versions() -> None:
    """Wherever the version is repeated it is that of pyproject.toml."""
    ours = version()
    for path in repeating():
        if others := set(repeated(path)) - {ours}:
            raise CannotRelease(
                f"{path.relative_to(ROOT)} has version {min(others)}, pyproject.toml {ours}; "
                f"make version VERSION={ours}"
            )
    document = json.loads((ROOT / "docs/openapi.json").read_text())["info"]["version"]
    if document != ours:
        raise CannotRelease(
            f"docs/openapi.json has version {document}, pyproject.toml {ours}; make openapi"
        )


def check_changes() -> None:
    """The newest section of CHANGELOG.md is that of the version, and is not empty."""
    newest, _, text = changes()
    if newest != version():
        raise CannotRelease(
            f"the newest section of CHANGELOG.md is {newest or 'lacking'}, pyproject.toml has "
            f"{version()}; write the section '## {version()}' above the others"
        )
    if not text:
        raise CannotRelease(f"CHANGELOG.md, {newest}: the section is empty; write what changed")


def changes() -> tuple[str, str, str]:
    """The newest section of CHANGELOG.md: its version, the rest of its title, its text."""
    found = SECTION.search((ROOT / "CHANGELOG.md").read_text())
    return (found[1], found[2].strip(), found[3].strip()) if found else ("", "", "")


def check_tag() -> None:
    """The version's tag is not there, or is at this commit."""
    tag = f"v{version()}"
    tagged = git("for-each-ref", "--format=%(objectname) %(*objectname)", f"refs/tags/{tag}")
    if tagged and tagged.split()[-1] != git("rev-parse", "HEAD"):
        raise CannotRelease(
            f"tag {tag} is at another commit, {tagged.split()[-1][:12]}: {version()} is released; "
            "make version VERSION=NEXT"
        )


def check() -> None:
    """All of it, the quickest to mend first."""
    for one in (check_tree, check_versions, check_changes, check_tag):
        one()
