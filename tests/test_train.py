"""The training loop, and the thread beside it."""

import asyncio
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
import torch

from grokprobe.errors import InvalidInput
from tests.trained import tiny_config
from trainer import train as loop
from trainer.config import Config
from trainer.data import draw
from trainer.learner import Learner
from trainer.snapshot import Snapshot
from trainer.train import prepare, train
from trainer.worker import Worker


@dataclass
class Recorder:
    """A Listener that keeps what it is told."""

    steps: set[int]
    stop_at: int = -2
    snapshots: list[Snapshot] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    failures: list[tuple[int, int]] = field(default_factory=list)

    def due(self, step: int) -> bool:
        """Whether that step is recorded."""
        return step in self.steps

    def reached(self, learner: Learner) -> None:
        """Record a step."""
        self.snapshots.append(learner.snapshot(0))

    def failed(self, member: int, step: int) -> None:
        """Record a failure."""
        self.failures.append((member, step))

    def report(self, step: int, losses: Sequence[float]) -> None:
        """Record the loss of the first member."""
        self.losses.append(losses[0])

    def stopping(self) -> bool:
        """At a step, or after a failure."""
        return bool(self.failures) or len(self.losses) - 1 == self.stop_at


def learner_of(config: Config) -> Learner:
    """One network at its initial weights, on the CPU."""
    return Learner([config], [draw(config.task)], torch.device("cpu"))


def trained_with(
    config: Config,
    due: set[int],
    stop_at: int = -2,
    how: Callable[..., int] = train,
) -> tuple[int, Recorder]:
    """Train; return the last step and what was recorded."""
    recorder = Recorder(due, stop_at)
    return how(learner_of(config), config.training.steps, recorder), recorder


def same(one: Snapshot, other: Snapshot) -> bool:
    """Whether two snapshots are equal in every bit."""
    return (
        one.step == other.step
        and one.sample_logits.tobytes() == other.sample_logits.tobytes()
        and all(w.tobytes() == other.weights[n].tobytes() for n, w in one.weights.items())
        and all(m.tobytes() == other.moments[n].tobytes() for n, m in one.moments.items())
        and one.moments.keys() == other.moments.keys()
    )


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare(tiny_config().training)


def test_a_network_memorises() -> None:
    """The loss starts at ln p and ends near zero; step N is N updates after the initial weights."""
    last, found = trained_with(tiny_config(), {0, 400})
    assert last == 400
    assert [snapshot.step for snapshot in found.snapshots] == [0, 400]
    assert len(found.losses) == 401
    assert found.losses[0] == pytest.approx(math.log(13), rel=0.1)
    assert found.losses[-1] < 0.05
    initial = dict(learner_of(tiny_config()).members[0])
    for name, weights in found.snapshots[0].weights.items():
        np.testing.assert_array_equal(weights, initial[name].detach().numpy())


def test_training_twice_is_training_once() -> None:
    """On the CPU, with one thread count, every bit is the same."""
    first, second = (trained_with(tiny_config(), {0, 60, 400})[1].snapshots for _ in range(2))
    assert all(same(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("batch", [0, 32])
def test_looking_once_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """What a GPU does, which is not asked for its losses at each step, gives the same networks."""
    monkeypatch.setattr(loop, "CHUNK", 7)
    config = tiny_config(training={"steps": 40, "batch": batch, "device": "cpu", "threads": 1})
    due = {0, 1, 10, 12, 40}
    last, found = trained_with(config, due, how=loop._train_in_chunks)
    expected = trained_with(config, due)[1]
    assert last == 40
    assert [snapshot.step for snapshot in found.snapshots] == sorted(due)
    pairs = zip(found.snapshots, expected.snapshots, strict=True)
    assert all(same(one, other) for one, other in pairs)
    assert found.losses == [expected.losses[n] for n in (0, 7, 9, 11, 18, 25, 32, 39)]


def test_a_snapshot_stands_still() -> None:
    """Training goes on with other memory: a snapshot is not what it will be 400 steps later."""
    first, last = trained_with(tiny_config(), {0, 400})[1].snapshots
    assert not np.array_equal(first.weights["W_in"], last.weights["W_in"])


def test_a_stop_finishes_the_step() -> None:
    """What is due at that step is published before training stops."""
    last, found = trained_with(tiny_config(), {0, 7, 9}, stop_at=7)
    assert last == 7
    assert [snapshot.step for snapshot in found.snapshots] == [0, 7]


@pytest.mark.parametrize("how", [train, loop._train_in_chunks])
def test_a_loss_that_is_no_number_is_told_with_its_step(how: Callable[..., int]) -> None:
    """The first step without a finite loss is named, whether each is looked at or not."""
    hot = tiny_config(optimiser={"learning_rate": 1.0, "weight_decay": 1000.0})
    _, found = trained_with(hot, set(), how=how)
    _, expected = trained_with(hot, set())
    assert found.failures[0] == expected.failures[0]
    assert found.failures[0][1] == len(expected.losses) - 1 > 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_missing_is_refused_where_it_is_needed() -> None:
    """`auto` falls back to the CPU, `cuda` and TF32 do not."""
    section = msgspec.structs.replace(tiny_config().training, device="cuda")
    with pytest.raises(InvalidInput, match=r"training\.device: cuda is forced"):
        prepare(section)
    auto = msgspec.structs.replace(section, device="auto")
    assert prepare(auto).type == "cpu"
    with pytest.raises(InvalidInput, match=r"training\.precision: tf32"):
        prepare(msgspec.structs.replace(auto, precision="tf32"))


def test_posted_work_is_done_in_order_and_bounded() -> None:
    """With `bound` calls waiting, the next post waits: that is the back-pressure."""
    done: list[int] = []
    gate = threading.Event()

    async def work(number: int) -> None:
        gate.wait()
        done.append(number)

    with Worker() as worker:
        worker.bound = 2
        for number in range(3):  # one runs, two wait
            worker.post(work, number)
        late = threading.Thread(target=worker.post, args=(work, 3))
        late.start()
        late.join(0.2)
        assert late.is_alive()
        gate.set()
        late.join()
        worker.flush()
    assert done == [0, 1, 2, 3]


def test_after_an_error_nothing_more_is_done() -> None:
    """The error comes out of the next post or flush, and what waited is dropped."""
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        if number == 1:
            raise InvalidInput("here", "broken")
        done.append(number)

    with Worker() as worker:
        worker.bound = 9
        for number in range(3):
            worker.post(work, number)
        with pytest.raises(InvalidInput, match="here: broken"):
            worker.flush()
        assert worker.failed
    assert done == [0]
