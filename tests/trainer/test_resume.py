"""Going on: with the bytes of a run that was never interrupted, whatever became of the trainer."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grokprobe.errors import InvalidInput, RunExists
from grokprobe.store.archive.training_states import TrainingState, TrainingStates
from grokprobe.store.archive.verification import problems
from tests.support.mortal import killed
from tests.support.trained import (
    TINY_STEPS,
    Trained,
    Until,
    archive,
    events,
    manifests,
    settings_at,
    tiny_config,
)
from tests.trainer.test_trainer_faults import configured
from trainer.jobs import threads
from trainer.jobs.opening import RunFailed
from trainer.jobs.training import resume, start, start_all
from trainer.publishing.publication import Publication
from trainer.reporting.exit_status import Exit
from trainer.reporting.progress import JsonReporter

KILLS = 20


def finish(run: Trained) -> None:
    """Go on with a run to its end."""
    assert resume(run.settings, run.run, JsonReporter()) == 0


def interrupted(run: Trained, checkpoints: int = 8) -> Trained:
    """Train a part of the run, to its next step after so many checkpoints."""
    assert start(run.settings, run.config, run.run, Until(checkpoints)) == 130
    return run


def states(run: Trained) -> tuple[list[TrainingState], list[str]]:
    """The sound training states of a run, and what is wrong with newer ones."""
    return asyncio.run(TrainingStates(archive(run.settings).objects).find(run.run))


def test_twenty_kills_leave_the_bytes_of_none(trained: Trained, tmp_path: Path) -> None:
    """kill -9 at random events: in the end every object is alike, and `verify` is content."""
    run = Trained(settings_at(tmp_path), "tiny", trained.config)
    moments = random.Random(5)
    seen: list[int] = []
    for _ in range(KILLS):
        killed(run, checkpoints=moments.randrange(4), steps=moments.randrange(30))
        assert asyncio.run(problems(archive(run.settings), "tiny")) in ([], unfinished(run))
        seen.append(max((m.step for m in manifests(run)), default=-1))
    assert seen == sorted(seen)
    finish(run)
    assert run.objects() == trained.objects()
    assert asyncio.run(problems(archive(run.settings), "tiny")) == []
    assert len(set(seen)) > 3, "the kills were not spread over the run"


def unfinished(run: Trained) -> list[str]:
    """What `verify` says of a model, and predictions, whose manifest was not written any more."""
    paths = run.folder.glob("checkpoints/*/*")
    return [
        f"runs/{run.run}/{path.relative_to(run.folder)} is an object that nothing refers to "
        "(a publication under way or interrupted?)"
        for path in sorted(paths)
        if not (path.parent / "manifest.json").exists()
    ]


def test_no_step_is_trained_twice(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training goes on at the step where the signal stopped it; older attempts' states go."""
    run = interrupted(Trained(settings_at(tmp_path), "tiny", trained.config))
    stopped = int(str(events(capsys.readouterr().out)[-1]["step"]))
    [newest, older], complaints = states(run)
    assert (newest.record.step, newest.record.attempt, complaints) == (stopped, 1, [])
    assert older.record.step < stopped
    seen: list[int] = []

    class Steps(JsonReporter):
        def step(self, step: int, *_: Any) -> None:
            seen.append(step)

    assert resume(run.settings, "tiny", Steps()) == 0
    assert seen == list(range(stopped, 401))
    assert run.objects() == trained.objects()
    assert states(run) == ([], [])


def test_a_signal_after_the_last_step_changes_nothing(trained: Trained, tmp_path: Path) -> None:
    """The run is complete, and the exit status says so."""
    run = Trained(settings_at(tmp_path), "tiny", trained.config)
    assert start(run.settings, run.config, "tiny", Until(len(TINY_STEPS))) == 0
    assert run.objects() == trained.objects()


def torn(path: Path) -> None:
    """Half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def warnings(output: str) -> list[str]:
    """What a trainer says of the run; that Redis was slow, which it may be anywhere, left out."""
    return [str(event["message"]) for event in events(output) if event.get("kind") == "other"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder, slot: torn(folder / f"{slot}.safetensors"),
        lambda folder, slot: (folder / f"{slot}.safetensors").unlink(),
        lambda folder, slot: torn(folder / f"{slot}.json"),
    ],
    ids=["tensors", "no tensors", "record"],
)
def test_a_corrupt_newest_state_falls_back_and_says_so(
    trained: Trained,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path, str], None],
) -> None:
    """From the older slot, what was published in between comes out equal."""
    run = interrupted(Trained(settings_at(tmp_path), "tiny", trained.config))
    folder = run.folder / "state" / "1"
    newest = max(("0", "1"), key=lambda s: json.loads((folder / f"{s}.json").read_text())["step"])
    damage(folder, newest)
    capsys.readouterr()
    finish(run)
    [warning] = warnings(capsys.readouterr().out)
    assert f"state/1/{newest}." in warning
    assert warning.endswith("going on from an older one")
    assert run.objects() == trained.objects()


def test_without_any_sound_state_training_begins_again(trained: Trained, tmp_path: Path) -> None:
    """What is published comes out equal from step 0."""
    run = interrupted(Trained(settings_at(tmp_path), "tiny", trained.config))
    for path in (run.folder / "state" / "1").glob("*.safetensors"):
        torn(path)
    finish(run)
    assert run.objects() == trained.objects()


def test_a_superseded_trainers_late_state_is_not_gone_on_from(
    trained: Trained, tmp_path: Path
) -> None:
    """The newest attempt that has a state counts, not the furthest step."""
    run = interrupted(Trained(settings_at(tmp_path), "tiny", trained.config))
    [newest, _], _ = states(run)

    async def save_later_by_older_attempt() -> None:
        objects = archive(run.settings).objects
        for attempt, step in ((2, 100), (1, 10_000)):
            record = msgspec.structs.replace(newest.record, attempt=attempt, step=step)
            await TrainingStates(objects).save(record, newest.tensors, 0)

    asyncio.run(save_later_by_older_attempt())
    assert [state.record.step for state in states(run)[0]] == [100]


def test_another_machine_is_warned_of(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the bits depend on is recorded with the state; a difference voids the promise."""
    run = interrupted(Trained(settings_at(tmp_path), "tiny", trained.config))
    for path in (run.folder / "state" / "1").glob("*.json"):
        record = json.loads(path.read_text())
        record["environment"] |= {"device": "Z80", "threads": 7}
        path.write_text(json.dumps(record))
    finish(run)
    [message] = warnings(capsys.readouterr().out)
    assert "device Z80, now " in message
    assert "threads 7, now 1" in message
    assert message.endswith("results may differ in their last bits")


# Large enough for one thread and two to differ in their last bits.
WIDE: dict[str, dict[str, Any]] = {
    "task": {"modulus": 59, "train_fraction": 0.6},
    "model": {"d_model": 128, "heads": 2, "d_head": 64, "d_mlp": 512},
    "checkpoints": {"every": 4, "log_spaced": 0},
    "local_learning_coefficient": {"every": 0},
}


@pytest.mark.parametrize(("chosen", "next_time"), [(min, max), (max, min)], ids=["one", "all"])
def test_the_number_of_threads_is_chosen_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: Any, next_time: Any
) -> None:
    """Timed, interrupted, resumed: the bytes of a run on which the same number was forced."""
    monkeypatch.setattr(threads, "most_threads", lambda: 2)
    free, forced = (
        tiny_config(training={"steps": 12, "threads": n}, **WIDE) for n in (0, chosen(1, 2))
    )
    monkeypatch.setattr(threads, "faster", chosen)
    run = interrupted(Trained(settings_at(tmp_path / "free"), "wide", free), checkpoints=2)
    monkeypatch.setattr(threads, "faster", next_time)
    finish(run)
    other = Trained(settings_at(tmp_path / "forced"), "wide", forced)
    assert start(other.settings, forced, "wide", JsonReporter()) == 0
    found, expected = run.objects(), other.objects()
    assert found.pop("run.json") != expected.pop("run.json")  # the configurations differ
    assert found == expected


def test_fewer_cpus_than_before_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run goes on with the threads that it began with."""
    monkeypatch.setattr(threads, "most_threads", lambda: 3)
    monkeypatch.setattr(threads, "faster", max)
    config = tiny_config(training={"steps": 60, "threads": 0}, local_learning_coefficient={})
    run = interrupted(Trained(settings_at(tmp_path), "tiny", config), checkpoints=3)
    monkeypatch.setattr(threads, "most_threads", lambda: 2)
    capsys.readouterr()
    finish(run)
    said = events(capsys.readouterr().out)
    assert "threads" not in {event["event"] for event in said}
    [warning] = [str(event["message"]) for event in said if event["event"] == "warning"]
    assert warning.startswith("training began with 3 threads and goes on with them")
    assert "this process may use 2 CPUs" in warning


def test_a_changed_configuration_is_refused_with_the_difference(trained: Trained) -> None:
    """Neither `train` nor `train --resume` touches a run of another configuration."""
    other = tiny_config(optimiser={"weight_decay": 0.5}, task={"split_seed": 3})
    before = trained.objects()
    for go_on in (False, True):
        with pytest.raises(InvalidInput) as caught:
            start(trained.settings, other, "tiny", JsonReporter(), go_on=go_on)
        message = str(caught.value)
        assert "task.split_seed is 0 there, 3 here" in message
        assert "optimiser.weight_decay is 1.0 there, 0.5 here" in message
        assert "choose another name with --run" in message
    with pytest.raises(RunExists):
        start(trained.settings, trained.config, "tiny", JsonReporter())
    assert trained.objects() == before


def test_train_or_resume_is_one_command(trained: Trained, tmp_path: Path) -> None:
    """`train --resume`: a new run, an interrupted one, an ended one."""
    run = interrupted(Trained(settings_at(tmp_path), "tiny", trained.config))
    for _ in range(2):
        assert start(run.settings, run.config, "tiny", JsonReporter(), go_on=True) == 0
    assert run.objects() == trained.objects()


# -- ensembles --------------------------------------------------------------------------------


def test_an_ensemble_is_gone_on_with_as_one(tmp_path: Path) -> None:
    """Every member's objects are those of the ensemble that was not interrupted."""
    configs = {f"m{seed}": tiny_config(training={"seed": seed}) for seed in range(3)}
    whole, parted = settings_at(tmp_path / "whole"), settings_at(tmp_path / "parted")
    assert start_all(whole, configs, "group", JsonReporter(), group="group") == 0
    assert start_all(parted, configs, "group", Until(20), group="group") == 130
    again: dict[str, Any] = {"group": "group", "go_on": True}
    assert start_all(parted, configs, "group", JsonReporter(), **again) == 0
    for run, config in configs.items():
        assert Trained(parted, run, config).objects() == Trained(whole, run, config).objects()
        assert asyncio.run(archive(parted).run(run)).group == "group"
        assert asyncio.run(problems(archive(parted), run)) == []


def test_a_member_goes_on_alone(tmp_path: Path) -> None:
    """Each is a run of its own: `resume` needs nobody else."""
    configs = {f"m{seed}": tiny_config(training={"seed": seed}) for seed in range(2)}
    settings = settings_at(tmp_path)
    assert start_all(settings, configs, "group", Until(10), group="group") == 130
    assert resume(settings, "m1", JsonReporter()) == 0
    completion = asyncio.run(archive(settings).completion("m1"))
    assert completion is not None
    assert (completion.status, completion.step) == ("complete", 400)
    assert asyncio.run(archive(settings).completion("m0")) is None


def steps_of(run: Trained) -> list[int]:
    """The steps of a run's training states, newest first."""
    return [state.record.step for state in states(run)[0]]


def test_members_that_stand_apart_go_on_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One was resumed alone, one is new: no step is trained twice, and nobody begins again."""
    configs = {f"m{seed}": tiny_config(training={"seed": seed}) for seed in range(4)}
    settings = settings_at(tmp_path)
    three = {run: configs[run] for run in ("m0", "m1", "m2")}
    assert start_all(settings, three, "group", Until(15), group="group") == 130
    alone = Trained(settings, "m1", configs["m1"])
    stood = steps_of(Trained(settings, "m0", configs["m0"]))[0]
    assert resume(settings, "m1", Until(3)) == 130
    assert steps_of(alone)[0] > stood
    capsys.readouterr()
    assert start_all(settings, configs, "group", JsonReporter(), group="group", go_on=True) == 0
    starts = [
        int(str(e["first"])) for e in events(capsys.readouterr().out) if e["event"] == "start"
    ]
    assert len(starts) == 3
    assert min(starts) == 0
    for run, config in configs.items():
        assert manifests(Trained(settings, run, config))[-1].step == 400
        assert asyncio.run(problems(archive(settings), run)) == []


def test_every_state_is_saved_before_anything_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any publication, all members have a state of that step: none is computed again."""
    configs = {f"m{seed}": tiny_config(training={"seed": seed}) for seed in range(3)}
    settings = settings_at(tmp_path)
    runs = [Trained(settings, run, config) for run, config in configs.items()]
    put, left = Publication.put, [7]

    class Killed(BaseException):
        """The process is gone."""

    async def dying(self: Publication, *args: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise Killed
        await put(self, *args)

    monkeypatch.setattr(Publication, "put", dying)
    with pytest.raises(Killed):
        start_all(settings, configs, "group", JsonReporter(), group="group")
    published = max(manifest.step for run in runs for manifest in manifests(run))
    assert published in set.intersection(*(set(steps_of(run)) for run in runs))


def test_a_superseded_trainer_clears_no_newer_state(trained: Trained, tmp_path: Path) -> None:
    """Not even if it had checked its attempt before the newer one began."""
    run = interrupted(Trained(settings_at(tmp_path), "tiny", trained.config))
    before = steps_of(run)
    asyncio.run(TrainingStates(archive(run.settings).objects).clear("tiny", below=1))
    assert steps_of(run) == before
    asyncio.run(TrainingStates(archive(run.settings).objects).clear("tiny", below=2))
    assert steps_of(run) == []


# -- early stop and transitions -----------------------------------------------------------------

GROKS: dict[str, dict[str, Any]] = {
    "task": {"modulus": 13, "train_fraction": 0.9},
    "model": {"d_model": 32, "heads": 2, "d_head": 16, "d_mlp": 64},
    "training": {"steps": 5_000, "settle_steps": 100},
    "checkpoints": {"every": 50, "log_spaced": 0, "transition_change": 0.2},
    "local_learning_coefficient": {"every": 0},
}


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run that generalises and is stopped by the rule."""
    run = Trained(settings_at(tmp_path_factory.mktemp("settled")), "g", tiny_config(**GROKS))
    assert start(run.settings, run.config, "g", JsonReporter()) == 0
    return run


def test_a_run_that_has_settled_is_stopped(settled: Trained) -> None:
    """At the first scheduled checkpoint at which it has generalised for so many steps."""
    completion = asyncio.run(archive(settled.settings).completion("g"))
    assert completion is not None
    assert completion.status == "stopped"
    assert completion.reason == "test accuracy has been at least 0.99 for 100 steps"
    accuracies = {m.step: m.measures["test_accuracy"] or 0.0 for m in manifests(settled)}
    scheduled = [step for step in accuracies if step % 50 == 0]
    assert completion.step == max(accuracies) == scheduled[-1]
    assert all(accuracies[step] >= 0.99 for step in scheduled[-3:])
    assert accuracies[scheduled[-4]] < 0.99


def test_fast_changes_are_resolved_after_the_fact(settled: Trained) -> None:
    """Between scheduled checkpoints .2 apart in test accuracy, every tenth step is there."""
    accuracies = {m.step: m.measures["test_accuracy"] or 0.0 for m in manifests(settled)}
    scheduled = [step for step in accuracies if step % 50 == 0]
    jumps = 0
    for before, after in pairwise(scheduled):
        jumped = abs(accuracies[after] - accuracies[before]) >= 0.2
        between = [step for step in accuracies if before < step < after]
        assert between == (list(range(before + 10, after, 10)) if jumped else [])
        jumps += jumped
    assert 0 < jumps < len(scheduled) / 2


@pytest.mark.parametrize("seed", range(3))
def test_a_stopped_run_with_kills_has_the_same_bytes(
    settled: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Killed at a random write, also between those of a transition: the rules decide alike."""
    run = Trained(settings_at(tmp_path), "g", settled.config)
    moments = random.Random(seed)

    class Killed(BaseException):
        """The process is gone."""

    put = Publication.put
    for _ in range(4):
        left = moments.randrange(1, 12)

        async def dying(self: Publication, *args: Any, left: list[int] = [left]) -> None:  # noqa: B006
            if not left[0]:
                raise Killed
            left[0] -= 1
            await put(self, *args)

        monkeypatch.setattr(Publication, "put", dying)
        try:
            start(run.settings, run.config, "g", JsonReporter(), go_on=True)
        except Killed:
            continue
    monkeypatch.setattr(Publication, "put", put)
    assert start(run.settings, run.config, "g", JsonReporter(), go_on=True) == 0
    assert run.objects() == settled.objects()


# -- failures ---------------------------------------------------------------------------------


def trained_after(
    statements: str, run: Trained, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """`train` to its end in a process of its own, which begins with some statements."""
    program = "import sys; from trainer.__main__ import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", f"{statements}; {program}", "train", *arguments],
        env={**os.environ, "GROKPROBE_HOME": run.settings.home},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root to be mounted")
def test_a_full_disk_stops_training_and_publishes_nothing_wrong(
    trained: Trained, tmp_path: Path
) -> None:
    """The error names the object and the cause; with space again the run goes on to its bytes."""
    store = tmp_path / "store"
    store.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(store)], check=False
    ).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        run = Trained(settings_at(tmp_path), "tiny", trained.config)
        impatient = "import trainer.publishing.publication as p; p.RETRY_S = 1.0"
        done = trained_after(impatient, run, "--config", configured(tmp_path), "--run", "tiny")
        assert done.returncode == Exit.STORE_AWAY
        assert done.stderr.count("\n") == 1
        assert "object storage cannot write: " in done.stderr
        assert "No space left on device" in done.stderr
        for problem in asyncio.run(problems(archive(run.settings), "tiny")):
            assert "is an object that nothing refers to" in problem
        subprocess.run(["mount", "-o", "remount,size=100m", str(store)], check=True)
        finish(run)
        assert run.objects() == trained.objects()
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)


def test_too_little_memory_says_what_to_lower(tmp_path: Path) -> None:
    """One line, no traceback, and no checkpoint."""
    run = Trained(settings_at(tmp_path), "large", tiny_config())
    sizes = ("--set", "model.d_mlp=65536", "--set", "model.d_model=65536")
    limited = "import resource, torch; resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))"
    command = ("--config", configured(tmp_path), "--run", "large", *sizes)
    done = trained_after(limited, run, *command)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "error: too little memory of the device for 'large'" in done.stderr
    assert "lower model.d_mlp or model.d_model, or set training.batch" in done.stderr
    assert manifests(run) == []


def test_a_member_that_ends_early_is_published_as_ended(tmp_path: Path) -> None:
    """While the others train: interrupted and gone on with, they do not begin again."""
    hot = {"learning_rate": 1.0, "weight_decay": 1000.0}
    configs = {"hot": tiny_config(optimiser=hot), "cool": tiny_config()}
    settings = settings_at(tmp_path)
    assert start_all(settings, configs, "group", Until(12), group="group") == 130
    completion = asyncio.run(archive(settings).completion("hot"))
    assert completion is not None
    assert completion.status == "failed"
    newest = states(Trained(settings, "cool", configs["cool"]))[0][0].record.step
    assert newest > completion.step
    with pytest.raises(RunFailed, match="'hot' failed"):
        start_all(settings, configs, "group", JsonReporter(), group="group", go_on=True)
    completion = asyncio.run(archive(settings).completion("cool"))
    assert completion is not None
    assert completion.status == "complete"
