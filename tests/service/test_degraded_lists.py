"""Lists without an index: what they cost, and that one bad object hides nothing else."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from obstore.store import MemoryStore

from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import open_backends
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from tests.support.stores import CountingStore, with_loop
from tests.support.tiny import tiny_run

RUNS = 60
NAMES = [f"run-{number:03d}" for number in range(RUNS)]


async def fill(archive: ArchiveReader) -> None:
    """Sixty runs: every third of modulus 5, every tenth deleted, the last two names half made."""
    for number, name in enumerate(NAMES):
        run = tiny_run(name, modulus=7 if number % 3 else 5, steps=(0, 10))
        await run.publish(archive)
        if number % 10 == 9:
            await archive.objects.create(names.tombstone_path(name), b"{}")
    for name in ("zz-1", "zz-2"):
        await archive.objects.create(names.split_path(name), b"")


def listed(number: int) -> bool:
    """Whether a run is published: those with a tombstone are not."""
    return number % 10 != 9


@asynccontextmanager
async def degraded(
    folder: Path, closed_port: int
) -> AsyncIterator[tuple[httpx.AsyncClient, CountingStore]]:
    """A service over those runs whose Redis refuses, and what its store is asked."""
    settings = Settings(home=str(folder), redis_url=f"redis://127.0.0.1:{closed_port}")
    store = MemoryStore()
    await fill(ArchiveReader(store))
    counting = CountingStore(store)
    async with open_backends(settings) as opened:
        backends = replace(opened, archive=counting.archive)
        app: Any = create_app(create_context(settings, backends, Runtime()), None)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client, counting


async def pages(
    client: httpx.AsyncClient, store: CountingStore, query: str
) -> list[tuple[list[str], int, int]]:
    """Of each page to the last: the runs, the requests that it cost, the runs that were read."""
    found = list[tuple[list[str], int, int]]()
    after: str | None = ""
    while after is not None:
        store.paths.clear()
        answer = await client.get(f"/v1/runs?{query}&after={after}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        read = {
            path for path in store.paths if path.startswith("runs/run-") and path.count("/") == 1
        }
        found.append(([row["run"] for row in body["runs"]], len(store.paths), len(read)))
        after = body["next"]
    return found


@pytest.mark.parametrize("limit", [1, 5, 7, 60, 100])
def test_a_degraded_list_costs_four_requests_a_row(
    tmp_path: Path, closed_port: int, limit: int
) -> None:
    """And one for the names; all runs come, in order, each once."""

    @with_loop
    async def check() -> None:
        async with degraded(tmp_path, closed_port) as (client, store):
            found = await pages(client, store, f"limit={limit}")
        assert max(requests for _, requests, _ in found) <= 1 + 4 * limit
        assert max(len(runs) for runs, _, _ in found) <= limit
        expected = [name for number, name in enumerate(NAMES) if listed(number)]
        assert [run for runs, _, _ in found for run in runs] == expected

    check()


QUERIES: dict[str, Callable[[int], object]] = {
    "modulus=5": lambda number: number % 3 == 0,
    "modulus=7&status=complete": lambda number: number % 3,
    "status=running": lambda _: False,
    "operation=div": lambda _: False,
    "group=nobody": lambda _: False,
    "operation=add&modulus=5&status=complete": lambda number: number % 3 == 0,
}


@pytest.mark.parametrize("limit", [1, 3, 10])
@pytest.mark.parametrize("query", QUERIES)
def test_a_degraded_filtered_page_reads_four_runs_a_row(
    tmp_path: Path, closed_port: int, query: str, limit: int
) -> None:
    """It may have fewer rows, none even, and gives `next`; the pages together have all rows."""

    @with_loop
    async def check() -> None:
        async with degraded(tmp_path, closed_port) as (client, store):
            found = await pages(client, store, f"limit={limit}&{query}")
        assert max(read for _, _, read in found) <= 4 * limit
        assert max(len(runs) for runs, _, _ in found) <= limit
        wanted = [NAMES[n] for n in range(RUNS) if listed(n) and QUERIES[query](n)]
        assert [run for runs, _, _ in found for run in runs] == wanted

    check()


DEEP = b"[" * 200_000
BROKEN = [b"", b"{", b"null", b"\xff\xfe", DEEP, b"[]", b'{"format_version": 9}']


def damages() -> Iterator[tuple[str, bytes, bool]]:
    """A record of the second run, what stands there instead, and whether its row stays."""
    for data in BROKEN:
        yield names.run_path(NAMES[1]), data, False
        yield names.completion_path(NAMES[1]), data, True
        yield names.manifest_path(NAMES[1], 10), data, True


@pytest.mark.parametrize(("path", "data", "stays"), list(damages()))
def test_one_bad_object_hides_nothing_else(
    tmp_path: Path, closed_port: int, path: str, data: bytes, stays: bool
) -> None:
    """The other rows are there; a run that cannot be read is left out, and counted."""

    @with_loop
    async def check() -> None:
        async with degraded(tmp_path, closed_port) as (client, store):
            await store.archive.objects.replace(path, data)
            answer = await client.get("/v1/runs?limit=3")
            metrics = (await client.get("/metrics")).text
        assert answer.status_code == 200
        found = [row["run"] for row in answer.json()["runs"]]
        assert [run for run in found if run != NAMES[1]] == [NAMES[0], NAMES[2]]
        assert (NAMES[1] in found) == stays
        assert f"grokprobe_unreadable_runs_total {float(not stays)}" in metrics

    check()
