"""The steps of a release: each writes its files from the files of the commit, or says why not."""

import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tools import images
from tools.releasing.checks import CannotRelease, changes, git

PARTS = {"": "base", "-service": "service", "-trainer": "trainer"}  # ending of a list -> its lock
TORCH_FROM = ("TORCH_INDEX=", "wheels=")  # options that tell where torch for CPUs comes from


@dataclass(frozen=True)
class Release:
    """What is built, from where, to where; and what was left out, with the reason."""

    version: str
    source: Path  # the files of the commit
    target: Path
    epoch: int  # s, the time of the commit
    base: str | None = None  # an image that is here, in place of the base
    options: Sequence[str] = ()  # of the builder of images
    left_out: list[str] = field(default_factory=list)

    def named(self, ending: str) -> Path:
        """A file of the release."""
        return self.target / f"grokprobe-{self.version}{ending}"

    def run(self, module: str, *arguments: str | Path) -> None:
        """Run a module over the files of the commit, at its time. Raises CannotRelease."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.source,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(self.epoch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stdout)
            raise CannotRelease(f"{module} ended with status {done.returncode}: see above")


def extract(to: Path) -> None:
    """The files of the commit, and no other that lies about here."""
    to.mkdir(parents=True)
    packed = to.with_suffix(".tar")
    git("archive", "--format=tar", f"--output={packed}", "HEAD")
    with tarfile.open(packed) as archive:
        archive.extractall(to, filter="data")


def packages(release: Release) -> None:
    """The wheel and the sdist, by the hatchling that is installed: no package index is asked."""
    release.run("hatchling", "build", "--directory", release.target)


def parts(release: Release) -> None:
    """Lists of parts (CycloneDX): of the base install, the service and the trainer, from locks."""
    if find_spec("cyclonedx_py") is None:
        release.left_out.append("lists of parts (cyclonedx-bom is not installed; pip install it)")
        return
    fixed = ("requirements", "--pyproject", "pyproject.toml", "--output-reproducible")
    for ending, lock in PARTS.items():
        output = release.named(f"{ending}.cdx.json")
        release.run("cyclonedx_py", *fixed, "--output-file", output, f"locks/{lock}.txt")


def docs(release: Release) -> None:
    """The docs as a site, of which a warning is an error."""
    release.run("zensical", "build", "--strict")
    pack(release.source / "site", release.named("-docs.tar.gz"), release.epoch)


def pack(folder: Path, to: Path, epoch: int) -> None:
    """Write a tar whose bytes follow from names and contents: in order, of one time, nobody's."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.mode = epoch, 0o755 if info.isdir() else 0o644
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with (
        to.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in sorted(folder.rglob("*")):
            archive.add(path, path.relative_to(folder), recursive=False, filter=plain)


def notes(release: Release) -> None:
    """The section of the version in CHANGELOG.md, as a page of its own."""
    _, _, text = changes()
    release.named("-notes.md").write_text(f"# grokprobe {release.version}\n\n{text}\n")


def build_images(release: Release) -> None:
    """The images, where there is a builder and the base can be had, and the record of them."""
    try:
        program = images.engine()
        base = release.base or images.resolve(program, images.default_base())
    except images.CannotBuild as lacking:
        release.left_out.append(f"images ({lacking})")
        return
    targets = list(images.TARGETS)
    if not any(one in option for one in TORCH_FROM for option in release.options):
        targets.remove("trainer-cpu")
        why = "torch for CPUs is on no common index; --option=--build-arg=TORCH_INDEX=URL"
        release.left_out.append(f"image trainer-cpu ({why})")
    options = (f"--option={option}" for option in release.options)
    release.run("tools.images", *targets, "--base", base, *options)
    (release.source / "dist" / images.RECORD.name).rename(release.target / images.RECORD.name)


def digests(release: Release) -> None:
    """SHA256SUMS of all that was built, for `sha256sum --check`."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(release.target.iterdir())
    ]
    (release.target / "SHA256SUMS").write_text("".join(lines))


STEPS = {
    "wheel and sdist": packages,
    "docs": docs,
    "notes": notes,
    "lists of parts": parts,
    "images": build_images,
    "digests": digests,
}
