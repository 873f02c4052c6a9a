"""How many CPUs a process may use: the least of its affinity and of its cgroups' quotas."""

import os
import re
from pathlib import Path

import pytest

from grokprobe.machine.cpus import allowed_cpus, most_threads, quotas

ROOT = Path(__file__).parents[2]
V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "32 23 0:29 {} /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
)


def system(root: Path, mounts: str, cgroups: str, **files: str) -> Path:
    """A root folder with mounts, memberships and files of cgroups; `a__b` stands for a/b."""
    files = {"proc__self__mountinfo": mounts, "proc__self__cgroup": cgroups} | files
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def group(path: str, name: str, mount: str = "/sys/fs/cgroup") -> str:
    """The key of a cgroup's file in `system`."""
    return f"{mount}{path}/{name}".strip("/").replace("/", "__")


def test_a_quota_counts_wherever_it_stands_on_the_way_up(tmp_path: Path) -> None:
    """v2: the process' own group has none, one above it has, the one above that is wider."""
    files = {
        group("/pods/one/main", "cpu.max"): "max 100000\n",
        group("/pods/one", "cpu.max"): "150000 100000\n",
        group("/pods", "cpu.max"): "6400000 100000\n",
    }
    root = system(tmp_path, V2, "0::/pods/one/main\n", **files)
    assert sorted(quotas(root)) == [1.5, 64]
    assert allowed_cpus(root) == min(2, len(os.sched_getaffinity(0)))


def test_a_container_sees_its_own_group_as_the_top(tmp_path: Path) -> None:
    """v2, a namespace of its own: the quota stands at the mount."""
    root = system(tmp_path, V2, "0::/\n", **{group("", "cpu.max"): "50000 100000\n"})
    assert list(quotas(root)) == [0.5]
    assert allowed_cpus(root) == 1


@pytest.mark.parametrize("top", ["/", "/docker/1"])
def test_quotas_of_the_first_version(tmp_path: Path, top: str) -> None:
    """v1: of the cpu controller alone; a container's mount shows its own group as the top."""
    inner = "/docker/1/in".removeprefix(top.rstrip("/"))
    mount = "/sys/fs/cgroup/cpu,cpuacct"
    files = {
        group(inner, "cpu.cfs_quota_us", mount): "-1\n",
        group("/docker/1".removeprefix(top.rstrip("/")), "cpu.cfs_quota_us", mount): "75000\n",
        group("/docker/1".removeprefix(top.rstrip("/")), "cpu.cfs_period_us", mount): "25000\n",
    }
    memberships = "9:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/1/in\n0::/unified\n"
    root = system(tmp_path, V1.format(top), memberships, **files)
    assert list(quotas(root)) == [3]


@pytest.mark.parametrize("path", ["/not/mounted/here", "/../outside"])
def test_a_group_that_is_not_to_be_seen_counts_as_the_mount(tmp_path: Path, path: str) -> None:
    """As in a container that shares its host's names of groups."""
    root = system(tmp_path, V2, f"0::{path}\n", **{group("", "cpu.max"): "300000 100000\n"})
    assert list(quotas(root)) == [3]


def test_without_any_limit_the_affinity_counts(tmp_path: Path) -> None:
    """No cgroups at all, or none that says anything; and a process that was given one CPU."""
    own = os.sched_getaffinity(0)
    assert allowed_cpus(tmp_path) == len(own)
    assert allowed_cpus(system(tmp_path, V2, "0::/a\n")) == len(own)
    os.sched_setaffinity(0, {min(own)})
    try:
        assert allowed_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, own)


@pytest.mark.parametrize(
    ("told", "threads"), [("1", 1), (" 1,4", 1), ("9999", None), ("0", None), ("many", None)]
)
def test_openmps_variable_lowers_the_number(
    monkeypatch: pytest.MonkeyPatch, told: str, threads: int | None
) -> None:
    """A number, or a list with one for each level; nothing makes more threads than CPUs."""
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert most_threads() == (threads or allowed_cpus())


def test_nobody_else_counts_cpus() -> None:
    """The machine's number is asked for in one place only."""
    folders = ("grokprobe", "trainer", "service")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    asking = [path for path in paths if re.search(r"\bcpu_count\(", path.read_text())]
    assert asking == [ROOT / "grokprobe/machine/cpus.py"]
