"""A training job from start to end: what `train` and `resume` do."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import torch

from grokprobe.errors import GrokprobeError, InvalidInput
from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.manifest import Completion, RunManifest, TaskRecord, now, task_of
from trainer.config import Config, decode
from trainer.data import Grid, draw, make_grid
from trainer.export import Graph, export_graph
from trainer.gradients import Gradients
from trainer.interruption import Interruption
from trainer.measure import NotFinite
from trainer.models.transformer import Transformer
from trainer.progress import Reporter
from trainer.publish import Publication
from trainer.schedule import published_steps
from trainer.standing import standing
from trainer.train import prepare, train
from trainer.worker import Worker


class RunFailed(GrokprobeError):
    """Training ended where it cannot go on; `complete.json` says so too."""


@contextmanager
def opened(worker: Worker, settings: Settings) -> Iterator[Backends]:
    """Object storage and Redis, opened and left on the worker's thread."""
    manager = open_backends(settings)
    backends = worker.call(manager.__aenter__)
    try:
        yield backends
    finally:
        worker.call(functools.partial(manager.__aexit__, None, None, None))


@dataclass(frozen=True)
class Job:
    """What a trainer has in hand once it knows what to train."""

    run: str
    config: Config
    grid: Grid
    device: torch.device
    reporter: Reporter
    group: str | None = None


def describe(job: Job) -> RunManifest:
    """The manifest of a run that is about to start."""
    config, section = job.config, job.config.task
    return RunManifest(
        run=job.run,
        created_at=now(),
        task=TaskRecord(
            operation=section.operation,
            modulus=section.modulus,
            operation_seed=section.operation_seed,
            train_fraction=section.train_fraction,
            split_seed=section.split_seed,
            **job.grid.split,
        ),
        architecture=msgspec.to_builtins(config.model),
        optimiser=msgspec.to_builtins(config.optimiser),
        seed=config.training.seed,
        config=msgspec.to_builtins(config),
        config_sha256=config.sha256,
        group=job.group,
    )


def start(
    settings: Settings, config: Config, run: str, reporter: Reporter, *, group: str | None = None
) -> int:
    """Train a new run; return the exit status.

    Raises RunExists or RunDeleted before anything is trained, and any error of publication.
    """
    job = Job(run, config, draw(config.task), prepare(config.training), reporter, group)
    with Worker() as worker, opened(worker, settings) as backends:
        publication = Publication(backends, describe(job), job.grid, reporter)
        worker.call(publication.create)
        return _train_and_publish(job, worker, publication)


def train_or_resume(
    settings: Settings, config: Config, run: str, reporter: Reporter, *, group: str | None = None
) -> int:
    """Train a new run, go on with an interrupted one, leave a complete one as it is.

    Raises InvalidInput for a run of another configuration, RunFailed for one that has failed.
    """
    published = standing(settings, [(run, config)])
    if run not in published:
        return start(settings, config, run, reporter, group=group)
    ended = published[run]
    if ended is not None and ended.status == "failed":
        raise RunFailed(f"run {run!r} failed: {ended.reason}")
    return resume(settings, run, reporter)


def resume(settings: Settings, run: str, reporter: Reporter) -> int:
    """Go on with a run: train again from step 0 and publish what is missing.

    Checkpoints that exist must come out equal, byte by byte, or PublicationConflict is raised.
    A run that has ended is only indexed again. Raises RunNotFound, or InvalidInput if there is
    nothing to train: the run was imported.
    """
    with Worker() as worker, opened(worker, settings) as backends:
        manifest = worker.call(backends.archive.run, run)
        grid = make_grid(task_of(manifest), worker.call(backends.archive.train_mask, run))
        publication = Publication(backends, manifest, grid, reporter)
        completion = worker.call(backends.archive.completion, run)
        if completion is not None:
            worker.call(publication.reconcile)
            reporter.end(run, completion.status, completion.step, _ended(completion))
            return 0
        if "files" in manifest.config:
            message = "was imported: import the same files again, which publishes what is missing"
            raise InvalidInput(f"run {run!r}", message)
        config = decode(manifest.config, f"run {run}")
        job = Job(run, config, grid, prepare(config.training), reporter)
        return _train_and_publish(job, worker, publication)


def _ended(completion: Completion) -> str:
    reason = f" ({completion.reason})" if completion.reason else ""
    return (
        f"run {completion.run} is {completion.status} at step {completion.step}{reason}: "
        "there is nothing to resume"
    )


def _train_and_publish(job: Job, worker: Worker, publication: Publication) -> int:
    """Train to the end, to a signal or to a failure; return the exit status."""
    worker.call(publication.begin)
    worker.bound = job.config.checkpoints.queue
    job.reporter.publishing(worker)
    interruption = Interruption(job.reporter.close)
    with interruption.handled():
        try:
            step = _train(job, worker, publication, interruption)
        except NotFinite as error:
            worker.flush()
            worker.call(publication.complete, "failed", error.step, str(error))
            raise RunFailed(f"run {job.run!r} failed: {error}") from None
        if step < job.config.training.steps:
            words = f"stopped at step {step}; go on with `python -m trainer resume {job.run}`"
            job.reporter.end(job.run, "running", step, words)
            return 128 + interruption.signal
        worker.call(publication.complete, "complete", step)
    job.reporter.end(job.run, "complete", step, f"run {job.run} is complete at step {step}")
    return 0


def _train(job: Job, worker: Worker, publication: Publication, interruption: Interruption) -> int:
    """Train with every due step published; return the last step, all before it published."""
    config = job.config
    model = Transformer(config.model, config.task.modulus, config.training.seed)
    graph = _graph(worker.call(publication.first_model), model, job)
    gradients = Gradients(config, job.grid, job.device, job.reporter)
    job.reporter.start(job.run, config.training.steps, str(job.device))
    step = train(
        config,
        model.to(job.device),  # only now: the graph is exported on the CPU
        job.grid,
        due=frozenset(published_steps(config.checkpoints, config.training.steps)),
        publish=lambda snapshot: worker.post(publication.publish, snapshot, graph, gradients),
        report=job.reporter.step,
        stopping=lambda: interruption.signal > 0 or worker.failed,
    )
    worker.flush()
    return step


def _graph(published: bytes | None, model: Transformer, job: Job) -> Graph:
    """The graph of the first published checkpoint, or of the model if there is none yet."""
    if published is None:
        return Graph(export_graph(model, job.grid.sample()), job.run, job.grid.task)
    return Graph.from_model(published, job.run, job.grid.task)
