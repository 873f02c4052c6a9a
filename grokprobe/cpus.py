"""How many CPUs this process may use: of its affinity and its cgroups' quotas, the least.

The machine's own number would be wrong in a container: a pod limited to 2 CPUs sees all 64 of its
node, and 64 threads then wait for each other in the time of 2.
"""

import os
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path

ROOT = Path("/")


def allowed_cpus(root: Path = ROOT) -> int:
    """The CPUs that this process may use at once, at least 1; a part of one counts as one.

    `root` is where /proc and the cgroups' files are looked for.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([allowed or 1, *map(ceil, quotas(root))]))


def most_threads() -> int:
    """As many threads as can compute at once: one a CPU, or OMP_NUM_THREADS if that is fewer."""
    told = re.match(r"[1-9]\d*", os.environ.get("OMP_NUM_THREADS", "").strip())
    return min(allowed_cpus(), int(told[0])) if told else allowed_cpus()


def quotas(root: Path = ROOT) -> Iterator[float]:
    """The CPUs that each cgroup of this process allows, where one is limited; v1 and v2."""
    memberships = _lines(root / "proc/self/cgroup")
    for mount in _lines(root / "proc/self/mountinfo"):
        left, _, right = mount.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            controller, quota = "", _quota
        elif kind == "cgroup" and "cpu" in options.split(","):
            controller, quota = "cpu", _quota_v1
        else:
            continue
        top, point = left.split(" ")[3:5]
        for membership in memberships:
            _, controllers, path = membership.split(":", 2)
            if controller in controllers.split(","):
                folders = _upwards(root / point.lstrip("/"), top, path)
                yield from (found for folder in folders if (found := quota(folder)))


def _upwards(point: Path, top: str, path: str) -> Iterator[Path]:
    """The folders of a cgroup and of those around it, up to the mount, which shows `top`."""
    seen = Path(path).is_relative_to(top) and ".." not in path  # else it lies outside the mount
    folder = point / Path(path).relative_to(top) if seen else point
    yield folder
    while folder != point:
        folder = folder.parent
        yield folder


def _quota(folder: Path) -> float | None:
    """The CPUs by `cpu.max`: microseconds in each period, or `max`."""
    [quota, period] = " ".join(_lines(folder / "cpu.max")).split() or ["max", ""]
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    """The CPUs by `cpu.cfs_quota_us`, -1 where there is no limit."""
    [quota] = _lines(folder / "cpu.cfs_quota_us") or ["-1"]
    [period] = _lines(folder / "cpu.cfs_period_us") or ["100000"]
    return int(quota) / int(period) if int(quota) > 0 else None


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where it is not there or not to be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
