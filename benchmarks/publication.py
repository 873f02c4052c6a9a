"""`python -m benchmarks.publication`: what a checkpoint of the mainline costs its publisher.

After the first: putting the weights into the graph, creating a session, comparing with torch.
The measures of the manifest and the writing of both objects are shown beside it.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from rich.console import Console

from grokprobe.settings import Settings
from trainer.config.schema import Config
from trainer.jobs.opening import describe_run, opened_backends
from trainer.learning.data import Grid, draw
from trainer.learning.learner import Learner
from trainer.learning.snapshot import Snapshot
from trainer.learning.train import prepare
from trainer.measuring.gradients import Gradients
from trainer.measuring.measures import measure, own_keys, read_outputs
from trainer.models import make_network
from trainer.models.export import Graph, check_parity, export_graph, open_session, run_logits
from trainer.publishing.training_run import TrainingRun
from trainer.publishing.training_state import encode_snapshots
from trainer.publishing.worker import Worker
from trainer.reporting.progress import TextReporter

CHECKPOINTS = 40
Times = dict[str, list[float]]


@contextmanager
def timed(times: Times, name: str) -> Iterator[None]:
    """Add the duration of a block, in milliseconds."""
    began = time.perf_counter()
    yield
    times.setdefault(name, []).append((time.perf_counter() - began) * 1e3)


def snapshots(config: Config, grid: Grid) -> Iterator[Snapshot]:
    """Checkpoints with weights and moments of their own."""
    learner = Learner([config], [grid], torch.device("cpu"))
    for _ in range(CHECKPOINTS):
        yield learner.snapshot(0)
        learner.update(learner.losses())


def export_and_compare(
    graph: Graph, grid: Grid, gradients: Gradients, snapshot: Snapshot, times: Times
) -> None:
    """One checkpoint, part by part."""
    with timed(times, "export and parity"):
        with timed(times, "  weights into the graph"):
            data = graph.fill(snapshot.weights, snapshot.step)
        with timed(times, "  session"):
            session = open_session(data)
        with timed(times, "  parity"):
            check_parity(
                run_logits(session, grid.sample()), snapshot.sample_logits, "run", snapshot.step
            )
    with timed(times, "measures"):
        probe = read_outputs(session, grid)
        measure(probe, snapshot.step)
        own_keys(probe, snapshot.step)
    with timed(times, "gradient symmetricity"):
        gradients.measures(snapshot)
    with timed(times, "training state as bytes"):
        encode_snapshots([snapshot])


def main() -> None:
    """Print medians and the slowest of all checkpoints but the first."""
    config = Config()
    reporter = TextReporter(Console(quiet=True))
    grid, device = draw(config.task), prepare(config.training)
    times: Times = {}
    with timed(times, "export of the graph, once"):
        proto = export_graph(make_network(config.model, 113, 0), grid.sample())
    graph = Graph(proto, "run", grid.task)
    gradients = Gradients(config, grid, device, reporter)
    with (
        tempfile.TemporaryDirectory() as home,
        Worker() as worker,
        opened_backends(worker, Settings(home=home)) as backends,
    ):
        member = TrainingRun(backends, describe_run("run", config, grid), config, grid, reporter)
        worker.call(member.publication.create)
        worker.call(member.publication.begin)
        member.prepare(proto, device)
        for snapshot in snapshots(config, grid):
            export_and_compare(graph, grid, gradients, snapshot, times)
            with timed(times, "publication, all of it"):
                worker.call(member.publish, snapshot)
    for name, each in times.items():
        rest = each[1:] or each
        print(f"{name:<28}{statistics.median(rest):8.1f} ms median{max(rest):8.1f} ms slowest")


if __name__ == "__main__":
    main()
