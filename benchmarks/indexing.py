"""`python -m benchmarks.indexing`: the index of many runs, built over a slow store, and filtered.

`reindex`: runs of ten checkpoints in a store that takes 20 ms for each request, into an empty
Redis; how long it took, and how many requests. `--runs N` for another number than 10,000.

`lists`: pages of `/v1/runs` with filters, of 100,000 runs in the index; `--listed N` for others.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
from obstore.store import MemoryStore

from benchmarks.catalogue import manifest_of, seconds
from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import Contents
from grokprobe.store.archive.seal import encode_seal
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue import scripts
from grokprobe.store.catalogue.keys import LOCK
from grokprobe.store.records import Record, encode_record
from tests.support.served import serving
from tests.support.stores import CountingStore
from tests.support.tiny import stored, tiny_run

DELAY_S = 0.02
CHECKPOINTS = 10
ROUNDS = 50
BATCH = 100
TEMPLATE = tiny_run(steps=range(CHECKPOINTS))
OPERATIONS, MODULI = ("add", "sub", "mul"), (7, 11, 13, 17)
QUERIES = [
    "limit=100",
    "limit=100&status=complete",
    "limit=100&status=running",
    "limit=100&operation=mul&modulus=13&status=complete",
    "limit=100&operation=div",
    "limit=100&group=group-7&status=complete",
]


def fill(store: MemoryStore, runs: int) -> None:
    """The records of runs that have ended, without their models."""
    manifest, completion = TEMPLATE.manifest, TEMPLATE.completion
    for number in range(runs):
        run = f"run-{number:06d}"

        def put(path: str, record: Record, run: str = run) -> None:
            store.put(path, encode_record(msgspec.structs.replace(record, run=run)))

        put(names.run_path(run), manifest)
        for checkpoint, _ in TEMPLATE.checkpoints:
            put(names.manifest_path(run, checkpoint.step), checkpoint)
        put(names.completion_path(run), completion)


async def reindex(runs: int) -> None:
    """Print how long it takes to index them."""
    store = MemoryStore()
    fill(store, runs)
    slow = CountingStore(store, DELAY_S)
    with tempfile.TemporaryDirectory() as home:
        async with open_backends(Settings(home=home)) as backends:
            began = time.perf_counter()
            report = await backends.catalogue.rebuild(slow.archive)
            took = time.perf_counter() - began
    each = len(slow.paths) / report.runs
    print(
        f"reindex of {report.runs:,} runs, {report.checkpoints:,} checkpoints, {each:.1f} requests "
        f"of {DELAY_S * 1e3:g} ms a run: {took:.0f} s; 10,000 runs at this rate: "
        f"{took * 10_000 / report.runs:.0f} s"
    )


def entry(number: int) -> Contents:
    """A run of one checkpoint; the facts differ, one in a thousand goes on."""
    run = f"run-{number:06d}"
    operation, modulus = OPERATIONS[number % 3], MODULI[number % 4]
    task = msgspec.structs.replace(TEMPLATE.manifest.task, operation=operation, modulus=modulus)
    group = f"group-{number % 1000}"
    manifest = msgspec.structs.replace(TEMPLATE.manifest, run=run, task=task, group=group)
    completion = msgspec.structs.replace(TEMPLATE.completion, run=run)
    ended = None if number % 1000 == 0 else stored(completion)
    latest = stored(manifest_of(run, CHECKPOINTS, np.random.default_rng(number)))
    there = {CHECKPOINTS: latest}
    return Contents(run=stored(manifest), completion=ended, checkpoints=there, problems=[])


async def put(settings: Settings, runs: int) -> None:
    """Index them, and hold the lock: object storage has none of them."""
    async with open_backends(settings) as backends:
        send = backends.catalogue.connection.send
        await send(("SET", LOCK, "benchmark", "EX", 3600))
        for start in range(0, runs, BATCH):
            commands = []
            for contents in map(entry, range(start, min(start + BATCH, runs))):
                seal, group = encode_seal(contents.seal), contents.run.record.group or ""
                ended = contents.completion.data if contents.completion else b""
                there = contents.checkpoints.items()
                manifests = [(b"%d" % step, c.data) for step, c in there if c]
                commands += [
                    scripts.begin(contents.name, b"", "benchmark", group, True),
                    scripts.batch(contents.name, "benchmark", manifests),
                    scripts.finish("benchmark", contents, group, seal, ended),
                ]
            await send(*commands)
        await backends.catalogue.initialise()


def lists(runs: int) -> None:
    """Print how long pages take over HTTP, each from another place."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=home)
        # Whoever leaves last stops the embedded Redis: the service is there before.
        with serving(settings, Path(home)) as served:
            asyncio.run(put(settings, runs))
            for query in QUERIES:
                paths = [f"/v1/runs?{query}&after=run-{n * 7919 % runs:06d}" for n in range(ROUNDS)]
                times = [seconds(served.client, path) * 1e3 for path in paths]
                median, worst = statistics.median(times), max(times)
                print(f"{query:55} median {median:6.1f} ms   max {worst:6.1f} ms")


def main() -> None:
    """Reindex, then list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--listed", type=int, default=100_000)
    arguments = parser.parse_args()
    if arguments.runs:
        asyncio.run(reindex(arguments.runs))
    if arguments.listed:
        lists(arguments.listed)


if __name__ == "__main__":
    main()
