"""Objects that are cut short in the bucket: each costs what it is of, and nothing else."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from grokprobe.store.archive import names
from grokprobe.store.archive.objects import Objects
from grokprobe.store.archive.opening import open_store
from grokprobe.store.backends import open_backends
from tests.e2e.test_faults import settled, whole
from tests.e2e.test_storage_faults import copied
from tests.support.deployment import OF_A_RUN, Answers, Deployment, asked, differing
from tests.support.faults import redis_killed
from tests.support.reports import Report
from tests.support.served import eventually
from tests.support.stores import with_loop
from tests.support.tiny import tiny_run
from tests.support.trained import TINY_STEPS, Trained

STEP = 100
OF_THE_STEP = (f"/v1/runs/tiny/checkpoints/{STEP}", f"/v2/models/tiny/versions/{STEP}")
OF_THE_RUN = ("/v1/runs/tiny", "/v2/models/tiny")
OVER_ALL_STEPS = [
    *(f"/v1/runs/tiny{part}" for part in OF_A_RUN),
    *(f"/v2/models/tiny/versions/{step}" for step in TINY_STEPS),  # each lists all versions
]
LISTS = ["/v1/runs?limit=100"]
# What is cut, whose answers may be refused for it, and which others may leave it out.
CUT = {
    "a model": (names.model_path("tiny", STEP), OF_THE_STEP, []),
    "a manifest": (names.manifest_path("tiny", STEP), OF_THE_STEP, OVER_ALL_STEPS + LISTS),
    "a run": (names.run_path("tiny"), OF_THE_RUN, LISTS),
}


@contextmanager
def cut_short(deployment: Deployment, path: str) -> Iterator[None]:
    """Half of an object in its place."""
    objects = Objects(open_store(deployment.settings))
    data = asyncio.run(objects.read(path)) or b""
    asyncio.run(objects.replace(path, data[: len(data) // 2]))
    try:
        yield
    finally:
        asyncio.run(objects.replace(path, data))


def refused(answers: Answers) -> dict[str, str]:
    """The paths that are refused for a corrupt object, with the detail."""
    problems = {path: json.loads(body) for path, (status, body) in answers.items() if status == 500}
    return {
        path: problem["detail"]
        for path, problem in problems.items()
        if problem["type"] == "urn:grokprobe:checkpoint-corrupt"
    }


@pytest.mark.parametrize("what", CUT)
def test_an_object_is_cut_short(
    deployment: Deployment, trained: Trained, report: Report, what: str
) -> None:
    """By name to a service that starts, with Redis and without; all others equal; then all is."""
    path, own, others = CUT[what]

    @with_loop
    async def publish() -> None:
        await copied(trained, deployment)
        async with open_backends(deployment.settings) as backends:
            await tiny_run("other").publish(backends)

    publish()
    assert deployment.run("grokprobe", "reindex").returncode == 0
    client = deployment.client()
    before = settled(client)
    with cut_short(deployment, path):
        warm = asked(client, list(before))
        cold = asked(deployment.add_service(), list(before))
        with redis_killed(deployment):
            unindexed = asked(deployment.add_service(), list(before))
    report.over()
    for answers in (warm, cold, unindexed):
        named = refused(answers)
        for asked_for, (status, told) in differing(before, answers).items():
            assert asked_for in named or asked_for in others, (asked_for, status, told)
        assert all(one.startswith(own) for one in named)
        assert all(path in detail for detail in named.values())
    assert refused(unindexed)
    clients = [deployment.client(number) for number in range(3)]
    assert eventually(lambda: all(map(whole, clients)))
    assert eventually(
        lambda: all(not differing(before, asked(one, list(before))) for one in clients)
    )
    report.recovered("equal")
    report.saw(status for one in (warm, cold, unindexed) for status, _ in one.values())
