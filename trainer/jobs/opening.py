"""The runs that a trainer is asked for: new ones, and those to go on with."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from grokprobe.errors import GrokprobeError, InvalidInput, RunExists, RunNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive.freeing import is_imported
from grokprobe.store.archive.training_states import TrainingStates
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.records import Completion, RunManifest, TaskRecord, now, task_of
from trainer.config.schema import Config, architecture, decode_config
from trainer.jobs.existing import check_same
from trainer.learning.data import Grid, draw, make_grid
from trainer.publishing.publication import Publication
from trainer.publishing.training_run import TrainingRun
from trainer.publishing.worker import Worker
from trainer.reporting.progress import Reporter


class RunFailed(GrokprobeError):
    """Training ended where it cannot go on; `complete.json` says so too."""


@contextmanager
def opened_backends(worker: Worker, settings: Settings) -> Iterator[Backends]:
    """Object storage and Redis, opened and left on the worker's thread."""
    manager = open_backends(settings)
    backends = worker.call(manager.__aenter__)
    try:
        yield backends
    finally:
        worker.call(functools.partial(manager.__aexit__, None, None, None))


def describe_run(run: str, config: Config, grid: Grid, group: str | None = None) -> RunManifest:
    """The manifest of a run that is about to start."""
    section = config.task
    return RunManifest(
        run=run,
        created_at=now(),
        group=group,
        task=TaskRecord(
            operation=section.operation,
            modulus=section.modulus,
            operation_seed=section.operation_seed,
            train_fraction=section.train_fraction,
            split_seed=section.split_seed,
            **grid.split,
        ),
        architecture=architecture(config.model),
        optimiser=msgspec.to_builtins(config.optimiser),
        seed=config.training.seed,
        config=msgspec.to_builtins(config),
        config_sha256=config.sha256,
    )


class Runs:
    """The runs that a trainer creates or finds."""

    def __init__(self, worker: Worker, backends: Backends, reporter: Reporter) -> None:
        self._worker, self._backends, self._reporter = worker, backends, reporter
        self._archive = backends.archive
        self.index_is_behind = False  # of a run that had ended before

    def _published(self, run: str) -> RunManifest | None:
        """The manifest of a run, if there is one."""
        try:
            return self._worker.call(self._archive.run, run)
        except RunNotFound:
            return None

    def _new(self, run: str, config: Config, group: str | None) -> TrainingRun:
        """Publish a new run. Raises RunExists, RunDeleted."""
        grid = draw(config.task)
        manifest = describe_run(run, config, grid, group)
        member = TrainingRun(self._backends, manifest, config, grid, self._reporter)
        self._worker.call(member.publication.create)
        return member

    def _made_meanwhile(self, run: str, config: Config) -> TrainingRun | None:
        """A run that another trainer created between two looks."""
        manifest = self._worker.call(self._archive.run, run)
        check_same(manifest, config)
        return self.known(manifest)

    def known(self, manifest: RunManifest) -> TrainingRun | None:
        """A run to go on with; None if it has ended: then its index is brought up to date.

        Raises RunFailed if it ended so, InvalidInput if there is nothing to train: an import.
        """
        run = manifest.run
        mask = self._worker.call(self._archive.train_mask, run)
        grid = make_grid(task_of(manifest), mask)
        completion = self._worker.call(self._archive.completion, run)
        if completion is not None:
            ended = Publication(self._backends, manifest, grid, self._reporter)
            self.index_is_behind |= not self._worker.call(ended.reconcile)
            self._worker.call(TrainingStates(self._archive.objects).clear, run)
            if completion.status == "failed":
                raise RunFailed(f"run {run!r} failed: {completion.reason}")
            self._reporter.end(run, completion.status, completion.step, _ended(completion))
            return None
        if is_imported(manifest):
            message = "was imported: import the same files again, which publishes what is missing"
            raise InvalidInput(f"run {run!r}", message)
        config = decode_config(manifest.config, f"run {run}")
        return TrainingRun(self._backends, manifest, config, grid, self._reporter)

    def members(
        self, configs: Mapping[str, Config], group: str | None, go_on: bool
    ) -> tuple[list[TrainingRun], list[str]]:
        """The runs of these configurations that are to be trained, and those that have failed.

        Raises RunExists unless asked to `go_on`, RunDeleted, or InvalidInput where a run is of
        another configuration: all before anything is created.
        """
        published = {run: self._published(run) for run in configs}
        for run, manifest in published.items():
            if manifest is None:
                self._worker.call(self._backends.publisher.refuse_deleted, run)
            else:
                check_same(manifest, configs[run])
                if not go_on:
                    raise RunExists(run)
        members, failures = [], []
        for run, manifest in published.items():
            try:
                member = self.known(manifest) if manifest else self._new(run, configs[run], group)
            except RunExists:
                if not go_on:
                    raise
                member = self._made_meanwhile(run, configs[run])
            except RunFailed as error:
                failures.append(str(error))
                continue
            members += [member] if member else []
        return members, failures


def _ended(completion: Completion) -> str:
    reason = f" ({completion.reason})" if completion.reason else ""
    return (
        f"run {completion.run} is {completion.status} at step {completion.step}{reason}: "
        "there is nothing to resume"
    )
