"""`python -m tools.locks`: what each image and the package alone install, by digests, into locks/.

The versions are those of constraints.txt. What only images install (CUDA's libraries, the tools of
the build) has no line there: it keeps the version that its lock has until the lock is deleted.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "locks"
PYTHON = "--python-version=3.11"  # the oldest that the images' base may have
SYSTEM = "x86_64-unknown-linux-gnu"  # the only one that onnxruntime-gpu is for
CUDA = re.compile(r"^(nvidia|cuda|triton)\b")


@dataclass(frozen=True)
class Target:
    """What a lock is made from: extras of ours, requirements beside them, packages left out."""

    extras: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    without_cuda: bool = False
    is_ours: bool = True  # the package with these extras, not its tools


TARGETS = {
    "base": Target(),  # for the list of its parts: no image is made of it
    "service": Target(("service", "tracing", "pictures"), ("onnxruntime-gpu[cuda,cudnn]",)),
    "service-cpu": Target(("service-cpu", "tracing", "pictures")),
    "trainer": Target(("trainer",)),
    # torch itself comes from where the builder says: its build for CPUs is on no common index.
    "trainer-cpu": Target(("trainer-cpu",), without_cuda=True),
    "tools": Target(beside=("cyclonedx-bom>=7", "hatchling>=1.33"), is_ours=False),
}


def packages(lock: Path) -> dict[str, str]:
    """The version of each package of a lock, by its normalised name."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def compile_lock(name: str, folder: Path = LOCKS, system: str = SYSTEM) -> None:
    """Write the lock of a target; it keeps versions that it has and that still fit."""
    target = TARGETS[name]
    sources = ["pyproject.toml"] if target.is_ours else []
    options = [f"--extra={extra}" for extra in target.extras]
    if target.without_cuda:
        # After `trainer`, whose lock tells what torch for CUDA brings.
        cuda = filter(CUDA.match, packages(LOCKS / "trainer.txt"))
        excludes = folder / ".excludes"
        excludes.write_text("\n".join(cuda))
        options += ["--no-emit-package=torch", f"--excludes={excludes}"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", *sources, "-", *options]
    fixed = ["--constraint=constraints.txt", "--generate-hashes", "--no-annotate", PYTHON]
    said = "--custom-compile-command=make locks"
    output = (f"--python-platform={system}", f"--output-file={folder / f'{name}.txt'}")
    given = "\n".join(target.beside).encode()
    subprocess.run([*command, *fixed, said, *output], cwd=ROOT, input=given, check=True)
    (folder / ".excludes").unlink(missing_ok=True)


if __name__ == "__main__":
    LOCKS.mkdir(exist_ok=True)
    for name in TARGETS:
        compile_lock(name)
        print(f"locks/{name}.txt: {len(packages(LOCKS / f'{name}.txt'))} packages")
