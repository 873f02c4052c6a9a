"""Redis comes back, without a human: empty, with an old dump, and what is wrong with it is told."""

import asyncio
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.catalogue import keys as index
from tests.support.redis_servers import redis_server
from tests.support.served import Served, eventually, serving
from tests.support.tiny import TinyRun, tiny_run

ENDED, DELETED = tiny_run("ended"), tiny_run("deleted", steps=(0,))
GOES_ON, LATE = tiny_run("goes-on", steps=(0, 10, 20)), tiny_run("late", steps=(0,))
ANSWERS = [
    "/v1/runs",
    "/v1/runs?status=running",
    "/v1/runs?modulus=7&status=complete",
    *(f"/v1/runs/{run}" for run in ("ended", "goes-on", "late", "deleted")),
    "/v1/runs/goes-on/checkpoints",
    "/v1/runs/goes-on/checkpoints/20",
]


async def publish(to: Backends, run: TinyRun, steps: int | None = None) -> None:
    """A run, or its first steps if it goes on; may be repeated. Nothing is indexed."""
    if run.name not in await to.archive.runs():
        await to.publisher.publish_run(run.manifest, run.train_mask)
    for manifest, model in run.checkpoints[:steps]:
        await to.publisher.publish_checkpoint(manifest, model)
    if steps is None:
        await to.publisher.publish_completion(run.completion)


def stored(settings: Settings, before: bool) -> None:
    """What lies in object storage: before Redis goes, and what is published while it is away."""

    async def write() -> None:
        async with open_backends(settings) as opened:
            if before:
                await publish(opened, ENDED)
                await publish(opened, DELETED)
                await publish(opened, GOES_ON, 2)
            else:
                await publish(opened, GOES_ON)
                await publish(opened, LATE)
                await opened.publisher.mark_deleted("deleted")

    asyncio.run(write())


def answers(served: Served) -> dict[str, Any]:
    """Status and body of each."""
    found = {path: served.client.get(path) for path in ANSWERS}
    return {
        path: (answer.status_code, answer.json() if answer.status_code == 200 else None)
        for path, answer in found.items()
    }


def gauge(served: Served, name: str) -> float:
    """The value of a metric of the index."""
    [value] = re.findall(rf"^{re.escape(name)} (\S+)$", served.client.get("/metrics").text, re.M)
    return float(value)


def recovered(served: Served) -> bool:
    """Whether the index is whole and nothing is behind; asked until it is so."""

    def whole() -> bool:
        ready = served.client.get("/readyz").json()
        behind = ready["dependencies"]["reconciler"].get("runs_behind")
        return bool(ready["status"] == "ready" and behind == 0)

    return eventually(whole) and gauge(served, "grokprobe_index_whole") == 1


def proven(settings: Settings) -> dict[str, list[int]]:
    """The steps of each run by the index, which proves them."""

    async def read() -> dict[str, list[int]]:
        async with open_backends(settings) as opened:
            runs = await opened.catalogue.runs()
            return {run: [*(await opened.catalogue.contents(run)).checkpoints] for run in runs}

    return asyncio.run(read())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for object storage and for the server's own."""
    (tmp_path / "redis").mkdir()
    return tmp_path


@pytest.mark.parametrize("comes_back", ["flushed", "empty", "with an old dump"])
def test_redis_comes_back_and_the_index_is_right_by_itself(home: Path, comes_back: str) -> None:
    """Whatever was published or deleted meanwhile; nobody runs a command."""
    folder = home / "redis"
    with ExitStack() as first:
        port = first.enter_context(redis_server(folder))
        settings = Settings(home=str(home), redis_url=f"redis://127.0.0.1:{port}")
        stored(settings, before=True)
        with serving(settings, home) as served:
            assert recovered(served)
            assert answers(served)["/v1/runs/deleted"][0] == 200
            with Redis(port=port) as admin:
                assert admin.save()
                if comes_back == "empty":
                    (folder / "dump.rdb").unlink()
                if comes_back == "flushed":
                    stored(settings, before=False)
                    admin.flushall()
            if comes_back == "flushed":
                return check(served, settings)
            first.close()
            stored(settings, before=False)
            with redis_server(folder, port=port):
                return check(served, settings)


def check(served: Served, settings: Settings) -> None:
    """The index holds what object storage does, and the service answers by it."""
    expected = {"ended": [0, 10, 200], "goes-on": [0, 10, 20], "late": [0]}

    def right() -> bool:
        return recovered(served) and proven(settings) == expected

    assert eventually(right)
    found = answers(served)
    assert [row["run"] for row in found["/v1/runs"][1]["runs"]] == list(expected)
    assert found["/v1/runs?status=running"][1]["runs"] == []
    assert len(found["/v1/runs?modulus=7&status=complete"][1]["runs"]) == 3
    assert found["/v1/runs/deleted"][0] == 404
    assert found["/v1/runs/goes-on/checkpoints/20"][0] == 200
    assert gauge(served, "grokprobe_index_lock_held") == 1


POLICY, MEMORY = ("CONFIG", "SET", "maxmemory-policy"), ("CONFIG", "SET", "maxmemory")
FAULTS = {
    "evicting": (
        "maxmemory-policy is allkeys-lru",
        (*POLICY, "allkeys-lru"),
        (*POLICY, "noeviction"),
    ),
    "full": ("it is full", (*MEMORY, "1"), (*MEMORY, "0")),
    "replica": (
        "it is a replica",
        ("REPLICAOF", "127.0.0.1", "1"),
        ("REPLICAOF", "NO", "ONE"),
    ),
}


def told(served: Served, fault: str, words: str) -> bool:
    """Whether readiness and the metric name a fault of Redis; asked until they do."""

    def found() -> bool:
        part = served.client.get("/readyz").json()["dependencies"]["catalogue"]
        metric = gauge(served, f'grokprobe_redis_fault{{fault="{fault}"}}')
        return words in part.get("detail", "") and metric == 1

    return eventually(found)


def test_what_is_wrong_with_redis_is_named(home: Path) -> None:
    """Evicting, full, a replica: degraded with what to do; well again when that was done."""
    with redis_server(home / "redis") as port, Redis(port=port) as admin:
        settings = Settings(home=str(home), redis_url=f"redis://127.0.0.1:{port}")
        stored(settings, before=True)
        with serving(settings, home) as served:
            assert recovered(served)
            for fault, (words, change, undo) in FAULTS.items():
                send: Any = admin.execute_command
                send(*change)
                assert told(served, fault, words), fault
                assert served.client.get("/readyz").json()["status"] == "degraded"
                assert served.client.get("/v1/runs/ended").status_code == 200
                send(*undo)
                assert recovered(served)
            assert admin.exists(index.LOCK)
