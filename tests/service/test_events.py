"""Live events over HTTP: what a listener is told, what it missed, how its stream ends."""

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.catalogue.events import checkpoint_event
from tests.service.test_api_errors import check_problem
from tests.support.served import PATIENCE_S, Served, eventually, serving
from tests.support.tiny import tiny_run

TINY = tiny_run()
MANIFESTS = [manifest for manifest, _ in TINY.checkpoints]
MEASURES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
PATH = "/v1/runs/tiny/events"

Told = tuple[str, str, dict[str, Any]]  # event, id, data


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service over the run `tiny`, which has only begun."""
    with serving(settings(tmp_path), tmp_path) as found:
        change(tmp_path, begin)
        yield found


def settings(folder: Path) -> Settings:
    """Those of the service and of who publishes beside it."""
    return Settings(home=str(folder / "home"), log_format="json")


def change(folder: Path, work: Callable[[Backends], Coroutine[Any, Any, None]]) -> None:
    """Do something to what is published, as another program would."""

    async def run() -> None:
        async with open_backends(settings(folder)) as backends:
            await work(backends)

    asyncio.run(run())


async def begin(backends: Backends) -> None:
    """Publish the run, without checkpoints."""
    await backends.publisher.publish_run(TINY.manifest, TINY.train_mask)
    await backends.catalogue.reconcile(backends.archive, TINY.name)


def publish(number: int) -> Callable[[Backends], Coroutine[Any, Any, None]]:
    """Publish a checkpoint, as a trainer does."""

    async def work(backends: Backends) -> None:
        await backends.publisher.publish_checkpoint(*TINY.checkpoints[number])
        await backends.catalogue.add_checkpoint(MANIFESTS[number])

    return work


async def complete(backends: Backends) -> None:
    """End the run."""
    await backends.publisher.publish_completion(TINY.completion)
    await backends.catalogue.reconcile(backends.archive, "tiny")


async def delete(backends: Backends) -> None:
    """Delete the run, as `python -m grokprobe delete` does."""
    await backends.publisher.mark_deleted("tiny")
    await backends.catalogue.remove_run("tiny")


def parse(lines: Iterator[str]) -> Iterator[Told]:
    """The events of a stream, by the rules of EventSource."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield fields["event"], fields["id"], json.loads(fields.pop("data"))


@contextmanager
def listening(served: Served, since: str | None = None) -> Iterator[Iterator[Told]]:
    """The events of the run, as they come."""
    headers = {"Last-Event-ID": since} if since else {}
    with served.client.stream("GET", PATH, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert answer.status_code == 200
        yield parse(lines)


def test_a_checkpoint_is_told_and_there_for_all(served: Served, tmp_path: Path) -> None:
    """The event holds losses and accuracies; whoever then asks for the checkpoint finds it."""
    with listening(served) as events:
        for number, manifest in enumerate(MANIFESTS):
            assert served.client.get("/v1/runs/tiny").json()["checkpoint_count"] == number
            change(tmp_path, publish(number))
            kind, _, data = next(events)
            assert served.client.get(f"/v1/runs/tiny/checkpoints/{manifest.step}").is_success
            names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
            measures = {name: manifest.measures[name] for name in names}
            assert (kind, data) == (
                "checkpoint",
                {"run": "tiny", "step": manifest.step, **measures},
            )
        change(tmp_path, complete)
        end = {"run": "tiny", "step": 200, "status": "complete"}
        assert list(events) == [("complete", "complete", end)]


def test_who_comes_back_is_told_what_it_missed(served: Served, tmp_path: Path) -> None:
    """From its Last-Event-ID on, also by another process; an unknown one gets a `reset`."""
    with listening(served) as events:
        change(tmp_path, publish(0))
        _, since, _ = next(events)
    change(tmp_path, publish(1))
    with serving(settings(tmp_path), tmp_path) as other:
        for each in (served, other):
            with listening(each, since) as events:
                kind, newest, data = next(events)
                assert (kind, data["step"]) == ("checkpoint", 10)
            with listening(each, "5-5") as events:
                assert next(events) == ("reset", newest, {"run": "tiny"})


def test_a_run_that_has_ended(served: Served, tmp_path: Path) -> None:
    """Its end is told at once, with what was missed before it; then 204 stops an EventSource."""
    with listening(served) as events:
        for number in range(3):
            change(tmp_path, publish(number))
        _, since, _ = next(events)
    change(tmp_path, complete)
    with listening(served) as events:
        assert [kind for kind, _, _ in events] == ["complete"]
    with listening(served, since) as events:
        assert [data["step"] for _, _, data in events] == [10, 200, 200]
    with listening(served, "5-5") as events:
        assert [kind for kind, _, _ in events] == ["reset", "complete"]
    answer = served.client.get(PATH, headers={"Last-Event-ID": "complete"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_run_that_is_deleted(served: Served, tmp_path: Path) -> None:
    """Its stream ends, and who comes back finds nothing: 404 stops an EventSource."""
    with listening(served) as events:
        change(tmp_path, delete)
        assert [(kind, data) for kind, _, data in events] == [("deleted", {"run": "tiny"})]
    check_problem(served.client.get(PATH), 404, "tiny")


def kill_redis(folder: Path) -> None:
    """As a crash of its machine would; the next user of HOME starts it again."""
    pid = int((folder / "home/redis/redis.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_redis_away_for_a_while(served: Served, tmp_path: Path) -> None:
    """Listeners stay, the API sees what is published, and what was missed is told afterwards."""
    with listening(served) as events:
        change(tmp_path, publish(0))
        assert next(events)[2]["step"] == 0
        kill_redis(tmp_path)
        store = settings(tmp_path).home_path / "store"
        asyncio.run(_publish_without_redis(store, 1))
        run = "/v1/runs/tiny"
        assert eventually(lambda: served.client.get(run).json()["latest_step"] == 10)
        change(tmp_path, publish(1))
        assert next(events)[2]["step"] == 10
    assert served.log.read_text().count("live events wait") == 1


async def _publish_without_redis(store: Path, number: int) -> None:
    async with open_backends(Settings(store_url=f"file://{store}", redis_url="redis://x")) as found:
        await found.publisher.publish_checkpoint(*TINY.checkpoints[number])


def test_redis_emptied(served: Served, tmp_path: Path) -> None:
    """What was missed cannot be known: `reset`, then what is there, and the stream goes on."""
    with listening(served) as events:
        change(tmp_path, publish(0))
        assert next(events)[0] == "checkpoint"
        kill_redis(tmp_path)
        for path in (tmp_path / "home/redis").glob("appendonly*"):  # a newer one has a folder
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        change(tmp_path, publish(1))
        assert next(events)[0] == "reset"
        change(tmp_path, publish(2))
        assert [next(events)[2]["step"] for _ in range(2)] == [10, 200]


def metric(served: Served, name: str) -> float:
    """The value of one metric without labels."""
    lines = served.client.get("/metrics").text.splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


def leave(served: Served) -> None:
    """Wait until nobody listens any more."""
    assert eventually(lambda: metric(served, "grokprobe_event_listeners") == 0)


def test_a_listener_that_does_not_keep_up(served: Served, tmp_path: Path) -> None:
    """It is dropped and counted, and goes on where it was; the others are told everything."""

    async def flood(backends: Backends) -> None:
        for start in range(0, 20_000, 200):
            steps = range(start, start + 200)
            manifests = (msgspec.structs.replace(MANIFESTS[0], step=step) for step in steps)
            await backends.catalogue.connection.send(*map(checkpoint_event, manifests))
            await asyncio.sleep(0.01)

    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with slow, ThreadPoolExecutor(1) as pool, listening(served) as events:
        slow.connect(("127.0.0.1", served.client.base_url.port))
        request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        slow.sendall(request.encode())
        assert eventually(lambda: metric(served, "grokprobe_event_listeners") == 2)
        pool.submit(change, tmp_path, flood)
        assert [next(events)[2]["step"] for _ in range(20_000)] == list(range(20_000))
        assert metric(served, "grokprobe_event_listeners_dropped_total") == 1
        received = b"".join(iter(lambda: slow.recv(2**20), b""))
    assert received.endswith(b"\r\n0\r\n\r\n")
    since = received.rpartition(b"id: ")[2].split()[0].decode()
    with listening(served, since) as events:
        assert next(events)[2]["step"] == received.count(b"event: checkpoint")


def test_too_many_listeners(tmp_path: Path) -> None:
    """429 with Retry-After, counted; who leaves makes room."""
    with serving(settings(tmp_path), tmp_path, GROKPROBE_MAX_LISTENERS="1") as served:
        change(tmp_path, begin)
        with listening(served):
            answer = served.client.get(PATH)
            check_problem(answer, 429, "GROKPROBE_MAX_LISTENERS")
            assert int(answer.headers["retry-after"]) >= 1
        assert (
            'grokprobe_refusals_total{reason="listeners"} 1.0' in served.client.get("/metrics").text
        )
        leave(served)
        with listening(served):
            pass


def test_head_does_not_wait(served: Served) -> None:
    """HEAD has the headers of the stream, and an end."""
    answer = served.client.head(PATH)
    assert answer.headers["content-type"] == "text/event-stream"
    leave(served)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_streams(served: Served, signum: signal.Signals) -> None:
    """With the end of the answer, before uvicorn cuts what is open; exit code 0."""
    with listening(served) as events:
        served.process.send_signal(signum)
        assert list(events) == []
        assert served.process.wait(PATIENCE_S) == 0
    assert '"level":"error"' not in served.log.read_text()


def test_many_listeners_one_connection(served: Served, tmp_path: Path) -> None:
    """Three hundred are told, through one connection to Redis."""

    async def run() -> None:
        limits = httpx.Limits(max_connections=None)
        async with (
            open_backends(settings(tmp_path)) as backends,
            httpx.AsyncClient(base_url=served.url, limits=limits, timeout=PATIENCE_S) as client,
            asyncio.TaskGroup() as group,
        ):
            listeners = [group.create_task(_is_told(client)) for _ in range(300)]
            while metric(served, "grokprobe_event_listeners") < 300:
                await asyncio.sleep(0.05)
            [connections] = await backends.catalogue.connection.send(("CLIENT LIST",))
            commands = [connection["cmd"] for connection in connections]
            assert commands.count("xread") == 1
            await publish(0)(backends)
            assert all(await asyncio.gather(*listeners))

    asyncio.run(run())


async def _is_told(client: httpx.AsyncClient) -> bool:
    """Whether a listener is told of a checkpoint before its stream ends."""
    async with client.stream("GET", PATH) as answer:
        async for line in answer.aiter_lines():
            if line == "event: checkpoint":
                return True
    return False
