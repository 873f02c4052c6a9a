"""The training loop, and the thread beside it."""

import asyncio
import math
import threading

import msgspec
import numpy as np
import pytest
import torch

from grokprobe.errors import InvalidInput
from tests.trained import tiny_config
from trainer.config import Config
from trainer.data import draw
from trainer.measure import NotFinite
from trainer.models import make_network
from trainer.train import Snapshot, make_optimiser, prepare, train, warm_up
from trainer.worker import Worker


def trained_with(
    config: Config, due: set[int], stop_at: int = -1
) -> tuple[int, list[Snapshot], list[float]]:
    """Train; return the last step, the snapshots and the loss of every step."""
    snapshots: list[Snapshot] = []
    losses: list[float] = []
    last = train(
        config,
        make_network(config.model, config.task.modulus, config.training.seed),
        draw(config.task),
        due=due,
        publish=snapshots.append,
        report=lambda _, loss: losses.append(loss),
        stopping=lambda: len(losses) - 1 == stop_at,
    )
    return last, snapshots, losses


@pytest.fixture(autouse=True)
def _prepared() -> None:
    prepare(tiny_config().training)


def test_a_network_memorises() -> None:
    """The loss starts at ln p and ends near zero; step N is N updates after the initial weights."""
    last, snapshots, losses = trained_with(tiny_config(), {0, 400})
    assert last == 400
    assert [snapshot.step for snapshot in snapshots] == [0, 400]
    assert len(losses) == 401
    assert losses[0] == pytest.approx(math.log(13), rel=0.1)
    assert losses[-1] < 0.05
    initial = make_network(tiny_config().model, 13, 0)
    np.testing.assert_array_equal(
        snapshots[0].weights["W_E"], initial.get_parameter("W_E").detach()
    )


def test_training_twice_is_training_once() -> None:
    """On the CPU, with one thread count, every bit is the same."""
    first, second = (trained_with(tiny_config(), {0, 60, 400})[1] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.sample_logits.tobytes() == other.sample_logits.tobytes()
        for name, weight in one.weights.items():
            assert weight.tobytes() == other.weights[name].tobytes()


def test_a_snapshot_stands_still() -> None:
    """Training goes on with other memory: a snapshot is not what it will be 400 steps later."""
    _, [first, last], _ = trained_with(tiny_config(), {0, 400})
    assert not np.array_equal(first.weights["W_in"], last.weights["W_in"])


def test_the_learning_rate_warms_up_linearly() -> None:
    """Update 1 of 10 has a tenth of it, update 10 and all later ones the whole."""
    section = tiny_config(optimiser={"learning_rate": 0.5, "warmup_steps": 10}).optimiser
    optimiser = make_optimiser(torch.nn.Linear(2, 2), section)
    rates = []
    for step in range(12):
        warm_up(optimiser, section, step)
        rates.append(optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([0.05 * n for n in range(1, 11)] + [0.5, 0.5])


def test_no_warm_up_is_the_whole_rate_at_once() -> None:
    """`warmup_steps = 0` is not a division by zero."""
    section = msgspec.structs.replace(tiny_config().optimiser, warmup_steps=0)
    optimiser = make_optimiser(torch.nn.Linear(2, 2), section)
    warm_up(optimiser, section, 0)
    assert optimiser.param_groups[0]["lr"] == section.learning_rate


def test_a_stop_finishes_the_step() -> None:
    """What is due at that step is published before training stops."""
    last, snapshots, _ = trained_with(tiny_config(), {0, 7, 9}, stop_at=7)
    assert last == 7
    assert [snapshot.step for snapshot in snapshots] == [0, 7]


def test_a_loss_that_is_no_number_ends_training() -> None:
    """The step is named, and nothing of it or after it is published."""
    exploding = tiny_config(optimiser={"learning_rate": 1.0, "weight_decay": 1000.0})
    published: list[Snapshot] = []
    with pytest.raises(NotFinite, match=r"train_loss is not finite at step \d+") as caught:
        train(
            exploding,
            make_network(exploding.model, 13, 0),
            draw(exploding.task),
            due=range(401),
            publish=published.append,
            report=lambda *_: None,
            stopping=lambda: False,
        )
    assert [snapshot.step for snapshot in published] == list(range(caught.value.step))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_forced_gpu_that_is_missing_is_refused() -> None:
    """`auto` falls back to the CPU, `cuda` does not."""
    section = msgspec.structs.replace(tiny_config().training, device="cuda")
    with pytest.raises(InvalidInput, match=r"training\.device: cuda is forced"):
        prepare(section)
    assert prepare(msgspec.structs.replace(section, device="auto")).type == "cpu"


def test_posted_work_is_done_in_order_and_bounded() -> None:
    """With `bound` calls waiting, the next post waits: that is the back-pressure."""
    done: list[int] = []
    gate = threading.Event()

    async def work(number: int) -> None:
        gate.wait(10)
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
        late.join(10)
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
