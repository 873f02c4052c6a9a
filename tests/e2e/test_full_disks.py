"""Disks without space: what is published stays readable, training waits, and goes on by itself."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from grokprobe.store.archive.verification import problems
from tests.e2e.test_faults import settled
from tests.e2e.test_training_faults import AT_STEP, Hurting, Witness, nothing_is_lost, objects
from tests.support.deployment import Answers, asked, deployed, differing
from tests.support.reports import Report
from tests.support.trained import Trained, archive
from trainer.jobs.training import start

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="a small file system needs root to be mounted"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk, mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Something else takes all that is left, to the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def test_the_store_is_full(tmp_path: Path, disk: Path, trained: Trained, report: Report) -> None:
    """The trainer says what it waits for; all answers stay; with space it goes on to its end."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/store").symlink_to(disk)
    with deployed(tmp_path) as deployment, ExitStack() as faults:
        client, before, during = deployment.client(), Answers(), Answers()

        def begin() -> None:
            before.update(settled(client))
            faults.enter_context(full(disk))

        def noticed() -> None:
            during.update(asked(client, list(before)))
            faults.close()
            report.over()

        reporter = Hurting(AT_STEP, begin, noticed)
        witness = Witness(deployment.urls[0])
        with witness.watching():
            assert start(deployment.settings, trained.config, "tiny", reporter) == 0
        assert "No space left on device" in reporter.troubles[0]
        assert differing(before, during) == {}
        assert during.keys() == before.keys()
        report.recovered("complete")
        report.saw(witness.statuses)
        assert witness.lost == []
        assert objects(deployment, trained) == trained.objects()
        assert asyncio.run(problems(archive(deployment.settings), "tiny")) == []


def test_redis_has_no_space(tmp_path: Path, disk: Path, trained: Trained, report: Report) -> None:
    """It refuses what would be written, from the middle of training to its end, and is repaired."""
    kept = ("--dir", str(disk), "--appendfsync", "everysec")  # with `always` it would end itself
    with deployed(tmp_path, redis_options=kept) as deployment:
        nothing_is_lost(deployment, partial(full, disk), trained, report)
