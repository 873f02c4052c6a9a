"""A real S3 server that is killed or silent: what is answered meanwhile, and what training does."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from obstore.store import LocalStore

from grokprobe.store.archive.objects import Objects
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from tests.e2e.test_faults import settled, whole
from tests.e2e.test_training_faults import AT_STEP, Hurting, Witness
from tests.support.deployment import Deployment, asked, deployed, differing, dishonest, one_of_each
from tests.support.faults import OF_STORAGE, Fault
from tests.support.s3_servers import S3Server
from tests.support.served import eventually
from tests.support.stores import contents, with_loop
from tests.support.trained import Trained, timeless
from trainer.jobs.training import start

FAULTS = [pytest.param(fault, id=name) for name, fault in OF_STORAGE.items()]


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Redis, an S3 server and one service, which may only read; nothing is published."""
    with deployed(tmp_path, storage=S3Server(tmp_path / "s3")) as found:
        for name, value in found.variables.items():  # for what is trained in this process
            monkeypatch.setenv(name, value)
        yield found


async def copied(trained: Trained, deployment: Deployment) -> None:
    """Put all objects of the run there."""
    source = ArchiveReader(LocalStore(str(trained.settings.home_path / "store")))
    target = Objects(open_store(deployment.settings, deployment.variables))
    for path, data in (await contents(source)).items():
        await target.create(path, data)


@pytest.mark.parametrize("fault", FAULTS)
@with_loop
async def test_a_fault_changes_no_answer(
    deployment: Deployment, trained: Trained, fault: Fault
) -> None:
    """Equal or 503 while it lasts, by a service that has seen all and by one that starts then."""
    await copied(trained, deployment)
    assert deployment.run("grokprobe", "reindex").returncode == 0
    client = deployment.client()
    before = settled(client)
    with fault(deployment):
        warm = asked(client, one_of_each(before))
    assert dishonest(before, warm) == {}
    cold = deployment.add_service()
    with fault(deployment):
        unseen = asked(cold, one_of_each(before))
    assert dishonest(before, unseen) == {}
    for one in (client, cold):
        assert eventually(partial(whole, one))
        assert differing(before, asked(one, list(before))) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_training_outlives_it(deployment: Deployment, trained: Trained, fault: Fault) -> None:
    """It waits at its queue and goes on: the run is that of an undisturbed trainer."""
    witness = Witness(deployment.urls[0])
    with ExitStack() as faults:
        begin = partial(faults.enter_context, fault(deployment))
        reporter = Hurting(AT_STEP, begin, noticed=faults.close)
        with witness.watching():
            assert start(deployment.settings, trained.config, "tiny", reporter) == 0
    client = deployment.client()
    assert eventually(lambda: client.get("/v1/runs/tiny").json()["status"] == "complete")
    witness.look(client)
    assert witness.lost == []
    stored = asyncio.run(contents(ArchiveReader(open_store(deployment.settings))))
    below = {path.removeprefix("runs/tiny/"): data for path, data in stored.items()}
    assert timeless(below) == trained.objects()
