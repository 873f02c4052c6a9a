"""An index that lost something, or was given something: no answer changes, whatever Redis holds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.catalogue import keys as index
from grokprobe.store.catalogue import scripts
from grokprobe.store.catalogue.entries import seal_bytes
from grokprobe.store.records import encode_record
from service.app import create_app, create_context
from service.context import Context
from service.inference.runtime import Runtime
from service.runs import views
from tests.support.redis_servers import redis_server
from tests.support.stores import with_loop
from tests.support.tiny import TinyRun, stored, tiny_run

ENDED = tiny_run("ended", group="g")
GOES_ON = tiny_run("goes-on", group="g")
OTHER = tiny_run("other", modulus=5, steps=(0, 3), group="h")
RUNS = (ENDED, GOES_ON, OTHER)
PATHS = [
    "/v1/runs",
    "/v1/runs?limit=1&after=ended",
    "/v1/runs?group=g",
    "/v1/runs?status=complete",
    "/v1/groups/g/emergence",
    *(
        f"/v1/runs/{run.name}{rest}"
        for run in RUNS
        for rest in (
            "",
            "/checkpoints",
            "/checkpoints/latest",
            "/checkpoints/first/measures?keys=1",
            "/trajectory",
            "/emergence",
            f"/checkpoints/{run.checkpoints[1][0].step}",
            f"/checkpoints/{run.checkpoints[1][0].step}/predictions?a=1&b=2",
        )
    ),
]
PARTS: tuple[index.KeyPart, ...] = ("seal", "fresh", "manifest", "completion", "checkpoints")
HARMLESS = {
    ("ended", "fresh is evicted"),
    ("goes-on", "completion is evicted"),
    ("goes-on", "completion is of another type"),
}
JUNK = {"no JSON": b"\x00{", "null": b"null", "deep": b"[" * 200_000, "long": b"7" * 10**6}
SERVED = "grokprobe_index_doubts_total"


@pytest.fixture(autouse=True)
def _seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request asks again, so that nothing is answered from before the fault.

    What is fresh stays so, however slow the machine is.
    """
    monkeypatch.setattr(views, "STALENESS_S", 0.0)
    monkeypatch.setattr(scripts, "FRESH_S", 3600)


async def publish(to: Backends) -> None:
    """Two runs that have ended and one that goes on."""
    for run in (ENDED, OTHER):
        await run.publish(to)
    await to.publisher.publish_run(GOES_ON.manifest, GOES_ON.train_mask)
    for manifest, model in GOES_ON.checkpoints:
        await to.publisher.publish_checkpoint(manifest, model)
    await to.catalogue.reconcile(to.archive, GOES_ON.name)


@asynccontextmanager
async def opened(folder: Path, port: int) -> AsyncIterator[tuple[Settings, Backends, Redis]]:
    """The runs, published and indexed in a Redis on this port, and a client of that."""
    settings = Settings(home=str(folder), redis_url=f"redis://127.0.0.1:{port}")
    async with open_backends(settings) as backends, Redis(port=port) as client:
        await publish(backends)
        yield settings, backends, client


@asynccontextmanager
async def replica(
    settings: Settings, backends: Backends
) -> AsyncIterator[tuple[httpx.AsyncClient, Context]]:
    """A service that has just started, and knows nothing."""
    context = create_context(settings, backends, Runtime())
    app: Any = create_app(context, None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client, context


async def answers(client: httpx.AsyncClient) -> dict[str, tuple[int, Any, str | None]]:
    """Status, JSON and ETag of each path."""
    found = {path: await client.get(path) for path in PATHS}
    return {p: (r.status_code, r.json(), r.headers.get("etag")) for p, r in found.items()}


async def doubts(client: httpx.AsyncClient) -> dict[str, int]:
    """How often an entry was doubted, by reason."""
    lines = (await client.get("/metrics")).text.splitlines()
    told = [line.removeprefix(SERVED) for line in lines if line.startswith(SERVED)]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in told}


def damages(run: str) -> dict[str, list[tuple[Any, ...]]]:
    """Commands that make an entry lie, by what they do."""
    checkpoints = index.key(run, "checkpoints")
    found: dict[str, list[tuple[Any, ...]]] = {
        "a step is lost": [("HDEL", checkpoints, 10)],
        "a word is a step": [("HSET", checkpoints, "word", "x")],
        "no number is a step": [("HSET", checkpoints, "-1", "x")],
        "a long number is a step": [("HSET", checkpoints, "9" * 500, "x")],
        "a step that is not published": [
            ("HSET", checkpoints, 11, encode_record(ENDED.checkpoints[1][0]))
        ],
        "another step's manifest": [
            ("HSET", checkpoints, 10, encode_record(ENDED.checkpoints[0][0]))
        ],
        "another run's manifest": [
            ("HSET", checkpoints, 10, encode_record(OTHER.checkpoints[0][0]))
        ],
        "a manifest that is empty": [("HSET", checkpoints, 10, "")],
        "another run's run.json": [
            ("SET", index.key(run, "manifest"), encode_record(OTHER.manifest))
        ],
        "another run's seal": [
            ("COPY", index.key("other", "seal"), index.key(run, "seal"), "REPLACE")
        ],
    }
    for part in PARTS:
        here = index.key(run, part)
        found[f"{part} is evicted"] = [("DEL", here)]
        if part == "fresh":  # it says all by being there
            continue
        found[f"{part} is of another type"] = [("DEL", here), ("LPUSH", here, "x")]
        for name, value in JUNK.items():
            found[f"{part} is {name}"] = [("DEL", here), ("SET", here, value)]
    return found


@pytest.mark.parametrize("run", ["ended", "goes-on"])
@with_loop
async def test_whatever_lies_in_an_entry(tmp_path: Path, run: str) -> None:
    """Every answer is that from before, to who asks first too; then the entry is repaired."""
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, _):
            async with replica(settings, backends) as (client, _):
                before = await answers(client)
                assert {status for status, _, _ in before.values()} == {200}
                assert await doubts(client) == {}
            for name, commands in damages(run).items():
                await backends.catalogue.reconcile(backends.archive, "goes-on")
                async with replica(settings, backends) as (client, context):
                    await backends.catalogue.connection.send(*commands)
                    assert await answers(client) == before, name
                    if (run, name) not in HARMLESS:
                        assert await doubts(client), name
                        assert set(context.source.doubts) == {run}, name
                    await backends.catalogue.repair_run(backends.archive, run)
                    seen = await doubts(client)
                    assert await answers(client) == before, name
                    assert await doubts(client) == seen, name


@pytest.mark.parametrize("key", [index.READY, index.RUNS, index.GROUPS])
@pytest.mark.parametrize("command", ["DEL", "LPUSH", "ADD"])
@with_loop
async def test_a_list_that_has_lost_something(tmp_path: Path, key: str, command: str) -> None:
    """By its count the index is known not to be whole, and object storage answers."""
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, redis):
            async with replica(settings, backends) as (client, _):
                before = await answers(client)
            await redis.delete(key)
            if command == "LPUSH":
                await redis.lpush(key, "x")
            if command == "ADD":  # a trainer goes on with what was evicted
                await backends.catalogue.repair_run(backends.archive, "other")
            assert not await backends.catalogue.ready()
            async with replica(settings, backends) as (client, _):
                assert await answers(client) == before
                state = (await client.get("/readyz")).json()
                assert "no whole index" in state["dependencies"]["catalogue"]["detail"]
            await backends.catalogue.rebuild(backends.archive)
            assert await backends.catalogue.ready()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
@with_loop
async def test_a_redis_that_evicts(tmp_path: Path, policy: str) -> None:
    """A few keys at a time, until none is left: no answer changes."""
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, redis):
            async with replica(settings, backends) as (client, _):
                before = await answers(client)
            await redis.config_set("maxmemory-policy", policy)
            evicted = 0
            for step in range(1, 40):
                used = (await redis.info("memory"))["used_memory"]
                await redis.config_set("maxmemory", used - 100 * step)
                with suppress(OutOfMemoryError):  # when all has gone
                    await redis.set("filler", "x")
                await redis.config_set("maxmemory", 0)
                last, evicted = evicted, (await redis.info("stats"))["evicted_keys"]
                if evicted > last:
                    async with replica(settings, backends) as (client, _):
                        assert await answers(client) == before
                if not await redis.dbsize():
                    break
            assert evicted > 10


async def forge(backends: Backends, run: TinyRun) -> Contents:
    """An entry that proves itself and is not what was published: a better accuracy at step 10."""
    contents = await read_contents(backends.archive, run.name)
    published = contents.checkpoints[10]
    assert published is not None
    lie = msgspec.structs.replace(
        published.record, measures={**published.record.measures, "test_accuracy": 0.999}
    )
    checkpoints = {**contents.checkpoints, 10: stored(lie)}
    forged = Contents(
        run=contents.run,
        completion=contents.completion,
        checkpoints=checkpoints,
        problems=[],
    )
    before = await seal_bytes(backends.catalogue.connection, run.name)
    assert await backends.catalogue.put_run(forged, before)
    return forged


@pytest.mark.parametrize("run", [ENDED, GOES_ON], ids=["ended", "goes-on"])
@with_loop
async def test_a_forged_entry_is_never_served_as_if_it_never_changed(
    tmp_path: Path, run: TinyRun
) -> None:
    """Though it proves itself: what is kept for a year was compared with object storage."""
    path = f"/v1/runs/{run.name}/checkpoints/10"
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, _):
            async with replica(settings, backends) as (client, _):
                before = await client.get(path)
            await forge(backends, run)
            async with replica(settings, backends) as (client, context):
                for asked in (path, path):
                    answer = await client.get(asked)
                    assert "immutable" in answer.headers["cache-control"]
                    assert answer.content == before.content
                    assert answer.headers["etag"] == before.headers["etag"]
                assert (await doubts(client))["contradicted"] >= 1
                assert run.name in context.source.doubts
                for kept in ("trajectory", "emergence", "measures"):
                    rest = "checkpoints/10/measures" if kept == "measures" else kept
                    found = await client.get(f"/v1/runs/{run.name}/{rest}")
                    assert found.status_code == 200
                    assert b"0.999" not in found.content


@with_loop
async def test_while_object_storage_is_away_nothing_unproven_is_kept(tmp_path: Path) -> None:
    """It is answered by the index's word, for now; proven again when storage is back."""
    path, store = "/v1/runs/ended/checkpoints/10", tmp_path / "store"
    with redis_server(tmp_path) as port:
        async with (
            opened(tmp_path, port) as (settings, backends, _),
            replica(settings, backends) as (client, context),
        ):
            store.rename(tmp_path / "away")
            store.write_text("a file where the folder was")
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
            for missing in ("/v1/runs/nobody", "/v1/runs/goes-on/checkpoints/11"):
                assert (await client.get(missing)).status_code == 503
            store.unlink()
            (tmp_path / "away").rename(store)
            context.views._storage_paused_until = 0.0
            again = await client.get(path)
            assert "immutable" in again.headers["cache-control"]
            assert (again.content, again.headers["etag"]) == (
                answer.content,
                answer.headers["etag"],
            )


@with_loop
async def test_what_the_index_lacks_is_not_gone(tmp_path: Path) -> None:
    """A run, a step, a label and an end that Redis has missed: object storage is asked first."""
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, _):
            fresh = tiny_run("fresh")
            async with replica(settings, backends) as (client, _):
                assert (await client.get("/v1/runs/fresh")).status_code == 404
                await fresh.publish(backends.archive)
                assert (await client.get("/v1/runs/fresh")).json()["status"] == "complete"
                later = tiny_run("goes-on", steps=(0, 10, 200, 300), group="g")
                await backends.publisher.publish_checkpoint(*later.checkpoints[-1])
                assert (await client.get("/v1/runs/goes-on/checkpoints/300")).status_code == 200
                latest = await client.get("/v1/runs/goes-on/checkpoints/latest")
                assert latest.json()["step"] == 300  # as one that was known before
                missing = await client.get("/v1/runs/goes-on/checkpoints/299")
                assert missing.status_code == 404
                assert "nearest: 200, 300" in missing.json()["detail"]


@with_loop
async def test_a_crowd_that_asks_for_nothing_costs_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred who ask for the same at once, one asks object storage; nor do those after."""
    monkeypatch.setattr(views, "STALENESS_S", 600.0)
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, _):
            lists = 0
            versions = backends.archive.objects.versions

            async def counted(*args: Any) -> dict[str, str]:
                nonlocal lists
                lists += 1
                return await versions(*args)

            monkeypatch.setattr(backends.archive.objects, "versions", counted)
            async with replica(settings, backends) as (client, _):
                for path in ("/v1/runs/nobody", "/v1/runs/goes-on/checkpoints/11"):
                    lists = 0
                    for _ in range(2):
                        crowd = [client.get(path) for _ in range(50)]
                        found = await asyncio.gather(*crowd)
                        assert {answer.status_code for answer in found} == {404}
                    assert lists == 1, path


@with_loop
async def test_a_view_never_shrinks_by_the_word_of_redis(tmp_path: Path) -> None:
    """Redis goes back to an older state that proves itself, as a restored copy would."""
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, redis):
            parts = {part: index.key("goes-on", part) for part in index.PARTS}
            old = {part: await redis.dump(key) for part, key in parts.items()}
            later = tiny_run("goes-on", steps=(0, 10, 200, 300), group="g")
            await backends.publisher.publish_checkpoint(*later.checkpoints[-1])
            await backends.catalogue.reconcile(backends.archive, "goes-on")
            async with replica(settings, backends) as (client, _):
                path = "/v1/runs/goes-on"
                before = [await client.get(path), await client.get(f"{path}/checkpoints/latest")]
                for part, value in old.items():
                    kept_ms = 600_000 if part == "fresh" else 0
                    if value is not None:
                        await redis.restore(parts[part], kept_ms, value, replace=True)
                after = [await client.get(path), await client.get(f"{path}/checkpoints/latest")]
                assert [a.json() for a in after] == [b.json() for b in before]
                assert (await doubts(client))["shrunk"] >= 1


def break_object(home: Path, path: str, data: bytes) -> None:
    """Other bytes in the place of an object."""
    (home / "store" / path).write_bytes(data)


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize("data", [b"{", b"null", b"\xff", b'{"a":' * 200_000, b""], ids=range(5))
@with_loop
async def test_one_broken_object_hides_nothing_else(
    tmp_path: Path, data: bytes, with_index: bool
) -> None:
    """A manifest costs its checkpoint, a `run.json` its run, with Redis and without; by name."""
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, redis):
            break_object(tmp_path, names.manifest_path("ended", 10), data)
            break_object(tmp_path, names.run_path("other"), data)
            await redis.flushall()
            if with_index:
                report = await backends.catalogue.rebuild(backends.archive)
                assert (report.runs, len(report.problems)) == (2, 2)
                assert await backends.catalogue.ready()
            async with replica(settings, backends) as (client, _):
                for path in ("/v1/runs", "/v1/runs?limit=2"):
                    listed = (await client.get(path)).json()
                    found = {row["run"]: row["checkpoint_count"] for row in listed["runs"]}
                    # Object storage alone counts the names of manifests, and reads the last.
                    counts = {"ended": 2 if with_index else 3, "goes-on": 3}
                    assert found == counts
                assert (await client.get("/v1/groups/g/emergence")).status_code == 200
                expected = {
                    "/v1/runs/ended": 200,
                    "/v1/runs/ended/trajectory": 200,
                    "/v1/runs/ended/checkpoints/latest": 200,
                    "/v1/runs/ended/checkpoints/0/predictions?a=1&b=2": 200,
                    "/v1/runs/ended/checkpoints/10": 500,
                    "/v1/runs/ended/checkpoints/11": 404,
                    "/v1/runs/other": 500,
                    "/v1/runs/other/checkpoints/latest": 500,
                }
                answers = {path: await client.get(path) for path in expected}
                assert {p: a.status_code for p, a in answers.items()} == expected
                broken: Sequence[httpx.Response] = [
                    a for a in answers.values() if a.status_code == 500
                ]
                assert {a.json()["type"] for a in broken} == {"urn:grokprobe:checkpoint-corrupt"}
                assert "0000000010/manifest.json" in broken[0].json()["detail"]
                assert "runs/other/run.json" in broken[1].json()["detail"]


@with_loop
async def test_results_of_analysis_never_reach_redis(tmp_path: Path) -> None:
    """A client that varies the seed of a null fills nothing: bounded in bytes, in the process."""
    with redis_server(tmp_path) as port:
        async with opened(tmp_path, port) as (settings, backends, redis):
            small = msgspec.structs.replace(settings, result_cache_bytes=20_000)
            async with replica(small, backends) as (client, context):
                before = await redis.dbsize()
                for seed in range(40):
                    path = f"/v1/runs/ended/checkpoints/10/spectrum?null=20&seed={seed}"
                    assert (await client.get(path)).status_code == 200
                    assert context.derived.size <= 20_000
                assert await redis.dbsize() == before
