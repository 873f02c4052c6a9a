"""`python -m benchmarks.pairs`: what a run answers to every pair: storing it, and the series of it.

A checkpoint of the mainline (p 113): what its predictions add to publication on local files. Then a
run of 400 such checkpoints over HTTP: each series asked of a service that has just started, and
again; with how many bytes.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import msgspec
import numpy as np

from grokprobe.analysis.measures import predictions
from grokprobe.settings import Settings
from grokprobe.store.archive.predictions import describe_predictions, encode_predictions
from grokprobe.store.backends import open_backends
from grokprobe.store.records import encode_record

CHECKPOINTS, ROUNDS, WARM = 400, 40, 20
P = 113
SERIES = [
    "grids?of=correct&format=npy",
    "grids?of=predicted&format=npy",
    "grids?of=correct&format=arrow",
    "grids?of=correct&format=parquet",
    "grids?of=correct&format=json",
    "pairs?format=npy",
    "pairs?format=json",
    "pairs?by=answer&format=json",
]


def publish(home: Path, checkpoints: int) -> Settings:
    """A run of mainline checkpoints under a folder, one a step, by a trainer of its own process."""
    changes = [f"training.steps={checkpoints - 1}", "checkpoints.every=1"]
    command = [sys.executable, "-m", "trainer", "train", "--preset", "mainline"]
    subprocess.run(
        [
            *command,
            "--run",
            "mainline",
            *(word for change in changes for word in ("--set", change)),
        ],
        env={**os.environ, "GROKPROBE_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    return Settings(home=str(home))


def ms(began: float) -> float:
    """Milliseconds since then."""
    return (time.perf_counter() - began) * 1e3


async def gain(settings: Settings) -> None:
    """Print what predictions add to the publication of a checkpoint: time and bytes."""
    logits = np.random.default_rng(0).normal(size=(P * P, P)).astype(np.float32)
    times: dict[str, list[float]] = {"found and encoded": [], "written": [], "without": []}
    async with open_backends(settings) as backends:
        source = await backends.archive.checkpoint("mainline", 0)
        model = await backends.archive.model(source)
        run = await backends.archive.run("mainline")
        mask = await backends.archive.train_mask("mainline")
        for name in ("with", "without"):
            copy = msgspec.structs.replace(run, run=name)
            await backends.publisher.publish_run(copy, mask)
        for step in range(ROUNDS):
            began = time.perf_counter()
            data = encode_predictions(predictions(logits), P)
            recorded = describe_predictions(data)
            times["found and encoded"].append(ms(began))
            one = msgspec.structs.replace(source, run="with", step=step, predictions=recorded)
            began = time.perf_counter()
            await backends.publisher.publish_checkpoint(one, model, data)
            times["written"].append(ms(began))
            other = msgspec.structs.replace(source, run="without", step=step, predictions=None)
            began = time.perf_counter()
            await backends.publisher.publish_checkpoint(other, model)
            times["without"].append(ms(began))
    found, written, without = (statistics.median(of) for of in times.values())
    added = len(data) + len(encode_record(one)) - len(encode_record(other))
    print(f"predictions found and encoded {found:21.2f} ms (publication has found them anyway)")
    print(f"a checkpoint written with them, without {written:11.2f} {without:8.2f} ms")
    print(f"so they add at most {found + written - without:31.2f} ms, {added} bytes")


def series(settings: Settings, home: Path) -> None:
    """Print what each series takes when nothing is known, and then."""
    from tests.support.served import serving

    for path in SERIES:
        with serving(settings, home) as served:
            url = f"/v1/runs/mainline/{path}"
            served.client.get("/v1/runs/mainline")
            began = time.perf_counter()
            size = ask(served.client, url)
            cold, warm = ms(began), []
            for _ in range(WARM):
                began = time.perf_counter()
                ask(served.client, url)
                warm.append(ms(began))
        took = f"cold {cold:7.0f} ms  warm {statistics.median(warm):7.1f} ms"
        print(f"{path:34}{size / 1e3:10.0f} kB  {took}")


def ask(client: httpx.Client, path: str) -> int:
    """The length of an answer that is not packed."""
    answer = client.get(path, headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200, answer.text
    return len(answer.content)


def main() -> None:
    """Both parts on one run."""
    with tempfile.TemporaryDirectory() as folder:
        settings = publish(Path(folder), CHECKPOINTS)
        series(settings, Path(folder))
        asyncio.run(gain(settings))


if __name__ == "__main__":
    main()
