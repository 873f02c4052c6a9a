"""`python -m benchmarks.capacity`: what a large deployment takes, from unit costs measured here.

`quickstart` and `mainline` are trained for 99 steps with a checkpoint at each: real records and
models, 100 checkpoints a run. `--runs N` copies of the records (300) are indexed in an empty Redis.
A service then answers; what a request costs is the CPU time of its process, which a busy machine
changes less than a rate. Then the tables of docs/capacity.md, computed from these figures.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
from obstore.store import LocalStore, MemoryStore, ObjectStore
from redis import Redis

from benchmarks.load import Load, get, post, send
from benchmarks.servers import BODY, ROOT, Server, how_quiet, service
from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import read_contents
from grokprobe.store.archive.objects import AT_ONCE
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue.reconciling.runs import Runs
from grokprobe.store.records import Record, encode_record
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from tests.support.redis_servers import redis_server
from tests.support.stores import CountingStore
from tests.support.tiny import digest_of

QUICKSTART, MAINLINE = PRESETS = ("quickstart", "mainline")
CHECKPOINTS = 100  # of a run
RUNS, RATE = 10_000, 10_000  # what the table is for: runs, and requests a second
BUSY = 0.7  # of a core; the rest is for bursts
DELAY_S = 0.02  # of a request to object storage
COLD = 100
NOT_LOADED = "a prediction, checkpoint not loaded"
CONNECTIONS, SECONDS = 16, 3.0
RUN, STEP = f"/v1/runs/{MAINLINE}", f"/v1/runs/{MAINLINE}/checkpoints/latest"
REQUESTS = {
    "predictions of one pair, POST": post(f"{STEP}/predictions", BODY),
    "predictions of one pair, GET": get(f"{STEP}/predictions?a=3&b=5"),
    "a checkpoint's facts": get(STEP),
    "its spectrum": get(f"{STEP}/spectrum"),
    "its embedding, npy": get(f"{STEP}/embedding?format=npy"),
    "its measures": get(f"{STEP}/measures"),
    "a run's trajectory": get(f"{RUN}/trajectory"),
    "a page of 100 runs": get("/v1/runs?limit=100"),
}


@dataclass(frozen=True)
class Sizes:
    """What a run is in object storage, bytes."""

    model: float  # of one checkpoint
    manifest: float
    others: float  # of the run
    state: float  # of one training state, while the run goes on
    objects: int

    @property
    def run(self) -> float:
        """The whole of it, once it has ended."""
        return CHECKPOINTS * (self.model + self.manifest) + self.others


def train(home: Path, preset: str) -> Sizes:
    """99 steps, a checkpoint at each."""
    changes = ("steps=99", "every=1", "log_spaced=0", "dense=[]")
    sections = ("training", *["checkpoints"] * 3)
    given = [f"{section}.{change}" for section, change in zip(sections, changes, strict=True)]
    words = ["--preset", preset, "--run", preset, *(w for g in given for w in ("--set", g))]
    command = [sys.executable, "-m", "trainer", "train", *words]
    environment = {**os.environ, "GROKPROBE_HOME": str(home)}
    folder, state = home / "store" / names.run_prefix(preset), 0
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:  # the states are gone when it ends
            state = max([state, *map(_size, folder.rglob("*.safetensors"))])
            time.sleep(0.1)
    assert process.returncode == 0
    size = {path: _size(path) for path in folder.rglob("*") if path.is_file()}
    models = sum(n for path, n in size.items() if path.name == "model.onnx")
    manifests = sum(n for path, n in size.items() if path.name == "manifest.json")
    rest = sum(size.values()) - models - manifests
    return Sizes(models / CHECKPOINTS, manifests / CHECKPOINTS, rest, state, len(size))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # it has just gone
        return 0


async def copy(source: Path, to: ObjectStore, run: str, runs: int, checkpoints: int) -> None:
    """The records of a run under other names, its first checkpoints alone."""
    contents = await read_contents(ArchiveReader(LocalStore(str(source / "store"))), run)
    kept = [found for found in contents.checkpoints.values() if found][:checkpoints]
    assert contents.completion
    for number in range(runs):
        name = f"{run}-{number:05d}"

        manifests = [msgspec.structs.replace(found.record, run=name) for found in kept]
        records: dict[str, Record] = {
            names.run_path(name): msgspec.structs.replace(contents.run.record, run=name),
            names.completion_path(name): msgspec.structs.replace(
                contents.completion.record, run=name, manifests_sha256=digest_of(manifests)
            ),
        }
        records |= {names.manifest_path(name, m.step): m for m in manifests}
        for path, record in records.items():
            to.put(path, encode_record(record))


@dataclass(frozen=True)
class Indexed:
    """What a run takes in the index: bytes; seconds of CPU, Redis' too, and requests to make it."""

    held: float
    seconds: float
    requests: float


async def index(home: Path, run: str, runs: int, checkpoints: int) -> Indexed:
    """Copies of a run in an empty Redis."""
    store = MemoryStore()
    await copy(home, store, run, runs, checkpoints)
    counting = CountingStore(store)
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as port:
        settings = Settings(home=folder, redis_url=f"redis://127.0.0.1:{port}")
        async with open_backends(settings) as backends:
            with Redis(port=port) as client:
                before, began = _used(client)
                report = await backends.catalogue.rebuild(counting.archive)
                after, ended = _used(client)
    assert (report.runs, report.checkpoints) == (runs, runs * checkpoints)
    return Indexed((after - before) / runs, (ended - began) / runs, len(counting.paths) / runs)


def _used(client: Redis) -> tuple[int, float]:
    """Bytes that Redis holds; the CPU time of it and of this process."""
    found = client.info()
    redis = found["used_cpu_user"] + found["used_cpu_sys"]
    return found["used_memory"], float(redis) + time.process_time()


async def requests_of(home: Path) -> dict[str, int]:
    """Requests to object storage, by what needs them."""
    async with open_backends(Settings(home=str(home))) as opened:
        store = CountingStore(LocalStore(str(home / "store")))
        backends = replace(opened, archive=store.archive)
        context = create_context(Settings(home=str(home)), backends, Runtime())
        transport = httpx.ASGITransport(create_app(context, None))  # type: ignore[arg-type]
        found: dict[str, int] = {}

        async def count(what: str, call: Any) -> None:
            before = len(store.paths)
            await call
            found[what] = len(store.paths) - before

        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            ask = client.get
            await count("a page of 100 runs", ask("/v1/runs?limit=100"))
            await count("the first prediction of a run", ask(f"{STEP}/predictions?a=1&b=2"))
            await count(NOT_LOADED, ask(f"{RUN}/checkpoints/50/predictions?a=1&b=2"))
            await count("the same, loaded", ask(f"{STEP}/predictions?a=1&b=2"))
            await count("a run's trajectory", ask(f"{RUN}/trajectory"))
        runs = Runs(backends.catalogue, store.archive, lambda _: None, lambda _: None)
        await count("a run that has ended, compared the first time", runs.prove(MAINLINE))
        await count("the same again, each hour", runs.prove(MAINLINE))
        await count("a run that goes on, every 2 s", runs.look(MAINLINE))
    return found


# -- the service -----------------------------------------------------------------------------------


def cpu_seconds(server: Server) -> float:
    """The CPU time of a process so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(server: Server, work: Callable[[], float]) -> float:
    """Seconds of the process' CPU for each of as many answers as `work` returns."""
    began = cpu_seconds(server)
    answers = work()
    return (cpu_seconds(server) - began) / answers


def under_load(server: Server, request: bytes) -> float:
    """The same request again and again; how many were answered."""
    load = Load(port=server.port, requests=[request], connections=CONNECTIONS, seconds=SECONDS)
    report = send(load)
    assert report.statuses.keys() == {"200"}, report.statuses
    return report.rate * report.seconds


def once(server: Server, paths: Iterable[str]) -> float:
    """Each path once; how many there were."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        return float(sum(client.get(path).raise_for_status().is_success for path in paths))


def loaded_bytes(server: Server) -> float:
    """What the checkpoints that are loaded count in their cache."""
    name = "grokprobe_session_cache_bytes "
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics").text
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


def serve(home: Path) -> tuple[dict[str, float], float]:
    """CPU seconds by request, and bytes of a loaded checkpoint."""
    costs: dict[str, float] = {}
    with service(home) as server:
        once(server, [f"{RUN}-00000"] * 50)  # what the first requests cost alone
        steps = [f"{RUN}/checkpoints/{step}/predictions?a=3&b=5" for step in range(CHECKPOINTS)]
        once(server, steps[-1:])
        one = loaded_bytes(server)
        costs[NOT_LOADED] = cost(server, lambda: once(server, steps[:-1]))
        costs["a prediction, one client"] = cost(server, lambda: once(server, steps[:-1]))
        others = [f"{RUN}-{number:05d}" for number in range(1, COLD)]
        costs["a run not asked for lately"] = cost(server, lambda: once(server, others))
        for name, request in REQUESTS.items():
            under_load(server, request)  # the first time it may compute
            costs[name] = cost(server, lambda request=request: under_load(server, request))  # type: ignore[misc]
    return costs, one


# -- what follows ----------------------------------------------------------------------------------


def main() -> None:
    """Measure, print, compute."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    runs = parser.parse_args().runs
    print(how_quiet())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        sizes = {preset: train(home, preset) for preset in PRESETS}
        small = {p: asyncio.run(index(home, p, runs, 1)) for p in PRESETS}
        whole = {p: asyncio.run(index(home, p, runs, CHECKPOINTS)) for p in PRESETS}
        asked = asyncio.run(requests_of(home))
        asyncio.run(copy(home, LocalStore(str(home / "store")), MAINLINE, COLD, CHECKPOINTS))
        costs, loaded = serve(home)
    each = {p: (whole[p].held - small[p].held) / (CHECKPOINTS - 1) for p in PRESETS}
    rows(
        "unit costs",
        {
            "a model": [f"{s.model / 1e3:,.0f} kB" for s in sizes.values()],
            "a manifest": [f"{s.manifest / 1e3:.1f} kB" for s in sizes.values()],
            "the rest of a run": [f"{s.others / 1e3:,.0f} kB" for s in sizes.values()],
            "objects of a run": [f"{s.objects}" for s in sizes.values()],
            "a training state": [f"{s.state / 1e6:.1f} MB" for s in sizes.values()],
            "Redis, a checkpoint": [f"{n / 1e3:.2f} kB" for n in each.values()],
            "Redis, a run beside them": [
                f"{(small[p].held - each[p]) / 1e3:.1f} kB" for p in PRESETS
            ],
            "reindex of a run, CPU": [f"{w.seconds * 1e3:.0f} ms" for w in whole.values()],
            "reindex of a run, requests": [f"{w.requests:.0f}" for w in whole.values()],
        },
    )
    rows("requests to object storage", {what: [f"{n}"] for what, n in asked.items()})
    rows("CPU of the service", {what: [f"{n * 1e6:,.0f} us"] for what, n in costs.items()})
    print(f"a loaded checkpoint counts {loaded / 1e6:.2f} MB\n")
    waiting = {p: whole[p].requests * DELAY_S / AT_ONCE for p in PRESETS}
    rows(f"{RUNS * CHECKPOINTS:,} checkpoints in {RUNS:,} runs", {
        "bucket": [f"{s.run * RUNS / 1e9:,.0f} GB" for s in sizes.values()],
        "objects": [f"{s.objects * RUNS / 1e6:.2f} million" for s in sizes.values()],
        "Redis": [f"{w.held * RUNS / 1e9:.2f} GB" for w in whole.values()],
        "reindex": [
            f"{max(waiting[p], whole[p].seconds) * RUNS / 60:.0f} min" for p in PRESETS
        ],
        "loaded at once in 1 GiB": [f"{2**30 / loaded:,.0f}"],
    })  # fmt: skip
    rows(f"{RATE:,} requests/s", {
        what: [f"{n * RATE / BUSY:,.1f} cores"] for what, n in costs.items()
    })  # fmt: skip
    print(
        f"storage, all of checkpoints that are not loaded: {asked[NOT_LOADED] * RATE:,} requests/s"
    )


def rows(title: str, table: dict[str, list[str]]) -> None:
    """A table of Markdown."""
    print(f"| {title} | {' | '.join(PRESETS[: len(next(iter(table.values())))])} |")
    print("\n".join(f"| {name} | {' | '.join(cells)} |" for name, cells in table.items()) + "\n")


if __name__ == "__main__":
    main()
