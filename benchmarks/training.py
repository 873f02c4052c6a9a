"""`python -m benchmarks.training`: the speed of training the mainline, on this machine.

1. Steps per second of the fast form against the textbook form
   (tests/support/reference.py) and against the float32 matrix products that no last-position
   form can avoid, all interleaved.
2. Training with a checkpoint published every 100 steps against training with none, to local files
   and to a store that takes 200 ms more for each write.
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from obstore.store import LocalStore
from rich.console import Console
from torch import Tensor

from grokprobe.settings import Settings
from grokprobe.store.archive.reader import ArchiveReader
from tests.support import reference
from trainer.config.schema import Config, TrainingSection, TransformerSection
from trainer.jobs.opening import describe_run, opened_backends
from trainer.learning.data import Grid, draw
from trainer.learning.learner import Learner
from trainer.learning.losses import cross_entropy
from trainer.learning.optimisers import make_optimisers
from trainer.learning.train import Callback, prepare, train
from trainer.models import make_network
from trainer.models.export import export_graph
from trainer.publishing.training_run import TrainingRun
from trainer.publishing.worker import Worker
from trainer.reporting.progress import TextReporter

ROUNDS = 7
TRAININGS = 5  # of each kind, taking turns
SLOW_S = 0.2  # what the slow store adds to each write
STEPS = 200  # of each

Action = Callable[[], None]


def seconds(action: Action, repeats: int) -> float:
    """The mean time of one call, over `repeats` calls."""
    began = time.perf_counter()
    for _ in range(repeats):
        action()
    return (time.perf_counter() - began) / repeats


def interleaved(cases: dict[str, tuple[Action, int]], rounds: int) -> dict[str, float]:
    """The median time of each case in seconds, the cases taking turns; one round warms up."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, (action, repeats) in cases.items():
            times[name].append(seconds(action, repeats))
    return {name: statistics.median(measured[1:]) for name, measured in times.items()}


def _section(config: Config) -> TransformerSection:
    assert isinstance(config.model, TransformerSection)
    return config.model


def training_step(config: Config, grid: Grid, textbook: bool) -> Action:
    """One full-batch update, in the fast or in the textbook form."""
    model = make_network(config.model, config.task.modulus, seed=0)
    pairs, answers = grid.train_part(torch.device("cpu"))
    weights = dict(model.named_parameters())
    [optimiser] = make_optimisers([(config.optimiser, weights)])

    def loss() -> Tensor:
        if textbook:
            logits = reference.transformer(weights, pairs, _section(config).heads)["logits"]
            return reference.cross_entropy(logits, answers)
        return cross_entropy(model(pairs).logits, answers)

    def step() -> None:
        loss().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def matrix_products(config: Config, rows: int) -> Action:
    """W_O, W_in, W_out and W_U on `rows` rows: one product forward, two backward, each."""
    section, p = _section(config), config.task.modulus
    shapes = [
        (section.heads * section.d_head, section.d_model),
        (section.d_model, section.d_mlp),
        (section.d_mlp, section.d_model),
        (section.d_model, p),
    ]
    operands = [(torch.randn(rows, n), torch.randn(n, m), torch.randn(rows, m)) for n, m in shapes]

    def products() -> None:
        for x, weight, gradient in operands:
            x @ weight, gradient @ weight.T, x.T @ gradient

    return products


def compare_forms(config: Config, grid: Grid) -> None:
    """Print the three times and their ratios."""
    fast = training_step(config, grid, textbook=False)
    textbook = training_step(config, grid, textbook=True)
    train_pairs = grid.split["train_pairs"]
    bound = matrix_products(config, train_pairs)
    cases = {"fast": (fast, 8), "textbook": (textbook, 2), "bound": (bound, 8)}
    times = interleaved(cases, ROUNDS)
    print(f"mainline, {train_pairs:,} pairs, {torch.get_num_threads()} threads")
    for name, each in times.items():
        print(f"  {name:<9}{each * 1e3:8.1f} ms a step {1 / each:8.1f} steps/s")
    print(f"  fast form against textbook form: {times['textbook'] / times['fast']:.1f} times")
    print(f"  fast form against matrix products: {times['bound'] / times['fast']:.2f} of the bound")


class Publishing:
    """A Callback with two checkpoints in the middle; without a member they are not published."""

    def __init__(self, worker: Worker, member: TrainingRun | None = None) -> None:
        self._worker, self._member = worker, member

    def due(self, step: int) -> bool:
        """One every 100 steps."""
        return step in (STEPS // 4, STEPS * 3 // 4)

    def reached(self, learner: Learner) -> None:
        """As in a session."""
        if self._member:
            self._worker.post(self._member.publish, learner.snapshot(0))

    def failed(self, member: int, step: int) -> None:
        """Never seen here."""

    def report(self, step: int, losses: Sequence[float]) -> None:
        """To nobody."""

    def stopping(self) -> bool:
        """Not before the end."""
        return False


def train_once(config: Config, grid: Grid, listener: Callback) -> float:
    """The time of STEPS updates from the same weights."""
    learner = Learner([config], [grid], torch.device("cpu"))
    began = time.perf_counter()
    train(learner, STEPS, listener)
    return time.perf_counter() - began


class SlowStore(LocalStore):
    """Local files behind a slow network: every write takes SLOW_S longer."""

    def put(self, *args: Any, **kwargs: Any) -> Any:
        """Write, slowly."""
        time.sleep(SLOW_S)
        return super().put(*args, **kwargs)


def compare_publication(config: Config, grid: Grid, home: Path) -> None:
    """Print the times of training with a checkpoint every 100 steps and with none."""
    proto = export_graph(make_network(config.model, config.task.modulus, seed=0), grid.sample())
    reporter = TextReporter(Console(quiet=True))
    times: dict[str, list[float]] = {"none": [], "published": [], "slow store": []}
    with Worker() as worker, opened_backends(worker, Settings(home=str(home))) as backends:
        worker.bound = config.checkpoints.queue
        slow = replace(backends, archive=ArchiveReader(SlowStore(home / "slow", mkdir=True)))
        for number in range(TRAININGS + 1):
            times["none"].append(train_once(config, grid, Publishing(worker)))
            for name, where in (("published", backends), ("slow store", slow)):
                manifest = describe_run(f"run-{number}-{name[:4]}", config, grid)
                member = TrainingRun(where, manifest, config, grid, reporter)
                worker.call(member.publication.create)
                worker.call(member.publication.begin)
                member.prepare(proto, torch.device("cpu"))
                times[name].append(train_once(config, grid, Publishing(worker, member)))
                worker.flush()
    none = statistics.median(times["none"][1:])
    print(f"{STEPS} steps of the mainline, a checkpoint every 100, local files, embedded Redis")
    for name, each in times.items():
        ratios = [own / alone for own, alone in zip(each, times["none"], strict=True)][1:]
        ratio = f"{statistics.median(ratios):.3f} times as long"
        print(f"  {name:<12}{statistics.median(each[1:]):8.2f} s, {ratio}")
    print(f"  slow store: {SLOW_S:.1f} s more for each write; {none / STEPS * 1e3:.0f} ms a step")


def main() -> None:
    """Run both comparisons."""
    config = Config(training=TrainingSection(steps=STEPS, device="cpu"))
    prepare(config.training)
    grid = draw(config.task)
    compare_forms(config, grid)
    with tempfile.TemporaryDirectory() as home:
        compare_publication(config, grid, Path(home))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory, all of the above: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
