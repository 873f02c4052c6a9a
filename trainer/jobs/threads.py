"""How many threads train on a CPU: one, or as many as there are CPUs, whichever is faster.

That depends on the network, on the machine and on who else works there: threads wait for each other
at hundreds of barriers a step. So both are timed before training begins, taking turns, on a network
of their own that is thrown away. The last bits of a sum depend on the number: it is recorded in the
training state (publishing/training_state.py), and a run that is resumed goes on with it.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import torch

from grokprobe.machine.cpus import most_threads
from trainer.config.schema import Config
from trainer.learning.data import Grid
from trainer.learning.learner import Learner
from trainer.publishing.worker import Worker
from trainer.reporting.progress import Reporter

ROUNDS = 10  # of timing at most, after one for what is made at first use
ROUND_STEPS = 3  # by each number of threads
TIMING_S = 1.0  # a step that begins later is a number's first: one may take seconds
GAIN = 0.95  # all must save a twentieth: one thread leaves the other CPUs to others


def time_steps(step: Callable[[], object], numbers: Iterable[int]) -> dict[int, float]:
    """The median seconds of a step by each of these numbers of threads."""
    times: dict[int, list[float]] = {number: [] for number in numbers}
    end = time.perf_counter() + TIMING_S
    for _ in range(1 + ROUNDS):
        for number in times:
            torch.set_num_threads(number)
            times[number] += _timed(step, end)
        if time.perf_counter() > end:
            break
    return {n: statistics.median(taken[ROUND_STEPS:] or taken) for n, taken in times.items()}


def _timed(step: Callable[[], object], end: float) -> list[float]:
    """The seconds of each of ROUND_STEPS steps, or of fewer that reach the end."""
    moments = [time.perf_counter()]
    while len(moments) <= ROUND_STEPS and (len(moments) == 1 or moments[-1] < end):
        step()
        moments.append(time.perf_counter())
    return [after - before for before, after in pairwise(moments)]


def faster(seconds: Mapping[int, float]) -> int:
    """The number of threads to train with: the fewest, but for one that saves a twentieth."""
    best, fewest = min(seconds, key=seconds.__getitem__), min(seconds)
    return best if seconds[best] < GAIN * seconds[fewest] else fewest


def settle_threads(
    configs: Sequence[Config],
    grids: Sequence[Grid],
    saved: Iterable[Mapping[str, str | int]],
    worker: Worker,
    reporter: Reporter,
) -> None:
    """Set the threads of who trains on a CPU, and of the publisher, where none are forced.

    They are those of the `saved` environments of the training states; of a new run, the faster.
    """
    most = most_threads()
    recorded = next((n for one in saved if isinstance(n := one.get("threads"), int)), 0)
    if recorded > most:
        reporter.warn(
            f"training began with {recorded} threads and goes on with them, so that the results "
            f"stay the same, but this process may use {most} CPUs: steps will take longer"
        )
    number = recorded or (1 if most == 1 else _choose(configs, grids, most, reporter))
    torch.set_num_threads(number)

    async def follow() -> None:  # OpenMP keeps the number for each thread
        torch.set_num_threads(number)

    worker.call(follow)


def _choose(configs: Sequence[Config], grids: Sequence[Grid], most: int, reporter: Reporter) -> int:
    learner = Learner(configs, grids, torch.device("cpu"))
    seconds = time_steps(lambda: learner.update(learner.losses()), (1, most))
    number = faster(seconds)
    reporter.timed(seconds, number)
    return number
