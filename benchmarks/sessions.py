"""`python -m benchmarks.sessions`: the memory of loaded checkpoints, p 113.

1,000 checkpoints that all stay loaded; then single pairs of checkpoints drawn at random among 5,000
under the default budget, so that most have to be loaded and others dropped. The checkpoints are one
file under many steps: each is downloaded, checked and opened as if it were another.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.servers import Server, how_quiet, service, train_mainline
from grokprobe.store.archive import names
from grokprobe.store.records import CheckpointManifest, encode_record

HOT, COLD = 1_000, 5_000
ASKED, ASKERS = 20_000, 8
HOT_BUDGET = str(4 * 2**30)


def multiply(home: Path, model: Path) -> None:
    """Publish one checkpoint as the first COLD steps of its run."""
    manifest = model.with_name("manifest.json").read_bytes()
    first = msgspec.json.decode(manifest, type=CheckpointManifest)
    store = home / "store"
    for step in range(COLD):
        path = store / names.model_path(first.run, step)
        path.parent.mkdir(exist_ok=True)
        if path != model:
            path.unlink(missing_ok=True)
            os.link(model, path)
        record = msgspec.structs.replace(first, step=step)
        (store / names.manifest_path(first.run, step)).write_bytes(encode_record(record))
    environment = {**os.environ, "GROKPROBE_HOME": str(home)}
    command = [sys.executable, "-m", "grokprobe", "reindex"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def ask(server: Server, steps: list[int]) -> tuple[Counter[int], float, float]:
    """One pair of each of the steps: statuses, seconds, and the most memory meanwhile in MiB."""
    statuses: Counter[int] = Counter()
    waiting, most, began = iter(steps), [0.0], time.perf_counter()
    lock = threading.Lock()

    def run() -> None:
        while True:
            with lock:
                step = next(waiting, None)
            if step is None:
                return
            path = f"/v1/runs/mainline/checkpoints/{step}/predictions?a=3&b=5"
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
                    status = answer.status
                    json.load(answer)
            except urllib.error.HTTPError as error:
                status = error.code
            with lock:
                statuses[status] += 1
                most[0] = max(most[0], server.memory_mib())

    threads = [threading.Thread(target=run) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses, time.perf_counter() - began, most[0]


def main() -> None:
    """Measure and print."""
    print(how_quiet())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model = train_mainline(home)
        multiply(home, model)
        with service(home, GROKPROBE_SESSION_CACHE_BYTES=HOT_BUDGET) as server:
            empty = server.memory_mib()
            statuses, seconds, _ = ask(server, list(range(HOT)))
            held = server.memory_mib()
            print(
                f"{HOT:,} loaded checkpoints, files of {model.stat().st_size / 2**20:.2f} MiB: "
                f"{held:,.0f} MiB, {(held - empty) / HOT:.2f} each; loaded in {seconds:.1f} s, "
                f"{dict(statuses)}"
            )
        with service(home) as server:
            steps = np.random.default_rng(0).integers(COLD, size=ASKED).tolist()
            statuses, seconds, most = ask(server, steps)
            print(
                f"{ASKED:,} requests at random over {COLD:,}, default budget: {dict(statuses)}, "
                f"{ASKED / seconds:,.0f}/s, at most {most:,.0f} MiB, {server.memory_mib():,.0f} at "
                "the end"
            )


if __name__ == "__main__":
    main()
