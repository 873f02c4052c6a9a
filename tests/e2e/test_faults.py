"""What is answered while a part is hurt, and after it is back: what was answered before, or 503."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from grokprobe.store.backends import open_backends
from tests.support.deployment import (
    Answers,
    Deployment,
    asked,
    deployed,
    differing,
    dishonest,
    paths,
)
from tests.support.faults import OF_REDIS, OF_SERVICE, Fault
from tests.support.reports import Report
from tests.support.served import eventually
from tests.support.tiny import tiny_run
from tests.support.trained import Trained

OTHERS = [f"other-{number}" for number in range(6)]


@pytest.fixture
def deployment(trained: Trained, tmp_path: Path) -> Iterator[Deployment]:
    """One real run and several small ones, indexed; Redis, and object storage as a folder."""
    shutil.copytree(trained.settings.home_path / "store", tmp_path / "home" / "store")
    with deployed(tmp_path) as found:

        async def publish() -> None:
            async with open_backends(found.settings) as backends:
                for name in OTHERS:
                    await tiny_run(name).publish(backends)

        asyncio.run(publish())
        assert found.run("grokprobe", "reindex").returncode == 0
        yield found


def everything(client: httpx.Client) -> list[str]:
    """All that there is to ask of all runs."""
    runs = [row["run"] for row in client.get("/v1/runs?limit=100").json()["runs"]]
    return ["/v1/runs?limit=100", *(path for run in runs for path in paths(client, run))]


def whole(client: httpx.Client) -> bool:
    """Whether the service says that all it depends on is well."""
    return bool(client.get("/readyz").json()["status"] == "ready")


def settled(client: httpx.Client) -> Answers:
    """All that is answered once all is well: every path with 200."""
    assert eventually(lambda: whole(client))
    before = asked(client, everything(client))
    assert {status for status, _ in before.values()} == {200}
    return before


@pytest.mark.parametrize(
    "fault", [pytest.param(f, id=n) for n, f in (OF_REDIS | OF_SERVICE).items()]
)
def test_a_fault_changes_no_answer(deployment: Deployment, fault: Fault, report: Report) -> None:
    """Equal or 503 while it lasts; equal once it is over, without a human; `verify` is content.

    By a service that has seen all before, and by one that starts meanwhile.
    """
    client = deployment.client()
    before = settled(client)
    with fault(deployment):
        warm = asked(client, list(before))
        cold = asked(deployment.add_service(), list(before))
    report.over()
    clients = [deployment.client(number) for number in range(2)]
    assert eventually(lambda: all(map(whole, clients)))
    report.recovered()
    report.saw(status for status, _ in [*warm.values(), *cold.values()])
    assert dishonest(before, warm) == {}
    assert dishonest(before, cold) == {}
    for returned in clients:
        assert differing(before, asked(returned, list(before))) == {}
    assert eventually(lambda: deployment.run("grokprobe", "verify").returncode == 0)
    report.recovered("verified")
