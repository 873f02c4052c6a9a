"""`python -m benchmarks.ensembles [PRESET] [MEMBERS ...]`: how many runs one device trains at once.

Steps per second of one run, and of ensembles of it with as many seeds, taking turns; run-steps are
steps times members. On a GPU the captured step, without publication: in float32 and in TF32, as in
runs too short to be compiled for and as in long ones (COMPILED_FROM of the trainer).
"""

import statistics
import sys
import time

import msgspec
import torch

from trainer.config import Config, TrainingSection, load, preset
from trainer.data import draw
from trainer.learner import Learner
from trainer.state import environment
from trainer.train import prepare

ROUNDS = 5
ROUND_S = 2.0  # at least; whole steps


def seeds(config: Config, count: int) -> list[Config]:
    """The members of an ensemble."""
    replace = msgspec.structs.replace
    return [replace(config, training=replace(config.training, seed=seed)) for seed in range(count)]


def steps_per_second(learner: Learner) -> float:
    """Over about ROUND_S; `advance` waits for the device at its end."""
    began, first, chunk = time.perf_counter(), learner.step, 1
    while (spent := time.perf_counter() - began) < ROUND_S:
        done = learner.step - first
        chunk = 1 if not done else max(1, min(200, int((ROUND_S - spent) * done / spent)))
        learner.advance(learner.step + chunk)
    return (learner.step - first) / spent


def compare(config: Config, counts: list[int]) -> None:
    """Print a line for each number of members."""
    device, grid = prepare(config.training), draw(config.task)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    learners = {count: Learner(seeds(config, count), [grid] * count, device) for count in counts}
    for learner in learners.values():
        learner.advance(5)  # first use, and on a GPU the capture
    rounds: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(ROUNDS):
        for count, learner in learners.items():
            rounds[count].append(count * steps_per_second(learner))
    for count, rates in rounds.items():
        ratio = statistics.median(
            rate / alone for rate, alone in zip(rates, rounds[counts[0]], strict=True)
        )
        rate = statistics.median(rates)
        print(
            f"  {count:>4} members {rate / count:9.1f} steps/s {rate:9.1f} run-steps/s, "
            f"{ratio:5.2f} times as many as {counts[0]} member"
        )
    if device.type == "cuda":  # all of them together
        print(f"  {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB of the device at most")


def cases(config: Config) -> list[tuple[str, TrainingSection]]:
    """What is compared, and what it is called."""
    replace = msgspec.structs.replace
    if not torch.cuda.is_available():
        return [("float32", config.training)]
    return [
        (f"{precision}, {how}", replace(config.training, precision=precision, steps=steps))
        for precision in ("float32", "tf32")
        for how, steps in (("captured", 1), ("compiled and captured", 10**9))
    ]


def main() -> None:
    """Compare in each case."""
    name = sys.argv[1] if len(sys.argv) > 1 else "quickstart"
    counts = [int(count) for count in sys.argv[2:]] or [1, 8, 32]
    config = load(preset(name))
    for case, training in cases(config):
        facts = environment(prepare(training), 1)
        print(f"{name}, {case}, {facts['device']}, {facts['threads']} threads")
        compare(msgspec.structs.replace(config, training=training), counts)


if __name__ == "__main__":
    main()
