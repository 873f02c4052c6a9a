"""Object storage that is away for long: training waits for it, and at last tells by its status."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from grokprobe.errors import GrokprobeError, StoreUnavailable, Superseded
from grokprobe.settings import Settings
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from grokprobe.store.records import CheckpointManifest
from tests.support.forwarding import Forwarder
from tests.support.stores import s3_bucket, s3_endpoint
from tests.support.trained import TINY_STEPS, Trained, events, manifests, settings_at, tiny_config
from tests.trainer.test_trainer_faults import configured, trainer
from trainer.__main__ import main
from trainer.jobs.training import start, start_all
from trainer.publishing import publication
from trainer.reporting.exit_status import Exit, common_status, exit_status
from trainer.reporting.progress import JsonReporter, PublishQueue, Trouble

OUTAGE_S = 15 * 60.0
GRACE_S = 120.0  # of a trainer's pod, terminationGracePeriodSeconds
TRY_S = 30.0  # what one try of a silent storage takes: connecting, silence, and its own retries


class Witness(JsonReporter):
    """Notes each pause before storage is tried again, and acts then."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses_s: list[float] = []

    def publishing(self, queue: PublishQueue) -> None:
        """Know what waits."""
        super().publishing(queue)
        self.queue = queue

    def warn(self, message: str, kind: Trouble = "other") -> None:
        """Note the pause."""
        super().warn(message, kind)
        if kind == "store":
            [pause] = re.findall(r"trying again in ([\d.]+) s$", message)
            self.pauses_s.append(float(pause))
            self.outage()

    def outage(self) -> None:
        """Storage is away, and will be tried again."""


@contextmanager
def behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> Iterator[tuple[Settings, Forwarder]]:
    """Settings of a real S3 server behind a proxy, whose silence is soon noticed."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_READ_TIMEOUT", "1500ms")
    proxy = Forwarder(urlsplit(s3_endpoint()).port or 0)
    with proxy.listening() as port:
        endpoint = f"http://127.0.0.1:{port}"
        yield Settings(home=str(home), store_url=f"s3://{s3_bucket()}", s3_endpoint=endpoint), proxy


def test_training_waits_for_a_storage_that_is_silent(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on until its queue is full, then waits; in the end every byte is published."""
    monkeypatch.setattr(publication, "MAX_PAUSE_S", 0.5)
    with behind_a_proxy(monkeypatch, tmp_path) as (settings, proxy):

        class Outage(Witness):
            depth = 0

            def published(self, manifest: CheckpointManifest) -> None:
                super().published(manifest)
                if manifest.step == TINY_STEPS[4]:
                    proxy.silence()

            def outage(self) -> None:
                self.depth = max(self.depth, self.queue.depth)  # storage may be slow again later
                if self.queue.depth == self.queue.bound and len(self.pauses_s) >= 3:
                    proxy.speak()

        reporter = Outage()
        assert start(settings, trained.config, "tiny", reporter) == Exit.DONE
        assert reporter.depth == trained.config.checkpoints.queue

        async def read() -> tuple[list[str], list[str]]:
            archive = ArchiveReader(open_store(settings))
            found = await archive.checkpoints("tiny", await archive.steps("tiny"))
            return [one.model.sha256 for one in found], await problems(archive, "tiny")

        expected = [one.model.sha256 for one in manifests(trained)]
        assert asyncio.run(read()) == (expected, [])


def test_a_quarter_of_an_hour_is_outlived(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every time divided by 200: the pauses of so long an outage end before patience does."""
    for name in ("RETRY_S", "PAUSE_S", "MAX_PAUSE_S"):
        monkeypatch.setattr(publication, name, getattr(publication, name) / 200)
    store = tmp_path / "store/runs/tiny/checkpoints"

    class Outage(Witness):
        def start(self, *given: Any, **others: Any) -> None:
            super().start(*given, **others)
            store.write_text("not a directory")

        def outage(self) -> None:
            if sum(self.pauses_s) >= OUTAGE_S / 200 and store.is_file():
                store.unlink()

    reporter = Outage()
    assert start(settings_at(tmp_path), trained.config, "tiny", reporter) == Exit.DONE
    assert max(reporter.pauses_s) == publication.MAX_PAUSE_S
    assert [m.step for m in manifests(Trained(settings_at(tmp_path), "tiny", trained.config))] == (
        TINY_STEPS
    )


def test_a_pod_that_is_stopped_in_an_outage_ends_within_its_grace() -> None:
    """After the signal: what is left of HURRY_S, the pause under way, and the last try."""
    assert publication.HURRY_S + publication.MAX_PAUSE_S + TRY_S < GRACE_S


def test_a_signal_ends_the_waiting(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits half an hour for a trainer that was asked to stop."""
    monkeypatch.setattr(publication, "HURRY_S", 0.1)
    monkeypatch.setattr(publication, "MAX_PAUSE_S", 0.1)

    class Stopped(Witness):
        def start(self, *given: Any, **others: Any) -> None:
            super().start(*given, **others)
            (tmp_path / "store/runs/tiny/checkpoints").write_text("not a directory")

        def outage(self) -> None:
            if len(self.pauses_s) == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoreUnavailable):
        start(settings_at(tmp_path), trained.config, "tiny", Stopped())


GRID = '\n[grid]\n"training.seed" = [0, 1]\n'
ENSEMBLE = "\n[ensemble]\nseeds = [0, 1]\n"


@pytest.mark.parametrize("command", ["train", "resume", "ensemble", "sweep", "cell"])
def test_a_start_without_storage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    """Nobody waits at the start, where an address may be wrong: one line, and the status."""
    plain = configured(tmp_path)
    for name, section in (("sweep", GRID), ("ensemble", ENSEMBLE)):
        (tmp_path / f"{name}.toml").write_text(Path(plain).read_text() + section)
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROKPROBE_STORE_URL", "s3://none")
    monkeypatch.setenv("GROKPROBE_S3_ENDPOINT", "http://127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "test")
    arguments = {
        "train": ["train", "--config", plain],
        "resume": ["resume", "tiny"],
        "ensemble": ["train", "--config", str(tmp_path / "ensemble.toml")],
        "sweep": ["sweep", str(tmp_path / "sweep.toml")],
        "cell": ["sweep", str(tmp_path / "sweep.toml"), "--index", "1"],
    }
    assert main(arguments[command]) == Exit.STORE_AWAY
    output = capsys.readouterr()
    assert output.err.startswith("error: object storage cannot ")
    assert output.err.count("\n") == 1


def test_an_earlier_trainer_says_that_it_was_superseded(tmp_path: Path) -> None:
    """Two processes on one run: the later one has it."""
    arguments = ("train", "--config", configured(tmp_path), "--run", "tiny", "--resume")
    long = ("--set", "training.steps=20000")
    with trainer(str(tmp_path), *arguments, *long) as first:
        assert first.stdout is not None
        assert any('"event": "checkpoint"' in line for line in first.stdout)
        with trainer(str(tmp_path), *arguments, *long) as second:
            _, errors = first.communicate()
            assert (first.returncode, second.poll()) == (Exit.SUPERSEDED, None)
    assert errors.startswith("error: ")
    assert "tiny" in errors


def test_an_ensemble_says_that_its_index_is_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Redis was away until the end of all members: each is published whole."""
    settings = Settings(home=str(tmp_path), redis_url="redis://127.0.0.1:1", log_format="json")
    steps = {"steps": 4, "device": "cpu", "threads": 1}
    config = tiny_config(training=steps, local_learning_coefficient={})
    configs = {"one": config, "two": config}
    assert start_all(settings, configs, "both", JsonReporter(), group="both") == Exit.INDEX_BEHIND
    ended = [event["run"] for event in events(capsys.readouterr().out) if event["event"] == "end"]
    assert ended == ["one", "two"]
    again = settings_at(tmp_path)
    assert start_all(again, configs, "both", JsonReporter(), go_on=True) == Exit.DONE


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (set(), 0),
        ({0}, 0),
        ({0, 75}, 75),
        ({77, 0}, 77),
        ({76}, 76),
        ({0, 2}, 2),
        ({75, 77}, 1),
        ({1, 2}, 1),
        ({-9}, 1),
        ({143}, 1),
    ],
)
def test_the_status_of_a_sweep(statuses: set[int], status: int) -> None:
    """What all that did not succeed have in common; of a killed one nothing is known."""
    assert common_status(statuses) == status


def test_every_status_is_documented() -> None:
    """In the table of docs/commands.md, and no other but those of signals."""
    text = (Path(__file__).parents[2] / "docs/commands.md").read_text()
    rows = re.findall(r"^\| (\d[\d, ]*) \|", text, re.MULTILINE)
    assert {int(number) for row in rows for number in row.split(",")} == {*Exit, 130, 143}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnavailable("x"), 75),
        (Superseded("x"), 76),
        (GrokprobeError("x"), 1),
    ],
)
def test_the_status_of_an_error(error: GrokprobeError, status: int) -> None:
    """One table, by the nearest kind."""
    assert exit_status(error) == status
