"""Pickles read as data: whatever one holds, nothing is imported, called or made."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = 100_000
GROWTH = 100  # MB, of a process that reads files with a budget of 1 MiB


def test_hostile_pickles_do_nothing(tmp_path: Path) -> None:
    """Under an audit hook nothing happens but opening the file; every refusal is one short line."""
    command = [sys.executable, "-W", "error", "-m", "tests.support.hostile", str(COUNT)]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    read, refused, grown = map(int, done.stdout.split())
    assert read == COUNT
    assert COUNT // 2 < refused < COUNT  # mutations that only break would show nothing
    assert grown < GROWTH
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.pt"]
