"""The memory of requests: reserved before any work, waited for in turn, refused by name."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from service.app import create_app, create_context
from service.context import Context
from service.errors import MemoryBusy, NeverFits
from service.inference.batching import INLINE_PAIRS
from service.inference.memory import Memory
from service.inference.runtime import Runtime
from service.telemetry.metrics import Metrics
from tests.support.tiny import tiny_run

LARGE = [
    "measures?keys=1",
    "measures?keys=own&key_rule=logits&key_threshold=0.2",
    "spectrum?of=logits",
    "http://test/v1/runs/tiny/coordinates",
    "http://test/v1/compare?a=tiny/0&b=tiny/10",
    "http://test/v1/runs/tiny/drift",
    "http://test/v1/runs/tiny/updates",
    "http://test/v1/runs/tiny/path",
    "http://test/v1/runs/tiny/grids",
    "http://test/v1/runs/tiny/grids?of=correct&format=npy",
    "http://test/v1/runs/tiny/pairs",
    "interventions",
]
REMOVED = {"of": "logits", "remove": [1]}


def taken(metrics: Metrics) -> float | None:
    """What is reserved."""
    return metrics.registry.get_sample_value("grokprobe_request_memory_bytes")


def test_what_is_reserved_is_given_back() -> None:
    """After success and after an error; more than all of it is never there, and said so."""
    metrics = Metrics()
    memory = Memory(metrics, 100)

    async def act() -> None:
        async with memory.reserve(60, "a"), memory.reserve(40, "b"):
            assert taken(metrics) == 100
            assert not memory.try_more(1)
        with pytest.raises(KeyError):
            async with memory.reserve(100, "c"):
                raise KeyError
        assert taken(metrics) == 0
        with pytest.raises(NeverFits, match=r"^d takes up to 0 MiB .*REQUEST_MEMORY_BYTES"):
            async with memory.reserve(101, "d"):
                pass

    asyncio.run(act())
    assert metrics.registry.get_sample_value("grokprobe_refusals_total", {"reason": "memory"}) == 1


def test_who_waits_is_let_in_by_turn() -> None:
    """A small one does not overtake a large one that waits; all are served in the end."""

    async def act() -> list[str]:
        memory, order = Memory(Metrics(), 100), list[str]()

        async def ask(name: str, need: int) -> None:
            async with memory.reserve(need, name):
                order.append(name)
                await asyncio.sleep(0)

        async with memory.reserve(60, "first"):
            asking = [asyncio.create_task(ask(*one)) for one in (("large", 90), ("small", 10))]
            await asyncio.sleep(0)
            assert not memory.try_more(1)
        await asyncio.gather(*asking)
        return order

    assert asyncio.run(act()) == ["large", "small"]


def test_waiting_ends() -> None:
    """After the bound, or when the one who waits goes: nothing stays reserved, the next gets in."""
    metrics = Metrics()

    async def act() -> None:
        memory = Memory(metrics, 100, wait_s=0.0)
        async with memory.reserve(60, "first"):
            with pytest.raises(MemoryBusy, match="which others hold") as caught:
                async with memory.reserve(90, "second"):
                    pass
            assert caught.value.retry_after_s >= 1
            patient = Memory(metrics, 100, wait_s=600.0)
            async with patient.reserve(60, "first"):
                gone = asyncio.create_task(patient._take(90, "gone"))
                behind = asyncio.create_task(patient._take(40, "behind"))
                await asyncio.sleep(0)
                gone.cancel()
                await behind
        assert memory.try_more(100)

    asyncio.run(act())


def in_process(
    settings: Settings, act: Callable[[Context, httpx.AsyncClient], Awaitable[None]]
) -> None:
    """Let `act` ask the application over a published run."""

    async def run() -> None:
        async with open_backends(settings) as backends:
            await tiny_run().publish(backends)
            context = create_context(settings, backends, Runtime())
            transport = httpx.ASGITransport(create_app(context, None))  # type: ignore[arg-type]
            base = "http://test/v1/runs/tiny/checkpoints/latest/"
            async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                await act(context, client)

    asyncio.run(run())


async def ask(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The answer to a path; interventions have a body."""
    if path == "interventions":
        return await client.post(path, json=REMOVED)
    return await client.get(path)


@pytest.mark.parametrize("path", LARGE)
def test_what_never_fits_is_refused_by_name(tmp_path: Path, path: str) -> None:
    """422 with the setting's name where an analysis takes more than there is; others answer."""

    async def act(_: Context, client: httpx.AsyncClient) -> None:
        answer = await ask(client, path)
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (422, "urn:grokprobe:never-fits")
        assert "GROKPROBE_REQUEST_MEMORY_BYTES" in problem["detail"]
        assert (await client.get("predictions?a=1&b=2")).status_code == 200

    in_process(Settings(home=str(tmp_path), request_memory_bytes=1), act)


def test_a_large_inference_answer_is_reserved(tmp_path: Path) -> None:
    """By the inference protocol too, in whichever form; what a permit covers is answered."""
    pairs = {"name": "pairs", "datatype": "INT64"}

    async def act(context: Context, client: httpx.AsyncClient) -> None:
        async def infer(count: int, **parameters: object) -> httpx.Response:
            given = pairs | {"shape": [count, 2], "data": [1] * (2 * count)}
            wanted = {"name": "logits", "parameters": parameters}
            body = {"inputs": [given], "outputs": [wanted]}
            return await client.post("http://test/v2/models/tiny/infer", json=body)

        for form in ({}, {"binary_data": True}, {"classification": 2}):
            refused = await infer(INLINE_PAIRS + 1, **form)
            assert refused.status_code == 422
            assert "logits of 257 pairs takes up to" in refused.json()["error"]
            assert (await infer(INLINE_PAIRS, **form)).status_code == 200
        assert taken(context.metrics) == 0

    in_process(Settings(home=str(tmp_path), request_memory_bytes=1), act)


@pytest.mark.parametrize("path", LARGE)
def test_what_does_not_fit_now_is_told_to_come_back(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After while others hold the memory; 200 as soon as they do not."""

    async def act(context: Context, client: httpx.AsyncClient) -> None:
        memory = context.inference.memory
        monkeypatch.setattr(memory, "_wait_s", 0.0)
        async with memory.reserve(context.settings.request_memory_bytes, "all of it"):
            answer = await ask(client, path)
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (503, "urn:grokprobe:memory-busy")
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await ask(client, path)).status_code == 200
        assert taken(context.metrics) == 0

    in_process(Settings(home=str(tmp_path)), act)
