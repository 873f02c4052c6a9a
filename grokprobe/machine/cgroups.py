"""The cgroups of this process, of version 1 and 2, as far as they can be seen: their files.

In a container the mount shows the container's own group as its top, whatever its name is outside.
"""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def folders(controller: str, root: Path = ROOT) -> Iterator[tuple[int, Path]]:
    """The folder of each cgroup of this process with a controller, with its version: 1 or 2.

    Of the process's own group and of those around it, up to the mount, each of which may have a
    limit. `root` is where /proc and the cgroups' files are looked for.
    """
    memberships = lines(root / "proc/self/cgroup")
    for mount in lines(root / "proc/self/mountinfo"):
        left, _, right = mount.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            version, named = 2, ""
        elif kind == "cgroup" and controller in options.split(","):
            version, named = 1, controller
        else:
            continue
        top, point = left.split(" ")[3:5]
        for membership in memberships:
            _, controllers, path = membership.split(":", 2)
            if named in controllers.split(","):
                for folder in _upwards(root / point.lstrip("/"), top, path):
                    yield version, folder


def _upwards(point: Path, top: str, path: str) -> Iterator[Path]:
    """The folders of a cgroup and of those around it, up to the mount, which shows `top`."""
    seen = Path(path).is_relative_to(top) and ".." not in path  # else it lies outside the mount
    folder = point / Path(path).relative_to(top) if seen else point
    yield folder
    while folder != point:
        folder = folder.parent
        yield folder


def lines(path: Path) -> list[str]:
    """The lines of a file; none where it is not there or not to be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
