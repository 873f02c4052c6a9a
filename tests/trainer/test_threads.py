"""The number of threads that train: how it is timed, when, and for how long at most."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.trained import events, settings_at, tiny_config
from trainer.config.schema import Config
from trainer.jobs import threads
from trainer.jobs.threads import ROUND_STEPS, ROUNDS, faster, time_steps
from trainer.jobs.training import start, start_all
from trainer.reporting.progress import JsonReporter

SHORT = {"training": {"steps": 5}, "local_learning_coefficient": {"every": 0}}


def short(forced: int, seed: int = 0) -> Config:
    """A tiny run of a few steps, on so many threads; 0 leaves the choice to the trainer."""
    return tiny_config(**SHORT | {"training": {"steps": 5, "threads": forced, "seed": seed}})


@pytest.fixture(autouse=True)
def _two_cpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if this process might use two CPUs, on any machine; other tests keep their threads."""
    monkeypatch.setattr(threads, "most_threads", lambda: 2)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def heard(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """What trainers have said about threads."""
    return [event for event in events(capsys.readouterr().out) if event["event"] == "threads"]


def test_a_new_run_is_timed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By one thread and by all; an ensemble too; the choice is what torch then computes with."""
    settings = settings_at(tmp_path)
    assert start(settings, short(0), "one", JsonReporter()) == 0
    [event] = heard(capsys)
    assert list(event["step_ms"]) == ["1", "2"]  # type: ignore[call-overload]
    assert event["threads"] == torch.get_num_threads()
    members = {f"m{seed}": short(0, seed) for seed in range(2)}
    assert start_all(settings, members, "group", JsonReporter(), group="group") == 0
    assert len(heard(capsys)) == 1


def test_a_forced_number_is_not_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is anything where there is one CPU."""
    assert start(settings_at(tmp_path), short(3), "one", JsonReporter()) == 0
    assert torch.get_num_threads() == 3
    assert heard(capsys) == []


def test_one_cpu_leaves_no_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is timed."""
    monkeypatch.setattr(threads, "most_threads", lambda: 1)
    assert start(settings_at(tmp_path), short(0), "one", JsonReporter()) == 0
    assert torch.get_num_threads() == 1
    assert heard(capsys) == []


@pytest.mark.parametrize(
    ("seconds_at_most", "steps"), [(1e9, (1 + ROUNDS) * ROUND_STEPS), (0.0, 1)]
)
def test_timing_ends(monkeypatch: pytest.MonkeyPatch, seconds_at_most: float, steps: int) -> None:
    """After so many steps, or so much time; each number has its step however long that takes."""
    monkeypatch.setattr(threads, "TIMING_S", seconds_at_most)
    done: Counter[int] = Counter()
    seconds = time_steps(lambda: done.update([torch.get_num_threads()]), (1, 2))
    assert done == {1: steps, 2: steps}
    assert min(seconds.values()) > 0


@pytest.mark.parametrize(("all_s", "chosen"), [(0.5, 4), (0.94, 4), (0.96, 1), (1.0, 1), (3.0, 1)])
def test_more_threads_have_to_gain(all_s: float, chosen: int) -> None:
    """A twentieth of a step at least."""
    assert faster({1: 1.0, 4: all_s}) == chosen
