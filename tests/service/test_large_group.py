"""A group of a thousand runs of a hundred checkpoints: answered, and the service lives on."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec

from grokprobe.settings import Settings
from grokprobe.store.archive.contents import Contents
from grokprobe.store.archive.reader import Stored
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue.keys import LOCK
from grokprobe.store.records import CheckpointManifest
from tests.support.served import PATIENCE_S, peak_bytes, serving
from tests.support.tiny import stored, tiny_run
from tests.support.trained import settings_at

RUNS, CHECKPOINTS = 1000, 100
PATH = "/v1/groups/large/emergence"
BASE = tiny_run(modulus=113, steps=(0, 100), group="large")


def contents(number: int) -> Contents:
    """One run, of whose files nothing is ever asked."""
    run = f"r{number:04d}"
    found: dict[int, Stored[CheckpointManifest] | None] = {}
    for step in range(CHECKPOINTS):
        reached = float(step > 20 + number % 70)
        measures = {"train_accuracy": 1.0, "test_accuracy": reached}
        filler = {f"measure_{i}": step / 7 + i for i in range(30)}
        manifest = msgspec.structs.replace(
            BASE.checkpoints[0][0], run=run, step=step, measures={**measures, **filler}
        )
        found[step] = stored(manifest)
    return Contents(
        run=stored(msgspec.structs.replace(BASE.manifest, run=run, config={"seed": number})),
        completion=stored(msgspec.structs.replace(BASE.completion, run=run)),
        checkpoints=found,
        problems=[],
    )


def sent_by_redis(settings: Settings) -> int:
    """Bytes, since it was started."""

    async def ask() -> int:
        async with open_backends(settings) as backends:
            [found] = await backends.catalogue.connection.send(("INFO", "stats"))
            return int(found["total_net_output_bytes"])

    return asyncio.run(ask())


def test_a_large_group(tmp_path: Path) -> None:
    """Read in less than 100 MB while others are answered; asked again, from what is kept."""
    settings = settings_at(tmp_path)

    async def fill() -> None:
        async with open_backends(settings) as backends:
            for number in range(RUNS):
                await backends.catalogue.put_run(contents(number))
            # What is not in object storage would be removed by whoever has the lock.
            await backends.catalogue.connection.send(("SET", LOCK, "of another"))

    asyncio.run(fill())
    with serving(settings, tmp_path) as served, ThreadPoolExecutor(1) as other:
        served.client.get("/v1/runs/r0000/emergence")
        before, sent = peak_bytes(served), [sent_by_redis(settings)]
        asked, answered = other.submit(httpx.get, f"{served.url}{PATH}", timeout=PATIENCE_S), 0
        while not asked.done():
            assert served.client.get("/livez").status_code == 200
            answered += 1
        found = asked.result().json()
        assert peak_bytes(served) - before < 100e6
        assert answered >= 20
        assert found["distribution"]["generalised"]["members"] == len(found["members"]) == RUNS
        sent.append(sent_by_redis(settings))
        assert served.client.get(PATH).json() == found
        sent.append(sent_by_redis(settings))
        assert sent[2] - sent[1] < (sent[1] - sent[0]) / 10
