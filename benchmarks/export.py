"""`python -m benchmarks.export`: a run of 400 checkpoints, p 113, exported in each format.

By a service that has just started, which computes every neuron of every checkpoint first, and by
the same one again.
"""

import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.probing import publish
from benchmarks.servers import how_quiet
from grokprobe import Client
from grokprobe.exporting.export import WRITERS, export
from tests.support.served import serving

CHECKPOINTS = 400
RUN = "mainline"


def timed(client: Client, form: str, folder: Path) -> str:
    """Seconds, and the size of what was written."""
    began = time.perf_counter()
    export(client.run(RUN), form, folder)
    took = time.perf_counter() - began
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return f"{took:.1f} s, {size / 1e6:.0f} MB"


def main() -> None:
    """Print each format's time, the first and a later one."""
    print(how_quiet())
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        settings = publish(home, CHECKPOINTS)
        with (
            serving(settings, home) as served,
            Client(served.url, cache=False, bars=False) as client,
        ):
            print("first, zarr:", timed(client, "zarr", home / "to"), flush=True)
            for form in WRITERS:
                print(f"later, {form}:", timed(client, form, home / "to"), flush=True)


if __name__ == "__main__":
    main()
