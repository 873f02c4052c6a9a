"""`python -m tools.images [TARGET ...]`: build images by docker or podman, and record from what.

The base is resolved first: it is pulled, and the images are built by its digest. Where no image
registry can be reached, `--base` names an image that is here already, whose digest is then not
known and not invented. What was built is in dist/images.json.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.version import version

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "dist" / "images.json"
TARGETS = ("service", "service-cpu", "trainer", "trainer-cpu")
VERSION = version()


class CannotBuild(Exception):
    """One sentence: what is lacking and what to do."""


def output(*command: str, folder: Path = ROOT) -> str:
    """What a command prints in a folder. Raises CannotBuild with its last line if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise CannotBuild(f"{' '.join(command[:3])}: {lines[-1]}")
    return done.stdout.strip()


def engine() -> str:
    """The program that builds. Raises CannotBuild where there is none."""
    for name in filter(shutil.which, ("docker", "podman")):
        if not subprocess.run([name, "info"], capture_output=True, check=False).returncode:
            return name
    raise CannotBuild("neither docker nor podman works here; install one of them")


def default_base() -> str:
    """The base of the Dockerfile."""
    [base] = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return str(base)


def resolve(program: str, base: str) -> str:
    """The base by its digest, such as docker.io/library/python@sha256:..., pulled.

    Raises CannotBuild where the registry does not give it.
    """
    try:
        output(program, "pull", "--quiet", base)
    except CannotBuild as error:
        advice = "reach its registry, or name an image that is here by --base"
        raise CannotBuild(f"the digest of {base} is not to be had ({error}); {advice}") from None
    return output(program, "image", "inspect", "--format", "{{index .RepoDigests 0}}", base)


def build(program: str, target: str, base: str, options: Sequence[str]) -> dict[str, Any]:
    """Build one image; return its name, identity and size in bytes."""
    name = f"grokprobe-{target}:{VERSION}"
    revision = output("git", "rev-parse", "HEAD")
    arguments = [f"--build-arg=PYTHON_IMAGE={base}", f"--build-arg=REVISION={revision}"]
    # Podman's own format has no HEALTHCHECK, and it would look for the base in a registry.
    own = ["--format=docker", "--pull=never"] if program == "podman" else []
    command = [program, "build", *own, "--target", target, "--tag", name, *arguments, *options, "."]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise CannotBuild(f"{name} was not built: see above")
    found = output(program, "image", "inspect", "--format", "{{.Id}} {{.Size}}", name).split()
    return {"image": name, "id": found[0], "bytes": int(found[1]), "revision": revision}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 built, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m tools.images", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=" ".join(TARGETS))
    parser.add_argument("--base", help="an image that is here already, in place of the base")
    parser.add_argument("--option", action="append", default=[], help="one more for the builder")
    parsed = parser.parse_args(arguments)
    if unknown := set(parsed.targets) - set(TARGETS):
        parser.error(f"no target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    try:
        program = engine()
        base = parsed.base or resolve(program, default_base())
        built = [
            build(program, target, base, parsed.option) for target in parsed.targets or TARGETS
        ]
    except CannotBuild as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    RECORD.parent.mkdir(exist_ok=True)
    record = {"by": program, "base": base, "digest_known": "@sha256:" in base, "images": built}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{RECORD.relative_to(ROOT)}: {', '.join(image['image'] for image in built)} on {base}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
