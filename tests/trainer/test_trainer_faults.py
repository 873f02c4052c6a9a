"""What kills, signals and failing dependencies leave behind: never less than was published."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from grokprobe.errors import PublicationConflict, StoreUnavailable, Superseded
from grokprobe.settings import Settings
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.verification import problems
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue.events import BEGINNING
from tests.support.ignoring import ignoring
from tests.support.mortal import killed
from tests.support.trained import (
    TINY,
    TINY_STEPS,
    Trained,
    archive,
    events,
    manifests,
    settings_at,
    tiny_config,
)
from trainer.jobs.opening import RunFailed
from trainer.jobs.training import resume, start
from trainer.publishing import publication as publish
from trainer.publishing.schedule import published_steps
from trainer.reporting.exit_status import Exit
from trainer.reporting.progress import JsonReporter


@contextmanager
def trainer(home: str, *arguments: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A trainer in a process of its own, killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        env={**os.environ, "GROKPROBE_HOME": home, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def configured(folder: Path) -> str:
    """TINY as a TOML file."""
    lines = [
        f"[{section}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
        for section, table in TINY.items()
    ]
    path = folder / "tiny.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_a_killed_run_resumed_has_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    """kill -9 in the middle, resume: every object equals that of the run never interrupted."""
    run = Trained(settings_at(tmp_path), "tiny", trained.config)
    assert killed(run, checkpoints=3, steps=0)
    assert "complete.json" not in run.objects()
    assert resume(run.settings, "tiny", JsonReporter()) == 0
    assert run.objects() == trained.objects()
    assert asyncio.run(problems(archive(run.settings), "tiny")) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_training_cleanly(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """The queue is flushed, the run stays open, the last line says how to go on."""
    stopped = Trained(settings_at(tmp_path), "tiny", tiny_config())
    arguments = ("train", "--config", configured(tmp_path), "--run", "tiny")
    with trainer(stopped.settings.home, *arguments, "--set", "training.steps=20000") as process:
        assert process.stdout is not None
        while '"step": 1' not in process.stdout.readline():
            pass
        process.send_signal(number)
        output, errors = process.communicate()
    assert (process.returncode, errors) == (status, "")
    end = events(output)[-1]
    assert end["status"] == "running"
    assert str(end["message"]).endswith("go on with `python -m trainer resume tiny`")
    assert "complete.json" not in stopped.objects()
    published = [manifest.step for manifest in manifests(stopped)]
    last = int(str(end["step"]))
    assert last < 20_000
    assert published == published_steps(tiny_config().checkpoints, 20_000)[: len(published)]
    assert last - 20 < published[-1] <= last


def test_a_signal_that_is_lost_before_training_ends_it(tmp_path: Path) -> None:
    """What is raised for it may be ignored by what is being imported: it is remembered."""
    begin = "import runpy; runpy.run_module('trainer', run_name='__main__', alter_sys=True)"
    train = ["train", "--config", configured(tmp_path), "--set", "training.steps=20000"]
    done = subprocess.run(
        [sys.executable, "-c", ignoring("torch") + begin, *train],
        env={**os.environ, "GROKPROBE_HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["a signal comes", "an error is ignored"]
    assert (done.returncode, done.stderr) == (143, "")


def test_a_reader_that_goes_away_does_not_stop_training(tmp_path: Path) -> None:
    """`trainer train ... | head -1`: the rest is done unheard."""
    left = Trained(settings_at(tmp_path), "tiny", tiny_config())
    with trainer(
        left.settings.home, "train", "--config", configured(tmp_path), "--run", "tiny"
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert "complete.json" in left.objects()


def test_a_second_ctrl_c_ends_the_process_at_once() -> None:
    """Whatever it waits for: after the last act there is nothing but the status."""
    code = """
import os, signal, threading
from trainer.jobs.signals import Interruption
with Interruption(lambda: print("terminal restored", flush=True)).handled():
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    threading.Event().wait()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "terminal restored\n", "")


def test_another_result_under_the_same_name_is_a_conflict(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint that does not come out equal stops the trainer and stays as it is."""
    other = Trained(settings_at(tmp_path), "tiny", trained.config)

    async def copy_with_another_loss() -> None:
        source = archive(trained.settings)
        target = ArchivePublisher(archive(other.settings))
        await target.publish_run(await source.run("tiny"), await source.train_mask("tiny"))
        # As an older trainer wrote it, without predictions.
        manifest = replace(await source.checkpoint("tiny", 4), predictions=None)
        model = await source.model(manifest)
        manifest.measures["train_loss"] = 1.0
        await target.publish_checkpoint(manifest, model)

    (tmp_path / "store").mkdir()
    asyncio.run(copy_with_another_loss())
    with pytest.raises(PublicationConflict, match=r"'tiny' step 4.*measures\.train_loss"):
        resume(other.settings, "tiny", JsonReporter())
    assert [event["event"] for event in events(capsys.readouterr().out)][:3] == [
        "start",
        "checkpoint",
        "checkpoint",
    ]
    assert max(manifest.step for manifest in manifests(other)) == 4


def test_a_superseded_trainer_stops(trained: Trained, tmp_path: Path) -> None:
    """As soon as another attempt has started, this one publishes nothing more."""
    settings = settings_at(tmp_path)

    class Rival(JsonReporter):
        def start(self, *_: Any, **__: Any) -> None:
            asyncio.run(ArchivePublisher(archive(settings)).start_attempt("tiny"))

    with pytest.raises(Superseded, match="attempt 1 of run 'tiny'"):
        start(settings, trained.config, "tiny", Rival())
    assert manifests(Trained(settings, "tiny", trained.config)) == []


async def announced(run: Trained) -> list[str]:
    """What the stream of events holds."""
    async with open_backends(run.settings) as backends:
        return [event.kind for event in await backends.events.after(BEGINNING, 0)]


def test_training_survives_a_redis_that_refuses(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything is published, the warnings say what to do, a later resume announces it."""
    with socket.socket() as closed:  # bound, not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}"
        settings = Settings(home=str(tmp_path), redis_url=url)
        assert start(settings, trained.config, "tiny", JsonReporter()) == Exit.INDEX_BEHIND
        assert resume(settings, "tiny", JsonReporter()) == Exit.INDEX_BEHIND
    warnings = [e for e in events(capsys.readouterr().out) if e["event"] == "warning"]
    assert "training goes on" in str(warnings[0]["message"])
    assert "python -m grokprobe reindex" in str(warnings[-1]["message"])
    alike = Trained(settings_at(tmp_path), "tiny", trained.config)
    assert alike.objects() == trained.objects()
    assert resume(alike.settings, "tiny", JsonReporter()) == 0
    assert asyncio.run(announced(alike)) == [*("checkpoint" for _ in TINY_STEPS), "complete"]


def test_a_store_that_refuses_stops_training_in_bounded_time(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, then one line names the object; training does not run ahead."""
    monkeypatch.setattr(publish, "RETRY_S", 1.0)
    settings = settings_at(tmp_path)

    class Vandal(JsonReporter):
        def start(self, *_: Any, **__: Any) -> None:
            (tmp_path / "store/runs/tiny/checkpoints").write_text("not a directory")

    with pytest.raises(StoreUnavailable) as failure:
        start(settings, trained.config, "tiny", Vandal())
    assert "checkpoints" in failure.value.told


def test_a_run_that_leaves_the_numbers_is_failed(tmp_path: Path) -> None:
    """`complete.json` names the step; no checkpoint of that step or later exists."""
    config = tiny_config(optimiser={"learning_rate": 1.0, "weight_decay": 1000.0})
    failed = Trained(settings_at(tmp_path), "hot", config)
    with pytest.raises(RunFailed, match="run 'hot' failed: train_loss is not finite at step"):
        start(failed.settings, config, "hot", JsonReporter())
    completion = asyncio.run(archive(failed.settings).completion("hot"))
    assert completion is not None
    assert completion.status == "failed"
    assert f"step {completion.step}" in completion.reason
    assert all(manifest.step < completion.step for manifest in manifests(failed))
