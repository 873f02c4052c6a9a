"""One start of a trainer: training on this thread, publication on another, signals in between."""

from collections import deque
from collections.abc import Sequence

import torch
from safetensors import SafetensorError

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store.archive.names import training_state_prefix
from grokprobe.store.archive.training_states import TrainingState
from trainer.config.schema import Config
from trainer.jobs.signals import Interruption
from trainer.learning.learner import Learner
from trainer.learning.snapshot import Snapshot
from trainer.publishing.schedule import published_steps
from trainer.publishing.training_run import StepOfRun, TrainingRun, publish_step
from trainer.publishing.training_state import decode_snapshots
from trainer.publishing.worker import Worker
from trainer.reporting.progress import Reporter


class Handover:
    """The Callback that posts due steps to the publisher."""

    def __init__(
        self,
        members: Sequence[TrainingRun],
        worker: Worker,
        interruption: Interruption,
        reporter: Reporter,
    ) -> None:
        config: Config = members[0].config
        self._members, self._worker = members, worker
        self._interruption, self._reporter = interruption, reporter
        self.scheduled = published_steps(config.checkpoints, config.training.steps)
        self._published = frozenset(self.scheduled)
        self._between = config.checkpoints.transition_change and config.checkpoints.transition_every
        keep = config.checkpoints.transition_keep
        self.kept = [deque[Snapshot](maxlen=keep) for _ in members]  # since the last scheduled step
        self._lost: set[int] = set()  # members whose loss is not finite

    def restore(self, number: int, learner: Learner, state: TrainingState) -> None:
        """Put a member where a training state was saved. CheckpointCorrupt for one that is none."""
        record = state.record
        try:
            self._restore(number, learner, decode_snapshots(state.tensors), record.step)
        except torch.OutOfMemoryError:
            raise
        except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointCorrupt(
                f"{training_state_prefix(record.run, record.attempt)} holds no training state of "
                f"step {record.step} of this network ({reason}); remove it to go on from another"
            ) from None

    def _restore(
        self, number: int, learner: Learner, snapshots: Sequence[Snapshot], step: int
    ) -> None:
        *between, last = snapshots
        if last.step != step:
            raise LookupError(f"it ends at step {last.step}")
        learner.restore(number, last)
        names = learner.members[number]  # in the order of the network, as sums of floats want it
        for one in between:
            weights = {name: one.weights[name] for name in names}
            self.kept[number].append(Snapshot(one.step, weights, one.sample_logits))

    def due(self, step: int) -> bool:
        """Whether a step is scheduled, or kept until it is known whether it matters."""
        return step in self._published or bool(self._between and step % self._between == 0)

    def reached(self, learner: Learner) -> None:
        """Post the publication of a scheduled step; keep others."""
        parts: list[StepOfRun] = []
        for number, member in enumerate(self._members):
            if number in self._lost or member.end:
                continue
            if learner.step not in self._published:
                self.kept[number].append(learner.snapshot(number, moments=False))
                continue
            parts.append((member, (learner.snapshot(number), tuple(self.kept[number]))))
            self.kept[number].clear()
        if parts:
            self._worker.post(publish_step, parts)

    def failed(self, member: int, step: int) -> None:
        """End the member's run, once."""
        if member not in self._lost:
            self._lost.add(member)
            self._worker.post(self._members[member].fail, step)

    def report(self, step: int, losses: Sequence[float]) -> None:
        """Report the mean loss of those that still learn."""
        own = [loss for number, loss in enumerate(losses) if number not in self._lost]
        if own:
            self._reporter.step(step, sum(own) / len(own))

    def stopping(self) -> bool:
        """Whether to stop: a signal came, publishing failed, or every run has ended."""
        ended = (n in self._lost or m.end for n, m in enumerate(self._members))
        return self._interruption.signal > 0 or self._worker.failed or all(ended)
