"""A real S3 server that is killed or silent: what is answered meanwhile, and what training does."""

import asyncio
from contextlib import ExitStack
from functools import partial

import pytest
from obstore.store import LocalStore

from grokprobe.store.archive.objects import Objects
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from tests.e2e.test_faults import settled, whole
from tests.e2e.test_training_faults import AT_STEP, Hurting, Witness
from tests.support.deployment import Deployment, asked, differing, dishonest, one_of_each
from tests.support.faults import OF_STORAGE, Fault
from tests.support.reports import Report
from tests.support.served import eventually
from tests.support.stores import contents, with_loop
from tests.support.trained import Trained, timeless
from trainer.jobs.training import start

FAULTS = [pytest.param(fault, id=name) for name, fault in OF_STORAGE.items()]


async def copied(trained: Trained, deployment: Deployment) -> None:
    """Put all objects of the run there."""
    source = ArchiveReader(LocalStore(str(trained.settings.home_path / "store")))
    target = Objects(open_store(deployment.settings, deployment.variables))
    for path, data in (await contents(source)).items():
        await target.create(path, data)


@pytest.mark.parametrize("fault", FAULTS)
@with_loop
async def test_a_fault_changes_no_answer(
    deployment: Deployment, trained: Trained, fault: Fault, report: Report
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
    report.over()
    assert eventually(lambda: whole(client) and whole(cold))
    report.recovered()
    report.saw(status for status, _ in [*warm.values(), *unseen.values()])
    assert dishonest(before, unseen) == {}
    for one in (client, cold):
        assert differing(before, asked(one, list(before))) == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_training_outlives_it(
    deployment: Deployment, trained: Trained, fault: Fault, report: Report
) -> None:
    """It waits at its queue and goes on: the run is that of an undisturbed trainer."""
    witness = Witness(deployment.urls[0])
    with ExitStack() as faults:
        begin = partial(faults.enter_context, fault(deployment))

        def noticed() -> None:
            faults.close()
            report.over()

        reporter = Hurting(AT_STEP, begin, noticed)
        with witness.watching():
            assert start(deployment.settings, trained.config, "tiny", reporter) == 0
    client = deployment.client()
    assert eventually(lambda: client.get("/v1/runs/tiny").json()["status"] == "complete")
    report.recovered("complete")
    witness.look(client)
    report.saw(witness.statuses)
    assert witness.lost == []
    stored = asyncio.run(contents(ArchiveReader(open_store(deployment.settings))))
    below = {path.removeprefix("runs/tiny/"): data for path, data in stored.items()}
    assert timeless(below) == trained.objects()
