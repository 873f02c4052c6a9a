"""`python -m benchmarks.catalogue`: 100,000 checkpoints in 1,000 runs.

Manifests as long as those of `mainline`, as files; the time to index them in an empty Redis, the
memory that this takes there, and pages of lists over HTTP. `--runs N` for fewer runs.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import numpy as np
from obstore.store import LocalStore

from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.objects import Objects, gather
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.records import CheckpointManifest, SpectrumRow, encode_record
from tests.support.served import serving
from tests.support.tiny import tiny_run

CHECKPOINTS = 100
ROUNDS = 50
TEMPLATE = tiny_run()
TASK = msgspec.structs.replace(TEMPLATE.manifest.task, modulus=113)
STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def manifest_of(run: str, step: int, rng: np.random.Generator) -> CheckpointManifest:
    """A manifest with 25 measures and 56 powers, all different: 3 kB."""
    first, _ = TEMPLATE.checkpoints[0]
    more = {f"measure_{i}": value for i, value in enumerate(rng.random(21).tolist())}
    return msgspec.structs.replace(
        first,
        run=run,
        step=step,
        created_at=STARTED + timedelta(seconds=step),
        measures=first.measures | more,
        spectrum=SpectrumRow(constant_power=1.0, power=rng.random(56).tolist()),
    )


async def publish(folder: Path, runs: int) -> int:
    """The manifests as they lie in object storage; the number of objects."""
    objects, rng = Objects(LocalStore(str(folder), mkdir=True)), np.random.default_rng(0)

    async def one(number: int) -> None:
        run = f"run-{number:04d}"
        manifest = msgspec.structs.replace(TEMPLATE.manifest, run=run, task=TASK)
        await objects.create(names.run_path(run), encode_record(manifest))
        for step in range(CHECKPOINTS):
            data = encode_record(manifest_of(run, step, rng))
            await objects.create(names.manifest_path(run, step), data)

    await gather(one, range(runs))
    return runs * (CHECKPOINTS + 1)


async def used(catalogue: Catalogue) -> int:
    """Bytes that Redis holds."""
    [info] = await catalogue.connection.send(("INFO", "memory"))
    return int(info["used_memory"])


async def reindex(settings: Settings, count: int) -> None:
    """Index everything in an empty Redis, and print what it took."""
    async with open_backends(settings) as backends:
        catalogue = backends.catalogue
        # Being the owner, opening has indexed already.
        await catalogue.connection.send(("FLUSHALL",))
        before, began = await used(catalogue), time.perf_counter()
        report = await catalogue.rebuild(backends.archive)
        seconds = time.perf_counter() - began
        held = await used(catalogue) - before
    assert not report.problems, report.problems[0]
    print(f"reindex of {report.checkpoints:,} checkpoints: {count / seconds:,.0f} objects/s")
    print(f"Redis holds {held / report.checkpoints:,.0f} bytes a checkpoint")


def pages(settings: Settings, folder: Path, runs: int) -> None:
    """Print how long pages of lists take over HTTP, each of another place."""
    paths: dict[str, Callable[[int], str]] = {
        "runs, 100 a page": lambda n: f"/v1/runs?limit=100&after=run-{n * 7 % runs:04d}",
        "runs, 1,000 a page": lambda _: "/v1/runs?limit=1000",
        "checkpoints of a run never asked for": lambda n: f"/v1/runs/run-{n:04d}/checkpoints",
        "checkpoints of the same run": lambda _: "/v1/runs/run-0000/checkpoints",
    }
    with serving(settings, folder) as served:
        for name, path in paths.items():
            times = [seconds(served.client, path(n)) * 1e3 for n in range(ROUNDS)]
            median, worst = statistics.median(times), max(times)
            print(f"{name:38} median {median:6.1f} ms   max {worst:6.1f} ms")


def seconds(client: httpx.Client, path: str) -> float:
    """How long one answer takes."""
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - began


def main() -> None:
    """Publish, index, list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=home)
        count = asyncio.run(publish(Path(home) / "store", runs))
        asyncio.run(reindex(settings, count))
        pages(settings, Path(home), runs)


if __name__ == "__main__":
    main()
