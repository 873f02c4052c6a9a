"""`make release`: what it refuses, builds, builds again with the same bytes, and leaves out.

Each test has a clone of a repository whose only commit is this checkout, as it is now.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tools import images
from tools.release import main, uploads
from tools.releasing.checks import CannotRelease, changes
from tools.releasing.steps import PARTS, STEPS, Release, build_images, docs, extract, packages
from tools.version import ROOT, version

VERSION = version()
# No other settings of git than these.
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "tests" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "tests@localhost" for who in ("AUTHOR", "COMMITTER")},
}
HAS_PARTS = find_spec("cyclonedx_py") is not None


def git(folder: Path, *arguments: str) -> str:
    """What git says that ends well."""
    command, env = ["git", "-C", str(folder), *arguments], os.environ | GIT
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one commit: the files of this checkout, changed and new ones too."""
    folder = tmp_path_factory.mktemp("origin")
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=all")
    return folder


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    """A clone to be changed."""
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


def release(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a clone's own recipe where git is the only program on PATH: no docker, no podman."""
    programs = folder.parent / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    command = [sys.executable, "-m", "tools.release"]
    env = GIT | {"PATH": str(programs), "HOME": str(folder.parent)}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False
    )


def check_refused(folder: Path, *said: str) -> None:
    """Status 2, one line that says all this, and nothing is left behind."""
    done = release(folder)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert [words for words in said if words not in done.stderr] == []
    assert not (folder / "dist").exists()


def change(folder: Path, name: str, old: str, new: str) -> None:
    """Replace a text of a file, and commit it."""
    before = (folder / name).read_text()
    assert old in before
    (folder / name).write_text(before.replace(old, new))
    git(folder, "commit", "--quiet", "--all", "--message=changed")


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "grokprobe/new.py"])
def test_a_tree_that_differs_from_the_commit_is_refused(clone: Path, name: str) -> None:
    """A changed file, or a new one."""
    (clone / name).write_text("other\n")
    check_refused(clone, f"{name} differs from the commit; commit it")


@pytest.mark.parametrize(
    ("name", "old", "advice"),
    [
        ("CITATION.cff", f"version: {VERSION}", f"make version VERSION={VERSION}"),
        ("Dockerfile", f'image.version="{VERSION}', f"make version VERSION={VERSION}"),
        ("k8s/base/deployment.yaml", f"service-cpu:{VERSION}", f"make version VERSION={VERSION}"),
        ("docs/openapi.json", f'"version": "{VERSION}"', "make openapi"),
    ],
)
def test_another_version_anywhere_is_refused(clone: Path, name: str, old: str, advice: str) -> None:
    """Citation, images, manifests, the API's document: the file is named, and what mends it."""
    change(clone, name, old, old.replace(VERSION, "7.8.9"))
    check_refused(clone, f"{name} has version 7.8.9, pyproject.toml {VERSION}; {advice}")


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("## 0.0.1", "the newest section of CHANGELOG.md is 0.0.1"),
        ("# No section", "the newest section of CHANGELOG.md is lacking"),
        (f"## {VERSION}\n\n## 0.0.1", f"CHANGELOG.md, {VERSION}: the section is empty"),
    ],
)
def test_a_version_without_its_changes_is_refused(clone: Path, new: str, said: str) -> None:
    """Its section is another's, there is none, or there is nothing in it."""
    change(clone, "CHANGELOG.md", f"## {VERSION}", new)
    check_refused(clone, said, "write")


@pytest.mark.parametrize("kind", [(), ("--annotate", "--message=it")])
def test_a_version_that_was_released_is_refused(clone: Path, kind: tuple[str, ...]) -> None:
    """Its tag, of either kind, is at an earlier commit."""
    git(clone, "tag", *kind, f"v{VERSION}")
    change(clone, "README.md", "grok", "grok ")
    check_refused(clone, f"tag v{VERSION} is at another commit", "make version VERSION=NEXT")


def test_where_no_repository_is_nothing_is_released(clone: Path) -> None:
    """What git says is passed on."""
    shutil.rmtree(clone / ".git")
    check_refused(clone, "git status", "not a git repository")


def test_a_step_that_fails_leaves_nothing(clone: Path) -> None:
    """What the program said, one line with its name, and an empty dist."""
    change(clone, "docs/index.md", "# ", "[nowhere](nowhere.md)\n\n# ")
    done = release(clone)
    assert done.returncode == 2
    assert "page does not exist" in done.stderr
    assert done.stderr.splitlines()[-1] == "error: zensical ended with status 1: see above"
    assert list((clone / "dist").iterdir()) == []


# -- what is built -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a release, tagged already, and what was said."""
    folder = tmp_path_factory.mktemp("built") / "clone"
    git(folder.parent, "clone", "--quiet", str(origin), "clone")
    git(folder, "tag", f"v{VERSION}")
    # A file that git does not tell of, and that is not of the commit.
    (folder / ".git/info/exclude").write_text("stray.py\n")
    (folder / "grokprobe/stray.py").write_text("")
    done = release(folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert [path.name for path in (folder / "dist").iterdir()] == [VERSION]
    return folder / "dist" / VERSION, done.stdout


def test_a_release_has_every_part(built: tuple[Path, str]) -> None:
    """Wheel, sdist, docs, notes, lists of parts where they can be made, and digests."""
    endings = ["-py3-none-any.whl", ".tar.gz", "-docs.tar.gz", "-notes.md"]
    endings += [f"{ending}.cdx.json" for ending in PARTS if HAS_PARTS]
    names = {f"grokprobe-{VERSION}{ending}" for ending in endings}
    assert {path.name for path in built[0].iterdir()} == {*names, "SHA256SUMS"}


def test_its_digests_verify(built: tuple[Path, str]) -> None:
    """By sha256sum, for every file but the list itself."""
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=built[0], capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK\n") == len(list(built[0].iterdir())) - 1


def test_each_step_is_told_and_what_was_left_out(built: tuple[Path, str]) -> None:
    """A line a step with its seconds; then the list, with why; then what would upload the rest."""
    assert re.findall(r"^(.+): [\d.]+ s", built[1], re.MULTILINE) == list(STEPS)
    left = re.findall(r"^left out: (.+)$", built[1], re.MULTILINE)
    assert left[-1] == "images (neither docker nor podman works here; install one of them)"
    assert len(left) == (1 if HAS_PARTS else 2)
    assert f"  twine upload dist/{VERSION}/grokprobe-{VERSION}-py3-none-any.whl" in built[1]
    assert f"  git tag v{VERSION} " in built[1]
    assert "REGISTRY" not in built[1]


def test_notes_and_docs_are_those_of_the_commit(built: tuple[Path, str]) -> None:
    """The changelog's section in full; pages of the site, the first and the changed last one."""
    folder, _ = built
    text = (folder / f"grokprobe-{VERSION}-notes.md").read_text()
    assert text == f"# grokprobe {VERSION}\n\n{changes()[2]}\n"
    with tarfile.open(folder / f"grokprobe-{VERSION}-docs.tar.gz") as site:
        assert {"index.html", "contributing.html"} <= set(site.getnames())


@pytest.mark.skipif(not HAS_PARTS, reason="cyclonedx-bom is not installed")
@pytest.mark.parametrize(("ending", "lock"), PARTS.items())
def test_a_list_of_parts_has_the_lock(built: tuple[Path, str], ending: str, lock: str) -> None:
    """Every package in its version, with digests, as parts of grokprobe."""
    found = json.loads((built[0] / f"grokprobe-{VERSION}{ending}.cdx.json").read_text())
    whole = found["metadata"]["component"]
    assert (found["bomFormat"], whole["name"], whole["version"]) == (
        "CycloneDX",
        "grokprobe",
        VERSION,
    )
    parts = {f"{part['name']}=={part['version']}" for part in found["components"]}
    lines = re.findall(r"^(\S+==\S+)", (ROOT / f"locks/{lock}.txt").read_text(), re.MULTILINE)
    assert parts == set(lines)


def test_it_is_built_again_with_the_same_bytes(
    origin: Path, built: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheel, sdist and docs, in another folder, where the stray file is not."""
    monkeypatch.setattr("tools.releasing.checks.ROOT", origin)
    again = Release(
        VERSION, tmp_path / "source", tmp_path, int(git(origin, "log", "-1", "--format=%ct"))
    )
    extract(again.source)
    packages(again)
    docs(again)
    for ending in ("-py3-none-any.whl", ".tar.gz", "-docs.tar.gz"):
        name = f"grokprobe-{VERSION}{ending}"
        assert (tmp_path / name).read_bytes() == (built[0] / name).read_bytes(), name


# -- images, by a stand-in for podman ------------------------------------------------------------

PODMAN = """#!/bin/sh
case "$1 $2" in
"image inspect") echo "sha256:1234 5678" ;;
"build "*) exit {status} ;;
esac
"""


def with_podman(folder: Path, monkeypatch: pytest.MonkeyPatch, status: int, *given: str) -> Release:
    """A release without a base, where PATH has git and a podman whose builds end with a status."""
    programs, target = folder / "programs", folder / "target"
    programs.mkdir()
    target.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    (programs / "podman").write_text(PODMAN.format(status=status))
    (programs / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return Release(VERSION, folder / "clone", target, 0, "here", given)


@pytest.mark.parametrize(
    ("given", "lacking"),
    [((), ["trainer-cpu"]), (("--build-arg=TORCH_INDEX=http://127.0.0.1/",), [])],
)
def test_images_are_recorded_and_pushed_by_hand(
    clone: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], lacking: list[str]
) -> None:
    """All four, or those that need no source of torch; their record is a file of the release."""
    found = with_podman(clone.parent, monkeypatch, 0, *given)
    build_images(found)
    built = [target for target in images.TARGETS if target not in lacking]
    record = json.loads((found.target / "images.json").read_text())
    assert [image["image"] for image in record["images"]] == [
        f"grokprobe-{target}:{VERSION}" for target in built
    ]
    assert [line.split()[1] for line in found.left_out] == lacking
    monkeypatch.setattr("tools.release.ROOT", clone.parent)
    pushes = [line for line in uploads(found.target) if line.startswith("podman tag ")]
    assert len(pushes) == len(built)


def test_an_image_that_is_not_built_is_an_error(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not left out in silence: a builder and a base were there."""
    with pytest.raises(CannotRelease, match=r"tools\.images ended with status 1"):
        build_images(with_podman(clone.parent, monkeypatch, 1))
    assert f"grokprobe-service:{VERSION} was not built" in capsys.readouterr().err


def test_help_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    """And that nothing is uploaded."""
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "nothing is uploaded" in capsys.readouterr().out
