"""A Redis that fails while a run is published: nothing is lost, nothing answered is unseen."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from service.runs import views
from tests.support.redis_servers import redis_server
from tests.support.served import PATIENCE_S
from tests.support.stores import with_loop
from tests.support.tiny import tiny_run
from trainer.publishing.description import Described
from trainer.publishing.publication import Publication
from trainer.reporting.progress import JsonReporter

BASE = "/v1/runs/tiny"
RUN = tiny_run(steps=range(0, 180, 10))
LAST = RUN.checkpoints[-1][0].step
WHOLE = ("complete", len(RUN.checkpoints), LAST, LAST)
Fault = Callable[[Redis], object]


def silent(redis: Redis) -> None:
    """It is there and answers nothing."""
    os.kill(redis.info("server")["process_id"], signal.SIGSTOP)


FAULTS: dict[str, Fault] = {
    "silent": silent,
    "full": lambda redis: redis.config_set("maxmemory", 1),
    "read-only": lambda redis: redis.replicaof("127.0.0.1", "1"),
    "emptied": lambda redis: redis.flushall(),
    "has lost an entry": lambda redis: redis.delete("grokprobe:{run:tiny}:checkpoints"),
}


@asynccontextmanager
async def replica(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Backends]]:
    """A service with connections of its own."""
    async with open_backends(settings) as backends:
        app: Any = create_app(create_context(settings, backends, Runtime()), None)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client, backends


async def shown(client: httpx.AsyncClient) -> tuple[str, int, int, int]:
    """How a service shows the run, by itself and in the list."""
    run = (await client.get(BASE)).json()
    [row] = (await client.get("/v1/runs")).json()["runs"]
    if (row["status"], row["latest_step"]) != (run["status"], run["latest_step"]):
        return row["status"], row["checkpoint_count"], row["latest_step"], -1
    latest = (await client.get(f"{BASE}/checkpoints/latest")).json()["step"]
    return run["status"], run["checkpoint_count"], run["latest_step"], latest


async def has_all(client: httpx.AsyncClient, answered: dict[int, Any]) -> None:
    """Every step that was answered is, as it was; the run is whole, in a list after FRESH_S."""
    for step, before in answered.items():
        answer = await client.get(f"{BASE}/checkpoints/{step}")
        assert (answer.status_code, answer.json()) == (200, before)
    async with asyncio.timeout(PATIENCE_S):
        while await shown(client) != WHOLE:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("fault", FAULTS)
@with_loop
async def test_redis_fails_while_a_run_is_published(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the middle to the end of training, then it is back: a service that knew the run and one
    that starts answer every step, and the end.
    """
    monkeypatch.setattr(views, "STALENESS_S", 0.0)
    with redis_server(tmp_path) as port, Redis(port=port) as redis:
        process = redis.info("server")["process_id"]
        settings = Settings(home=str(tmp_path), redis_url=f"redis://127.0.0.1:{port}")
        answered: dict[int, Any] = {}
        async with open_backends(settings) as backends, replica(settings) as (knows, _):
            publication = Publication(backends, RUN.manifest, None, JsonReporter())  # type: ignore[arg-type]
            await backends.publisher.publish_run(RUN.manifest, RUN.train_mask)
            await publication.begin()
            for manifest, model in RUN.checkpoints:
                await publication.put(Described(manifest, model, None))
                answer = await knows.get(f"{BASE}/checkpoints/{manifest.step}")
                assert answer.status_code == 200
                answered[manifest.step] = answer.json()
                if manifest.step == 80:
                    FAULTS[fault](redis)
            await backends.publisher.publish_completion(RUN.completion)
            await publication.reconcile()
            assert publication.index_is_behind == (fault in ("silent", "full", "read-only"))
            await has_all(knows, answered)
            os.kill(process, signal.SIGCONT)
            await asyncio.to_thread(redis.config_set, "maxmemory", 0)
            await asyncio.to_thread(redis.replicaof, "NO", "ONE")
            await has_all(knows, answered)
            async with replica(settings) as (starts, _):
                await has_all(starts, answered)
                await backends.catalogue.rebuild(backends.archive)
                assert (await backends.catalogue.contents("tiny")).completion is not None
                for client in (knows, starts):
                    await has_all(client, answered)
