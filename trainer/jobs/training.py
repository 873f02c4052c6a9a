"""A training job from start to end: what `train` and `resume` do with one run or an ensemble."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import onnx
import torch

from grokprobe.errors import GrokprobeError
from grokprobe.safety.check import check_model
from grokprobe.settings import Settings
from grokprobe.store.archive.training_states import TrainingState
from trainer.config.schema import Config
from trainer.jobs.handover import Handover
from trainer.jobs.opening import RunFailed, Runs, opened_backends
from trainer.jobs.signals import Interruption
from trainer.jobs.threads import settle_threads
from trainer.learning.learner import Learner
from trainer.learning.snapshot import Snapshot
from trainer.learning.train import prepare, train
from trainer.models import make_network
from trainer.models.export import export_graph
from trainer.publishing.training_run import TrainingRun, index_ended
from trainer.publishing.training_state import environment
from trainer.publishing.worker import Worker
from trainer.reporting.exit_status import Exit
from trainer.reporting.progress import Reporter

StatesByStep = Mapping[int, TrainingState]  # by step
Environment = Mapping[str, str | int]


class OutOfMemory(GrokprobeError):
    """The device has not the memory that this training needs."""


def start(
    settings: Settings,
    config: Config,
    run: str,
    reporter: Reporter,
    *,
    group: str | None = None,
    go_on: bool = False,
) -> int:
    """Train a new run; with `go_on`, go on with it where it exists. Returns the exit status.

    Raises RunExists, RunDeleted, or InvalidInput if it exists with another configuration, before
    anything is trained, and any error of training and publication.
    """
    return start_all(settings, {run: config}, run, reporter, group=group, go_on=go_on)


def start_all(
    settings: Settings,
    configs: Mapping[str, Config],
    name: str,
    reporter: Reporter,
    *,
    group: str | None = None,
    go_on: bool = False,
) -> int:
    """`start` for runs that are trained side by side as an ensemble of that name."""
    device = prepare(next(iter(configs.values())).training)  # may refuse: nothing is published yet
    with Worker() as worker, opened_backends(worker, settings) as backends:
        runs = Runs(worker, backends, reporter)
        members, failures = runs.members(configs, group, go_on)
        status = Training(worker, reporter, device)(members, name) if members else Exit.DONE
        if failures and status in (Exit.DONE, Exit.INDEX_BEHIND):
            raise RunFailed("; ".join(failures))
        return Exit.INDEX_BEHIND if runs.index_is_behind and not status else status


def resume(settings: Settings, run: str, reporter: Reporter) -> int:
    """Go on with a run from its newest training state; return the exit status.

    Checkpoints that are published again must come out equal, byte by byte, or PublicationConflict
    is raised. A run that has ended is only indexed again. Raises RunNotFound, or InvalidInput if
    there is nothing to train: the run was imported.
    """
    with Worker() as worker, opened_backends(worker, settings) as backends:
        runs = Runs(worker, backends, reporter)
        member = runs.known(worker.call(backends.archive.run, run))
        if member is None:
            return Exit.INDEX_BEHIND if runs.index_is_behind else Exit.DONE
        return Training(worker, reporter, prepare(member.config.training))([member], run)


@dataclass
class Cohort:
    """Members that can go on from one step: all have a state of it, or it is the first."""

    members: list[TrainingRun]
    states: list[StatesByStep]
    steps: set[int]

    @property
    def step(self) -> int:
        """The newest step that all members can go on from."""
        return max(self.steps)


def _cohorts(members: Sequence[TrainingRun], found: Sequence[StatesByStep]) -> list[Cohort]:
    """Members with a step in common together: those added, or resumed alone, stand elsewhere."""
    cohorts: list[Cohort] = []
    for member, states in zip(members, found, strict=True):
        steps = set(states) or {0}
        for cohort in cohorts:
            if cohort.steps & steps:
                cohort.members.append(member)
                cohort.states.append(states)
                cohort.steps &= steps
                break
        else:
            cohorts.append(Cohort([member], [states], steps))
    return cohorts


class Training:
    """Trains runs side by side, from where they stand to their ends."""

    def __init__(self, worker: Worker, reporter: Reporter, device: torch.device) -> None:
        self._worker, self._reporter, self._device = worker, reporter, device

    def __call__(self, members: Sequence[TrainingRun], name: str) -> int:
        """Train runs to their ends; return the exit status.

        Side by side as far as they stand at a common step; others one group after another.
        Raises RunFailed if one of them left the numbers, OutOfMemory.
        """
        interruption = Interruption(self._reporter.close)
        for member in members:
            self._worker.call(member.publication.begin)
            member.publication.is_hurried = lambda: interruption.signal > 0
        self._reporter.publishing(self._worker)
        self._worker.bound = members[0].config.checkpoints.queue
        failures: list[str] = []
        done = True
        with interruption.handled(), _enough_memory(members):
            for cohort in _cohorts(members, self._found(members)):
                done = not interruption.signal and self._train(cohort, interruption, name, failures)
        if not done:
            for failure in failures:
                self._reporter.warn(failure)
            return 128 + interruption.signal
        is_indexed = self._worker.call(index_ended, members)
        if failures:
            raise RunFailed("; ".join(failures))
        return Exit.DONE if is_indexed else Exit.INDEX_BEHIND

    def _found(self, members: Sequence[TrainingRun]) -> list[StatesByStep]:
        """The sound training states of each member, by step."""
        found = [self._worker.call(member.publication.find_states) for member in members]
        return [{state.record.step: state for state in states} for states in found]

    def _train(
        self,
        cohort: Cohort,
        interruption: Interruption,
        name: str,
        failures: list[str],
    ) -> bool:
        """Train members that stand at one step; return whether all have ended, note failures."""
        members, config, device = cohort.members, cohort.members[0].config, self._device
        configs, grids = [m.config for m in members], [m.grid for m in members]
        if device.type == "cpu" and not config.training.threads:
            saved = [s[cohort.step].record.environment for s in cohort.states if cohort.step in s]
            settle_threads(configs, grids, saved, self._worker, self._reporter)
        graph = self._graph(members)
        for member in members:
            member.prepare(graph, device, len(members))
        handover = Handover(members, self._worker, interruption, self._reporter)
        learner = Learner(configs, grids, device)
        for number, member in enumerate(members):
            if state := cohort.states[number].get(cohort.step):
                self._compare(state.record.environment, environment(device, len(members)))
                handover.restore(number, learner, state)
            self._worker.call(member.hear, [s for s in handover.scheduled if s < cohort.step])
        self._reporter.start(name, config.training.steps, str(device), learner.step)
        train(learner, config.training.steps, handover)
        self._worker.flush()
        kept = [tuple(snapshots) for snapshots in handover.kept]
        ended = [
            self._conclude(member, learner, number, kept[number], failures)
            for number, member in enumerate(members)
        ]
        return all(ended)

    def _conclude(
        self,
        member: TrainingRun,
        learner: Learner,
        number: int,
        kept: Sequence[Snapshot],
        failures: list[str],
    ) -> bool:
        """Say how a run has ended, or save where it stands; return whether it has ended."""
        run, step = member.run, learner.step
        if member.end is None and step < member.config.training.steps:
            self._worker.call(member.save, learner.snapshot(number), kept)
            words = f"stopped at step {step}; go on with `python -m trainer resume {run}`"
            self._reporter.end(run, "running", step, words)
            return False
        end = self._worker.call(member.conclude, step)
        if end.status == "failed":
            failures.append(f"run {run!r} failed: {end.reason}")
        else:
            words = f"run {run} is {end.status} at step {end.step}"
            self._reporter.end(run, end.status, end.step, words)
        return True

    def _compare(self, saved: Environment, here: Environment) -> None:
        """Warn where results will not be those of an uninterrupted run bit for bit."""
        if differ := [
            f"{n} {saved.get(n)}, now {here[n]}" for n in here if saved.get(n) != here[n]
        ]:
            words = "the training state was saved with " + ", ".join(differ)
            self._reporter.warn(f"{words}: results may differ in their last bits")

    def _graph(self, members: Sequence[TrainingRun]) -> onnx.ModelProto:
        """The graph of the first published checkpoint, or of the network if there is none yet."""
        for member in members:
            if published := self._worker.call(member.publication.first_model):
                where, modulus = f"the first checkpoint of {member.run!r}", member.grid.task.modulus
                check_model(published, where, modulus)
                return onnx.load_from_string(published)
        config = members[0].config
        network = make_network(config.model, config.task.modulus, config.training.seed)
        return export_graph(network, members[0].grid.sample())


@contextmanager
def _enough_memory(members: Sequence[TrainingRun]) -> Iterator[None]:
    """Say what to lower where the device has too little memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own kind for a GPU is a RuntimeError
        cause = " ".join(str(error).splitlines()[:1])
        on_gpu = isinstance(error, torch.OutOfMemoryError)
        if not (on_gpu or isinstance(error, MemoryError) or "can't allocate memory" in cause):
            raise
        lower = "the number of members" if len(members) > 1 else "model.d_mlp or model.d_model"
        raise OutOfMemory(
            f"too little memory of the device for {members[0].run!r} ({cause}); lower {lower}, or "
            "set training.batch. What is published stays, but its configuration cannot be changed: "
            "choose another name"
        ) from None
