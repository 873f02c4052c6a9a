"""`python -m tools.release`: all that a release is, built into dist/VERSION; nothing is uploaded.

It is built from the commit alone and at the commit's time, so that whoever builds it again gets
the same bytes. What cannot be built here is left out and said so; the end of the output are the
commands that would upload the rest.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.images import RECORD
from tools.releasing.checks import CannotRelease, changes, check, git
from tools.releasing.steps import STEPS, Release, extract
from tools.version import ROOT, version

DIST = ROOT / "dist"


def build(base: str | None = None, options: Sequence[str] = ()) -> Release:
    """Check, take every step, and put the whole into its place. Raises CannotRelease."""
    check()
    half, epoch = DIST / f".{version()}.part", int(git("log", "-1", "--format=%ct"))
    shutil.rmtree(half, ignore_errors=True)
    release = Release(version(), half / "source", half / "target", epoch, base, options)
    try:
        extract(release.source)
        release.target.mkdir()
        for name, step in STEPS.items():
            began, before = time.monotonic(), len(release.left_out)
            step(release)
            said = "" if len(release.left_out) == before else ", not all: see the end"
            print(f"{name}: {time.monotonic() - began:.1f} s{said}", flush=True)
        shutil.rmtree(DIST / version(), ignore_errors=True)
        release.target.rename(DIST / version())
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return release


def uploads(folder: Path) -> Iterator[str]:
    """The commands that upload what was built."""
    tag = f"v{version()}"
    yield f"git tag {tag} {git('rev-parse', 'HEAD')} && git push origin {tag}"
    ours = [folder / f"grokprobe-{version()}{end}" for end in ("-py3-none-any.whl", ".tar.gz")]
    yield f"twine upload {' '.join(str(path.relative_to(ROOT)) for path in ours)}"
    record = folder / RECORD.name
    built = json.loads(record.read_text()) if record.exists() else {"images": []}
    for name in (image["image"] for image in built["images"]):
        yield f"{built['by']} tag {name} REGISTRY/{name} && {built['by']} push REGISTRY/{name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 built, 2 not."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--base", help="an image that is here already, in place of the base")
    parser.add_argument("--option", action="append", default=[], help="one more for the builder")
    parsed = parser.parse_args(arguments)
    try:
        release = build(parsed.base, parsed.option)
    except CannotRelease as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    folder = DIST / version()
    for lacking in release.left_out:
        print(f"left out: {lacking}")
    if "unreleased" in changes()[1]:
        print(f"CHANGELOG.md calls {version()} unreleased: write its day, commit, release again")
    print(f"{folder.relative_to(ROOT)} is built, nothing is uploaded; to upload it:")
    print(*(f"  {line}" for line in uploads(folder)), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
