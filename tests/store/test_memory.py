"""How much memory a process may use: the least of its cgroups' limits and of the machine's."""

from pathlib import Path

import pytest

from grokprobe.machine.memory import ASSUMED, UNLIMITED, allowed_memory, limits, share_of_memory
from grokprobe.settings import Settings
from tests.store.test_cpus import V2, group, system

V1 = "33 23 0:30 {} /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory\n"
MIB = 2**20


def test_a_limit_counts_wherever_it_stands_on_the_way_up(tmp_path: Path) -> None:
    """v2: the process' own group has none, the one above it has, that of all pods is wider."""
    files = {
        group("/pods/one/main", "memory.max"): "max\n",
        group("/pods/one", "memory.max"): f"{512 * MIB}\n",
        group("/pods", "memory.max"): f"{9000 * MIB}\n",
    }
    root = system(tmp_path, V2, "0::/pods/one/main\n", **files)
    assert sorted(limits(root)) == [512 * MIB, 9000 * MIB]
    assert allowed_memory(root) == 512 * MIB


def test_a_container_sees_its_own_group_as_the_top(tmp_path: Path) -> None:
    """v2, a namespace of its own: the limit stands at the mount, and may be above ASSUMED."""
    root = system(tmp_path, V2, "0::/\n", **{group("", "memory.max"): f"{64 * 1024 * MIB}\n"})
    assert allowed_memory(root) == 64 * 1024 * MIB


@pytest.mark.parametrize("top", ["/", "/docker/1"])
def test_limits_of_the_first_version(tmp_path: Path, top: str) -> None:
    """v1: of the memory controller alone; no limit is a huge number there."""
    mount = "/sys/fs/cgroup/memory"
    own = "/docker/1".removeprefix(top.rstrip("/"))
    files = {
        group(f"{own}/in", "memory.limit_in_bytes", mount): "9223372036854771712\n",
        group(own, "memory.limit_in_bytes", mount): f"{256 * MIB}\n",
    }
    memberships = "9:cpuset:/elsewhere\n4:memory:/docker/1/in\n0::/unified\n"
    root = system(tmp_path, V1.format(top), memberships, **files)
    assert list(limits(root)) == [256 * MIB]


@pytest.mark.parametrize(
    ("meminfo", "expected"),
    [("MemTotal:  2097152 kB\n", 2048 * MIB), ("MemTotal: 99999999 kB\n", ASSUMED), ("", ASSUMED)],
)
def test_without_a_limit_others_live_there_too(tmp_path: Path, meminfo: str, expected: int) -> None:
    """The machine's memory counts as far as it is less than ASSUMED."""
    assert allowed_memory(system(tmp_path, V2, "0::/a\n", proc__meminfo=meminfo)) == expected
    assert ASSUMED < UNLIMITED


def test_a_limit_above_the_machine_is_none(tmp_path: Path) -> None:
    """What the machine does not have nobody gets."""
    files = {group("", "memory.max"): f"{1024 * MIB}\n", "proc__meminfo": "MemTotal: 524288 kB\n"}
    assert allowed_memory(system(tmp_path, V2, "0::/\n", **files)) == 512 * MIB


def test_the_caches_are_shares() -> None:
    """A third of the memory together; of 4 GiB as in the docs. A setting stands above."""
    settings = Settings(grid_cache_bytes=5)
    assert (settings.session_cache_bytes, settings.grid_cache_bytes) == (share_of_memory(4), 5)
    assert settings.answer_cache_bytes == share_of_memory(32)
    whole = share_of_memory(1)
    assert sum(share_of_memory(part) for part in (4, 16, 32)) <= 0.35 * whole
