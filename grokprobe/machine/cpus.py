"""How many CPUs this process may use: of its affinity and its cgroups' quotas, the least.

The machine's own number would be wrong in a container: a pod limited to 2 CPUs sees all 64 of its
node, and 64 threads then wait for each other in the time of 2.
"""

import os
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from grokprobe.machine.cgroups import ROOT, folders, lines


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
    quota = {1: _quota_v1, 2: _quota}
    found = (quota[version](folder) for version, folder in folders("cpu", root))
    yield from filter(None, found)


def _quota(folder: Path) -> float | None:
    """The CPUs by `cpu.max`: microseconds in each period, or `max`."""
    [quota, period] = " ".join(lines(folder / "cpu.max")).split() or ["max", ""]
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    """The CPUs by `cpu.cfs_quota_us`, -1 where there is no limit."""
    [quota] = lines(folder / "cpu.cfs_quota_us") or ["-1"]
    [period] = lines(folder / "cpu.cfs_period_us") or ["100000"]
    return int(quota) / int(period) if int(quota) > 0 else None
