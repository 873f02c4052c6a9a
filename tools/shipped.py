"""`python -m tools.shipped`: train the run that comes with the package anew, and pack it.

It is trained in a HOME of its own, by the command that docs/commands.md names; `--home HOME` packs
the one that is there. Another processor rounds otherwise: equal curves, other digests.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from grokprobe.cli.shipped import PACKED, RUN
from grokprobe.settings import variable

FIXED = (1980, 1, 1, 0, 0, 0)  # the earliest time of the format


def train(home: Path) -> None:
    """Train it, under a HOME."""
    command = [sys.executable, "-m", "trainer", "train", "--preset", RUN, "--run", RUN]
    others = {
        name: value for name, value in os.environ.items() if not name.startswith("GROKPROBE_")
    }
    subprocess.run(command, check=True, env=others | {variable("home"): str(home)})


def pack(store: Path, to: Path = PACKED) -> None:
    """Write the objects of the run, but for the state that training would go on from."""
    files = sorted(path for path in (store / "runs" / RUN).rglob("*") if path.is_file())
    if not files:
        raise SystemExit(f"error: {store} has no run {RUN}")
    with zipfile.ZipFile(to, "w") as archive:  # stored: wheels deflate, each zlib to other bytes
        for path in files:
            name = path.relative_to(store)
            if "state" not in name.parts:
                archive.writestr(zipfile.ZipInfo(name.as_posix(), FIXED), path.read_bytes())


def main() -> None:
    """Train, unless it is there, and pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="pack the run that is under this HOME")
    home = parser.parse_args().home
    with tempfile.TemporaryDirectory() as empty:
        if home is None:
            home = Path(empty)
            train(home)
        pack(home / "store")
    print(f"{PACKED}: {PACKED.stat().st_size} bytes")


if __name__ == "__main__":
    main()
