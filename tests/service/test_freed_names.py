"""A name that is used again: whatever a client or a process kept of the run before is not shown."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from grokprobe.cli.delete import delete
from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.catalogue import keys as index
from grokprobe.store.records import now
from grokprobe.task import Task, split, split_sha256
from service.runs.groups import GroupMembers
from service.runs.source import Source
from service.telemetry.metrics import Metrics
from tests.support.served import Served, eventually, serving
from tests.support.stores import with_loop
from tests.support.tiny import TinyRun, tiny_run, young

RUN, STEP = "/v1/runs/tiny", "/v1/runs/tiny/checkpoints/200"
FILE = f"{STEP}/model.onnx"
PATHS = [
    "/v1/runs",
    "/v1/runs?group=g",
    RUN,
    f"{RUN}/checkpoints",
    f"{RUN}/checkpoints/latest",
    f"{RUN}/checkpoints/latest/logits",
    f"{RUN}/trajectory",
    f"{RUN}/trajectory?format=csv",
    f"{RUN}/spectra",
    f"{RUN}/coordinates",
    f"{RUN}/updates",
    f"{RUN}/path",
    f"{RUN}/emergence",
    "/v1/groups/g/emergence",
    STEP,
    f"{STEP}/predictions",
    f"{STEP}/predictions?a=1&b=2",
    f"{STEP}/logits",
    f"{STEP}/embedding",
    f"{STEP}/embedding?frequency=2",
    f"{STEP}/spectrum",
    f"{STEP}/spectrum?null=200",
    f"{STEP}/measures?keys=1,2",
    f"{STEP}/measures?keys=1,2&null=200",
    f"{STEP}/weights",
    f"{STEP}/weights/W_E",
    FILE,
]
PAIRS: Any = {"pairs": [[a, b] for a in range(7) for b in range(7)]}
BODY: Any = {
    "inputs": [{"name": "pairs", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}],
    "outputs": [{"name": "logits"}],
}


def imported(seed: int = 0) -> TinyRun:
    """A run that others trained, new and whole."""
    return young(tiny_run(seed=seed, group="g", config={"files": [str(seed)]}))


def resplit(run: TinyRun) -> TinyRun:
    """The same files with another split: a mistake that somebody may well want to correct."""
    mask = split(Task(modulus=7), 0.3, 5)
    facts = {
        "split_sha256": split_sha256(mask),
        "train_pairs": int(mask.sum()),
        "test_pairs": int((~mask).sum()),
    }
    manifest = replace(run.manifest, created_at=now(), task=replace(run.manifest.task, **facts))
    digest = {"split_sha256": facts["split_sha256"]}
    checkpoints = [(replace(m, **digest), model) for m, model in run.checkpoints]
    return TinyRun(manifest, mask, checkpoints, run.completion)


def repeated(run: TinyRun) -> TinyRun:
    """The same in all but the moment of its creation."""
    return young(run)


def publish(settings: Settings, run: TinyRun) -> None:
    """Publish and index a run, as an import does."""

    async def work() -> None:
        async with open_backends(settings) as backends:
            await run.publish(backends)

    asyncio.run(work())


def answers(client: httpx.Client) -> dict[str, httpx.Response]:
    """The answers of every kind of route, those without an ETag too."""
    found = {path: client.get(path) for path in PATHS}
    found["fast"] = client.post(f"{STEP}/predictions", json=PAIRS)
    found["v2"] = client.post("/v2/models/tiny/versions/200/infer", json=BODY)
    found["metadata"] = client.get("/v2/models/tiny")
    assert {path: r.status_code for path, r in found.items() if r.status_code != 200} == {}
    return found


def bodies(found: dict[str, httpx.Response]) -> dict[str, bytes]:
    """What was answered."""
    return {path: answer.content for path, answer in found.items()}


@pytest.mark.parametrize("with_redis", [True, False])
@pytest.mark.parametrize("new", [lambda _: imported(seed=1), resplit, repeated])
def test_a_run_that_takes_the_name_of_another(tmp_path: Path, new: Any, with_redis: bool) -> None:
    """No stale ETag matches, and a process that has kept all of the old run answers as a new one.

    A model file's ETag is its digest: it matches where the very same bytes are published again.
    """
    settings, old = Settings(home=str(tmp_path / "home")), imported()
    publish(settings, old)
    with serving(settings, tmp_path) as served:
        before = answers(served.client)
        assert bodies(answers(served.client)) == bodies(before)  # all is kept in memory
        assert asyncio.run(delete(settings, "tiny", free_name=True)) == 0
        fresh: TinyRun = new(old)
        publish(settings, fresh)
        if not with_redis:
            asyncio.run(forget_index(settings))
        assert eventually(lambda: is_served(served, fresh))
        same_file = old.checkpoints[-1][1] == fresh.checkpoints[-1][1]
        for path in PATHS:
            tag = before[path].headers["etag"]
            answer = served.client.get(path, headers={"If-None-Match": tag})
            assert answer.status_code == (304 if path == FILE and same_file else 200), path
            assert (answer.headers["etag"] == tag) == (answer.status_code == 304), path
        after = answers(served.client)
    shutil.copytree(settings.home_path / "store", tmp_path / "other/store")
    with serving(Settings(home=str(tmp_path / "other")), tmp_path) as other:
        assert bodies(after) == bodies(answers(other.client))


async def forget_index(settings: Settings) -> None:
    """Empty Redis: everything is answered from object storage."""
    async with open_backends(settings) as backends:
        await backends.catalogue.connection.send(("DEL", index.READY))


def is_served(served: Served, run: TinyRun) -> bool:
    """Whether the service has heard of a run."""
    answer = served.client.get(RUN)
    expected = run.manifest.created_at.isoformat().replace("+00:00", "Z")
    return answer.status_code == 200 and answer.json()["created_at"] == expected


@with_loop
async def test_a_member_that_is_another_run(tmp_path: Path) -> None:
    """Its row is read again, though the new run has just as many checkpoints as the old one."""
    async with grouped(tmp_path) as (backends, members):
        for by_index in (True, False):
            first, second = imported(), imported(seed=1)
            await first.publish(backends)
            if not by_index:
                await backends.catalogue.connection.send(("DEL", index.READY))
            before = await members.group("g")
            assert [row.seed for row in await members.rows(before)] == [0]
            await backends.publisher.delete("tiny")
            await backends.catalogue.remove_run("tiny")
            await backends.publisher.free_name("tiny")
            await second.publish(backends)
            after = await members.group("g")
            assert before.states != after.states
            assert [row.seed for row in await members.rows(after)] == [1]
            await backends.publisher.delete("tiny")
            await backends.catalogue.remove_run("tiny")
            await backends.publisher.free_name("tiny")


@asynccontextmanager
async def grouped(folder: Path) -> AsyncIterator[tuple[Backends, GroupMembers]]:
    """Open backends, and the members of groups as a service keeps them."""
    async with open_backends(Settings(home=str(folder))) as backends:
        yield backends, GroupMembers(Source(backends.catalogue, backends.archive, Metrics()))


def test_who_listens_hears_that_it_is_another_run(tmp_path: Path) -> None:
    """A stream of the old run ends with `deleted`; one of the new run begins with its own."""
    settings = Settings(home=str(tmp_path / "home"))
    publish(settings, imported())
    with serving(settings, tmp_path) as served:
        asyncio.run(delete(settings, "tiny", free_name=True))
        publish(settings, imported(seed=1))
        assert eventually(lambda: served.client.get(RUN).json().get("status") == "complete")
        text = served.client.get(f"{RUN}/events").text
    assert "event: deleted" not in text
    assert "event: complete" in text
