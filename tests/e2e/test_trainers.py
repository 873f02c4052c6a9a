"""Trainers that are killed, gone on with elsewhere, or two of one run: one run comes of it.

Each works in a folder of its own, as on a host of its own; object storage is all that they share.
"""

import asyncio
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from tests.e2e.test_faults import settled
from tests.e2e.test_training_faults import AT_STEP, Witness
from tests.support.deployment import Answers, Deployment, deployed
from tests.support.reports import Report
from tests.support.served import PATIENCE_S, eventually
from tests.support.stores import contents
from tests.support.trained import Trained, timeless
from tests.trainer.test_trainer_faults import configured
from trainer.reporting.exit_status import Exit


@pytest.fixture(scope="module")
def reference(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """All answers about a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "home").mkdir()
    (folder / "home/store").symlink_to(trained.settings.home_path / "store")
    with deployed(folder) as found:
        return undated(settled(found.client()))


MOMENT = re.compile(rb'"created_at":"[^"]*"')


def undated(answers: Answers) -> Answers:
    """Without the moments of their creation."""
    return {path: (status, MOMENT.sub(b"", body)) for path, (status, body) in answers.items()}


def trainer(deployment: Deployment, folder: Path, *command: str) -> "subprocess.Popen[str]":
    """One on a host of its own."""
    folder.mkdir()
    return deployment.start(*command, folder=folder)


def published(process: "subprocess.Popen[str]", step: int) -> None:
    """Return once it has told that a checkpoint of this step or a later one is published."""
    assert process.stdout is not None
    told = map(json.loads, process.stdout)
    assert any(event["event"] == "checkpoint" and event["step"] >= step for event in told)


def completes(process: "subprocess.Popen[str]", deployment: Deployment) -> None:
    """It ends without a complaint, and the run is listed as complete."""
    assert process.communicate(timeout=PATIENCE_S)[1] == ""
    assert process.returncode == Exit.DONE
    client = deployment.client()
    assert eventually(lambda: client.get("/v1/runs/tiny").json()["status"] == "complete")


def is_the_undisturbed(deployment: Deployment, trained: Trained, reference: Answers) -> None:
    """Every object and every answer; `verify` is content."""
    stored = asyncio.run(contents(ArchiveReader(open_store(deployment.settings))))
    below = {path.removeprefix("runs/tiny/"): data for path, data in stored.items()}
    assert timeless(below) == trained.objects()
    assert undated(settled(deployment.client())) == reference
    verified = deployment.run("grokprobe", "verify")
    assert verified.returncode == 0, verified.stdout


def test_a_killed_trainer_is_resumed_elsewhere(
    deployment: Deployment, trained: Trained, reference: Answers, tmp_path: Path, report: Report
) -> None:
    """kill -9 of one, `resume` on another host: nothing that was answered is ever gone."""
    witness = Witness(deployment.urls[0])
    train = ("trainer", "train", "--config", configured(tmp_path), "--run", "tiny")
    with witness.watching():
        first = trainer(deployment, tmp_path / "one", *train)
        published(first, AT_STEP)
        first.kill()
        first.wait()
        report.over()
        second = trainer(deployment, tmp_path / "other", "grokprobe", "resume", "tiny")
        published(second, AT_STEP + 1)
        report.recovered("the next checkpoint")
        completes(second, deployment)
    report.saw(witness.statuses)
    assert witness.lost == []
    is_the_undisturbed(deployment, trained, reference)


def test_two_trainers_at_once(
    deployment: Deployment, trained: Trained, reference: Answers, tmp_path: Path, report: Report
) -> None:
    """One sleeps until another has taken its run and published, then both train: the later has it.

    The earlier one ends by itself and says so; of what it computed nothing is in the way.
    """
    witness = Witness(deployment.urls[0])
    train = ("trainer", "train", "--config", configured(tmp_path), "--run", "tiny", "--resume")
    with witness.watching():
        first = trainer(deployment, tmp_path / "one", *train)
        published(first, AT_STEP)
        first.send_signal(signal.SIGSTOP)
        second = trainer(deployment, tmp_path / "other", *train)
        published(second, 0)
        first.send_signal(signal.SIGCONT)
        report.over()
        _, errors = first.communicate(timeout=PATIENCE_S)
        assert (first.returncode, errors.count("\n")) == (Exit.SUPERSEDED, 1)
        report.recovered("one is left")
        completes(second, deployment)
    report.saw(witness.statuses)
    assert witness.lost == []
    is_the_undisturbed(deployment, trained, reference)
