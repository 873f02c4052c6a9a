"""How much memory this process may use: its cgroups' limits and the machine's memory, the least."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from grokprobe.machine.cgroups import ROOT, folders, lines

UNLIMITED = 2**40  # bytes from which on a limit of a cgroup of version 1 is none: it writes 2^63
ASSUMED = 4 * 2**30  # bytes of a process that nobody limits: others live on its machine too


def allowed_memory(root: Path = ROOT) -> int:
    """The bytes that this process may use; ASSUMED where nothing says less.

    `root` is where /proc and the cgroups' files are looked for.
    """
    limited = list(limits(root))
    machine = list(_machine(root))
    return min([*(limited or [ASSUMED]), *machine])


@cache
def share_of_memory(part: int) -> int:
    """A `part`-th of the memory that this process may use, in bytes."""
    return allowed_memory() // part


def limits(root: Path = ROOT) -> Iterator[int]:
    """The bytes that each cgroup of this process allows, where one is limited; v1 and v2."""
    names = {1: "memory.limit_in_bytes", 2: "memory.max"}
    for version, folder in folders("memory", root):
        for line in lines(folder / names[version]):
            if line != "max" and int(line) < UNLIMITED:
                yield int(line)


def _machine(root: Path) -> Iterator[int]:
    for line in lines(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * 1024
