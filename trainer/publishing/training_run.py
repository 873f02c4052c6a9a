"""One run in training: what becomes of its snapshots.

For each scheduled step, in this order: measure, save the training state, write model and manifest,
index. So whatever is published can be gone on from, and no published step is computed again. The
functions run one after another on the publisher's thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import torch

from grokprobe.errors import PublicationConflict
from grokprobe.store.backends import Backends
from grokprobe.store.records import FinalStatus, RunManifest
from trainer.config.schema import Config
from trainer.learning.data import Grid
from trainer.learning.snapshot import Snapshot
from trainer.measuring.gradients import Gradients
from trainer.measuring.measures import NotFinite
from trainer.measuring.norms import weight_norms
from trainer.models.export import Exported, Graph, check_parity, open_session, run_logits
from trainer.publishing.accuracy_rules import AccuracyRules
from trainer.publishing.description import Described
from trainer.publishing.publication import Publication
from trainer.publishing.training_state import encode_snapshots, environment
from trainer.reporting.progress import Reporter


@dataclass(frozen=True)
class End:
    """How a run ended, at which step and why."""

    status: FinalStatus
    step: int
    reason: str


@dataclass(frozen=True)
class Ready:
    """A scheduled step that has been measured."""

    snapshot: Snapshot
    between: Sequence[Snapshot]  # that are to be published too
    described: Described


class TrainingRun:
    """A run of its own, alone or in an ensemble. Raises as Publication does."""

    def __init__(
        self,
        backends: Backends,
        manifest: RunManifest,
        config: Config,
        grid: Grid,
        reporter: Reporter,
    ) -> None:
        self.publication = Publication(backends, manifest, grid, reporter)
        self.run, self.config, self.grid = manifest.run, config, grid
        self.end: End | None = None
        self._reporter = reporter
        self._saved_step: int | None = None
        self._watch = AccuracyRules(config)

    def prepare(self, graph: onnx.ModelProto, device: torch.device, members: int = 1) -> None:
        """Take what publishing needs of torch: the exported graph, and a network for gradients.

        `members` learn as one computation, on whose shape the bits of each depend.
        """
        self._graph = Graph(graph, self.run, self.grid.task)
        self._gradients = Gradients(self.config, self.grid, device, self._reporter)
        self._environment, self._on_gpu = environment(device, members), device.type == "cuda"

    async def hear(self, scheduled: Sequence[int]) -> None:
        """Remember the published ones of these steps, as if this attempt had published them."""
        for manifest in await self.publication.published(scheduled):
            self._watch.see(manifest.step, manifest.measures.get("test_accuracy"))

    async def publish(self, snapshot: Snapshot, between: Sequence[Snapshot] = ()) -> None:
        """Publish a scheduled step of this run alone (publish_step)."""
        await publish_step([(self, (snapshot, between))])

    async def measure(self, snapshot: Snapshot, between: Sequence[Snapshot]) -> Ready | None:
        """Measure a scheduled step; those `between` are to be published too if accuracy has jumped.

        None once the run has ended, which this may find.
        """
        if self.end:
            return None
        try:
            described = self._measured(snapshot)
        except NotFinite as error:
            await self._finish(End("failed", error.step, str(error)))
            return None
        jumped = self._watch.jumped(described.manifest.measures["test_accuracy"])
        return Ready(snapshot, between if jumped else (), described)

    async def put(self, ready: Ready) -> None:
        """Write and index what is ready, and judge whether the run is over."""
        try:
            for one in ready.between:
                await self.publication.put(self._measured(one))
            await self.publication.put(ready.described)
        except PublicationConflict as error:
            raise self._advised(error, ready.snapshot.step) from None
        found = ready.described.manifest
        self._watch.see(found.step, found.measures["test_accuracy"])
        if self._watch.settled:
            steps = self.config.training.settle_steps
            reason = f"test accuracy has been at least 0.99 for {steps} steps"
            await self._finish(End("stopped", ready.snapshot.step, reason))

    async def fail(self, step: int) -> None:
        """End the run before a step at which its train loss is not finite."""
        if not self.end:
            await self._finish(End("failed", step, str(NotFinite("train_loss", step))))

    async def save(self, snapshot: Snapshot, between: Sequence[Snapshot] = ()) -> None:
        """Save the training state, in the slot that holds the older one; each step once."""
        if snapshot.step == self._saved_step:
            return
        snapshot.wait()
        tensors = encode_snapshots([*between, snapshot])
        await self.publication.save_state(snapshot.step, tensors, self._environment)
        self._saved_step = snapshot.step

    async def conclude(self, step: int) -> End:
        """End the run as complete at `step`, unless it has ended before; return how."""
        return self.end or await self._finish(End("complete", step, ""))

    async def _finish(self, end: End) -> End:
        """Publish how the run has ended, at once: other members may go on for long."""
        self.end = end
        await self.publication.complete(end.status, end.step, end.reason)
        await self.publication.clear_states()
        return end

    def _advised(self, error: PublicationConflict, step: int) -> PublicationConflict:
        """Add advice to the error of a step that came out otherwise than it was published."""
        if not self._on_gpu:
            return error
        advice = (
            "a GPU does not give the same bits twice, and this attempt began before that step: "
            f"delete the checkpoints of {self.run!r} from step {step} on from object storage, "
            "reindex and resume"
        )
        return PublicationConflict(f"{error}; {advice}")

    def _measured(self, snapshot: Snapshot) -> Described:
        """What is published of a snapshot. Raises ParityError, NotFinite."""
        snapshot.wait()
        model = self._graph.fill(snapshot.weights, snapshot.step)
        session = open_session(model)
        logits = run_logits(session, self.grid.sample())
        check_parity(logits, snapshot.sample_logits, self.run, snapshot.step)
        exported = Exported(
            snapshot.step,
            model,
            self._graph.opset,
            weight_norms(snapshot.weights) | self._gradients.measures(snapshot),
            self._gradients.learning_coefficient(snapshot),
        )
        return self.publication.describe(exported, session)


StepOfRun = tuple[
    TrainingRun, tuple[Snapshot, Sequence[Snapshot]]
]  # of a step, and those `between`


async def publish_step(parts: Sequence[StepOfRun]) -> None:
    """Publish a scheduled step of every member: all states are saved before anything is published.

    So members that are killed here have all a state of this step, or have published nothing of it.
    """
    measured = [(member, await member.measure(*what)) for member, what in parts]
    ready = [(member, found) for member, found in measured if found]
    for member, found in ready:
        await member.save(found.snapshot, found.between)
    for member, found in ready:
        await member.put(found)


async def index_ended(runs: Sequence[TrainingRun]) -> bool:
    """Whether Redis knows all these runs, which have ended; it is tried once more where not."""
    behind = [run for run in runs if run.publication.index_is_behind]
    return all([await run.publication.reconcile() for run in behind])
