"""`python -m benchmarks.training`: the speed of training the mainline, on this machine.

1. Steps per second of the fast form against the textbook form (tests/reference.py) and against
   the float32 matrix products that no last-position form can avoid, all interleaved.
2. Training with a checkpoint published every 100 steps against training with none.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from torch import Tensor

from grokprobe.settings import Settings
from tests import reference
from trainer.architecture import TransformerSection
from trainer.config import Config, TrainingSection
from trainer.data import Grid, draw
from trainer.export import Graph, export_graph
from trainer.gradients import Gradients
from trainer.job import Job, describe, opened
from trainer.loss import cross_entropy
from trainer.models import make_network
from trainer.progress import TextReporter
from trainer.publish import Publication
from trainer.train import Snapshot, make_optimiser, prepare, train
from trainer.worker import Worker

ROUNDS = 7
TRAININGS = 3  # with and without publication, taking turns
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
    section = _section(config)
    model = make_network(section, config.task.modulus, seed=0)
    pairs, answers = grid.train_part(torch.device("cpu"))
    optimiser = make_optimiser(model, config.optimiser)
    weights = dict(model.named_parameters())

    def loss() -> Tensor:
        if textbook:
            logits = reference.transformer(weights, pairs, section.heads)["logits"]
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


def train_once(config: Config, grid: Grid, publish: Callable[[Snapshot], None]) -> float:
    """The time of STEPS updates with two checkpoints in the middle, from the same weights."""
    model = make_network(config.model, config.task.modulus, seed=0)
    began = time.perf_counter()
    train(
        config,
        model,
        grid,
        due={STEPS // 4, STEPS * 3 // 4},
        publish=publish,
        report=lambda *_: None,
        stopping=lambda: False,
    )
    return time.perf_counter() - began


def compare_publication(config: Config, grid: Grid, home: str) -> None:
    """Print the times of training with a checkpoint every 100 steps and with none."""
    model = make_network(config.model, config.task.modulus, seed=0)
    proto = export_graph(model, grid.sample())
    reporter = TextReporter(Console(quiet=True))
    times: dict[str, list[float]] = {"published": [], "none": []}
    with Worker() as worker, opened(worker, Settings(home=home)) as backends:
        worker.bound = config.checkpoints.queue
        for number in range(TRAININGS + 1):
            job = Job(f"run-{number}", config, grid, torch.device("cpu"), reporter)
            publication = Publication(backends, describe(job), grid, reporter)
            graph = Graph(proto, job.run, grid.task)
            worker.call(publication.create)
            worker.call(publication.begin)
            gradients = Gradients(config, grid, job.device, reporter)
            publish = partial(publication.publish, graph=graph, gradients=gradients)
            times["published"].append(train_once(config, grid, partial(worker.post, publish)))
            worker.flush()
            times["none"].append(train_once(config, grid, lambda _: None))
    published, none = (statistics.median(times[name][1:]) for name in ("published", "none"))
    print(f"{STEPS} steps of the mainline, checkpoints to local files and the embedded Redis")
    print(f"  none                {none:8.2f} s")
    print(f"  one every 100 steps {published:8.2f} s, {published / none:.3f} times as long")


def main() -> None:
    """Run both comparisons."""
    config = Config(training=TrainingSection(steps=STEPS, device="cpu"))
    prepare(config.training)
    grid = draw(config.task)
    compare_forms(config, grid)
    with tempfile.TemporaryDirectory() as home:
        compare_publication(config, grid, home)


if __name__ == "__main__":
    main()
