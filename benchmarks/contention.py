"""`python -m benchmarks.contention`: training beside others, by two rules for its threads.

Before: as many threads as the machine has cores, and a sweep's cells one after another. Now: one
or all, timed, and a sweep's cells beside each other; also with threads that never spin while they
wait.

1. Steps per second of `quickstart`, alone and beside one busy process; each training is a process
   of its own, the rules take turns.
2. The time of a sweep of four short quickstarts, from the command to its end.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from rich.console import Console

from benchmarks.servers import how_quiet
from grokprobe.machine.cpus import allowed_cpus
from trainer.config.schema import load_config, preset
from trainer.jobs.threads import settle_threads
from trainer.learning.data import draw
from trainer.learning.learner import Learner
from trainer.learning.train import prepare
from trainer.publishing.worker import Worker
from trainer.reporting.progress import TextReporter

ROUNDS = 5  # of trainings
TRAINING_S = 3.0  # of each
SWEEPS = 1  # by each rule
CELL_STEPS = 300


@dataclass(frozen=True)
class Rule:
    """How a trainer comes to its threads."""

    threads: int  # forced; 0: none are
    jobs: list[str]
    environment: dict[str, str] = field(default_factory=dict)


RULES = {
    "before": Rule(os.cpu_count() or 1, ["--jobs", "1"], {"GOMP_SPINCOUNT": "1000"}),
    "now": Rule(0, []),
    "now, never spinning": Rule(0, [], {"GOMP_SPINCOUNT": "0"}),
}


class Trained(msgspec.Struct):
    """What a training of TRAINING_S found."""

    threads: int
    rate: float  # steps/s


def train(threads: int) -> Trained:
    """Train `quickstart` for a while, here; the choice of threads is made before."""
    config = load_config(
        preset("quickstart"), [f"training.threads={threads}", "training.device=cpu"]
    )
    grid, device = draw(config.task), prepare(config.training)
    if not threads:
        with Worker() as worker:
            settle_threads([config], [grid], [], worker, TextReporter(Console(quiet=True)))
    learner = Learner([config], [grid], device)
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < TRAINING_S:
        learner.update(learner.losses())
    return Trained(torch.get_num_threads(), learner.step / spent)


def trained(rule: Rule) -> Trained:
    """The same in a process of its own: OpenMP reads the environment once."""
    command = [sys.executable, "-m", "benchmarks.contention", str(rule.threads)]
    environment = os.environ | rule.environment
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Trained)


@contextmanager
def busy() -> Iterator[None]:
    """One process that computes and never waits."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def swept(rule: Rule) -> float:
    """The seconds of a sweep, with the start of its processes and all publication."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "seeds.toml"
        section = f'[training]\ndevice = "cpu"\nsteps = {CELL_STEPS}\nthreads = {rule.threads}\n'
        grid = '[grid]\n"training.seed" = [0, 1, 2, 3]\n'
        file.write_text(f'preset = "quickstart"\n{section}{grid}', encoding="utf-8")
        environment = os.environ | rule.environment | {"GROKPROBE_HOME": home}
        command = [sys.executable, "-m", "trainer", "sweep", str(file), *rule.jobs]
        began = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began


def against_before(rounds: Mapping[str, Sequence[float]], name: str) -> str:
    """`1.52 times (1.40 to 1.61)`: the median of the rounds, the least and the most."""
    found = sorted(b / a for a, b in zip(rounds["before"], rounds[name], strict=True))
    return f"{statistics.median(found):.2f} times ({found[0]:.2f} to {found[-1]:.2f})"


def compare_trainings() -> None:
    """Print a line for each rule, alone and beside a busy process."""
    for where, others in (("alone", nullcontext), ("beside a busy process", busy)):
        rounds: dict[str, list[float]] = {name: [] for name in RULES}
        threads: dict[str, list[int]] = {name: [] for name in RULES}
        for _ in range(ROUNDS):
            for name, rule in RULES.items():
                with others():
                    found = trained(rule)
                rounds[name].append(found.rate)
                threads[name].append(found.threads)
        print(f"quickstart {where}, {ROUNDS} trainings by each rule, load {os.getloadavg()[0]:.1f}")
        for name, rates in rounds.items():
            chosen = " ".join(map(str, threads[name]))
            print(
                f"  {name:<20}{statistics.median(rates):7.1f} steps/s,"
                f" {against_before(rounds, name)} as many; threads: {chosen}"
            )


def compare_sweeps() -> None:
    """Print the time of a sweep by each rule."""
    rounds: dict[str, list[float]] = {"before": [], "now": []}
    for _ in range(SWEEPS):
        for name, seconds in rounds.items():
            seconds.append(swept(RULES[name]))
    inverse = {name: [1 / each for each in seconds] for name, seconds in rounds.items()}
    load_config = f"load {os.getloadavg()[0]:.1f}"
    print(f"four quickstarts of {CELL_STEPS} steps, {SWEEPS} sweeps by each rule, {load_config}")
    for name, seconds in rounds.items():
        fast = against_before(inverse, name)
        print(f"  {name:<20}{statistics.median(seconds):7.1f} s, {fast} as fast")


def main() -> None:
    """Compare; with a number of threads, one training whose figures go to the parent."""
    if sys.argv[1:]:
        sys.stdout.buffer.write(msgspec.json.encode(train(int(sys.argv[1]))))
        return
    print(f"{how_quiet()}, {allowed_cpus()} CPUs allowed")
    compare_trainings()
    compare_sweeps()


if __name__ == "__main__":
    main()
