"""Publication: what happens to a checkpoint, and to Redis and object storage when they fail.

Object storage is tried again for RETRY_S, ever more slowly. Training meanwhile fills the queue and
then waits, for it must not run ahead of what is kept; at last it stops. Without Redis, an index, it
goes on: that is made equal to the listing as soon as it answers again, at the latest at the end.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import onnxruntime as ort
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_before_delay,
    wait_exponential,
)

from grokprobe.errors import CatalogueUnavailable, IndexDoubted, StoreUnavailable
from grokprobe.store.archive.training_states import TrainingState, TrainingStates
from grokprobe.store.backends import Backends
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    FinalStatus,
    RunManifest,
    StateRecord,
    now,
    sha256,
)
from trainer.learning.data import Grid
from trainer.measuring.completion import conclude
from trainer.models.export import Exported
from trainer.publishing.description import Described, describe
from trainer.reporting.progress import Reporter

T = TypeVar("T")

RETRY_S = 1800.0  # how long object storage may fail before training stops: twice a long outage
HURRY_S = 60.0  # the same where somebody waits for that: half of a pod's grace period
PAUSE_S, MAX_PAUSE_S = 0.5, 20.0  # between two tries
INDEX_RETRY_S = 10.0  # how long Redis is left alone after it failed


class Publication:
    """Publishes what one attempt of one run has made."""

    def __init__(
        self, backends: Backends, manifest: RunManifest, grid: Grid, reporter: Reporter
    ) -> None:
        self._archive, self._publisher = backends.archive, backends.publisher
        self._catalogue = backends.catalogue
        self._manifest, self._run = manifest, manifest.run
        self._grid, self._reporter = grid, reporter
        self._states, self._saves = TrainingStates(backends.archive.objects), 0
        self._attempt = 0
        # Whether somebody waits for the end: not while a network is trained, until a signal comes.
        self.is_hurried: Callable[[], bool] = lambda: True
        self.index_is_behind = True
        self._index_again_at = 0.0

    async def create(self) -> None:
        """Publish the run itself. Raises RunExists, RunDeleted."""
        await self._publisher.publish_run(self._manifest, self._grid.train)

    async def begin(self) -> None:
        """Become the attempt that may publish. Raises RunDeleted."""
        self._attempt = await self._publisher.start_attempt(self._run)
        await self._index(None)

    async def first_model(self) -> bytes | None:
        """The ONNX file of the first checkpoint; None if there is none yet."""

        async def find() -> bytes | None:
            steps = await self._archive.steps(self._run)
            if not steps:
                return None
            return await self._archive.model(await self._archive.checkpoint(self._run, steps[0]))

        return await self._store(find)

    async def published(self, steps: Sequence[int]) -> list[CheckpointManifest]:
        """The manifests of those of these steps that are published."""

        async def find() -> list[CheckpointManifest]:
            there = set(await self._archive.steps(self._run))
            return await self._archive.checkpoints(self._run, [s for s in steps if s in there])

        return await self._store(find)

    async def find_states(self) -> list[TrainingState]:
        """The training states that can be gone on from, newest first; warns of unsound ones."""
        sound, complaints = await self._store(lambda: self._states.find(self._run))
        for line in complaints:
            self._reporter.warn(f"run {self._run!r}: {line}; going on from an older one")
        return sound

    async def save_state(
        self, step: int, tensors: bytes, environment: dict[str, str | int]
    ) -> None:
        """Save a training state in the slot that holds the older one.

        Raises Superseded, RunDeleted, or StoreUnavailable after RETRY_S.
        """
        record = StateRecord(
            run=self._run,
            attempt=self._attempt,
            step=step,
            created_at=now(),
            sha256=sha256(tensors),
            bytes=len(tensors),
            environment=environment,
        )
        await self._check_attempt()
        await self._store(lambda: self._states.save(record, tensors, self._saves % 2))
        self._saves += 1
        if self._saves == 1:  # until now those of earlier attempts were what resuming needs
            await self._store(lambda: self._states.clear(self._run, below=self._attempt))

    async def clear_states(self) -> None:
        """Remove the training states of this attempt and of all before it."""
        await self._store(lambda: self._states.clear(self._run, below=self._attempt + 1))

    async def publish_model(self, exported: Exported, session: ort.InferenceSession) -> None:
        """Measure, write, index a file that is known to be right.

        Raises NotFinite, PublicationConflict, Superseded, RunDeleted, or StoreUnavailable after
        RETRY_S.
        """
        described = self.describe(exported, session)
        await self._check_attempt()
        await self.put(described)

    async def put(self, described: Described) -> None:
        """Write and index a checkpoint, without asking whether this attempt still may."""
        manifest = await self._store(lambda: self._publisher.publish_checkpoint(*described))
        await self._index(manifest)
        self._reporter.published(manifest)

    async def _check_attempt(self) -> None:
        await self._store(lambda: self._publisher.check_attempt(self._run, self._attempt))

    def describe(self, exported: Exported, session: ort.InferenceSession) -> Described:
        """A model file of this run, measured. Raises NotFinite."""
        return describe(self._manifest, self._grid, exported, session)

    async def complete(self, status: FinalStatus, step: int, reason: str = "") -> None:
        """Publish how the run has ended; the index follows, with every event not yet announced.

        Where it does not, `index_is_behind`.
        """
        await self._check_attempt()
        findings = await self._store(lambda: conclude(self._archive, self._run, self._grid))
        completion = Completion(
            run=self._run,
            created_at=now(),
            status=status,
            step=step,
            reason=reason,
            **vars(findings),
        )
        await self._check_attempt()  # again: reading every checkpoint takes its time
        await self._store(lambda: self._publisher.publish_completion(completion))
        await self.reconcile()

    async def reconcile(self) -> bool:
        """Make the index of this run equal to the listing, or say what to do about it.

        Returns whether it is, and notes it in `index_is_behind`.
        """
        try:
            await self._reconcile()
        except CatalogueUnavailable as error:
            self.index_is_behind = True
            self._reporter.warn(
                f"{error.told}; everything is published, bring the index up to date later with "
                "`python -m grokprobe reindex`",
                "index",
            )
        return not self.index_is_behind

    async def _index(self, manifest: CheckpointManifest | None) -> None:
        """Add a checkpoint to Redis, or all that it has missed."""
        if time.monotonic() < self._index_again_at:
            return
        try:
            if self.index_is_behind or manifest is None:
                await self._reconcile()
            else:
                await self._add(manifest)
        except CatalogueUnavailable as error:
            self.index_is_behind = True
            self._index_again_at = time.monotonic() + INDEX_RETRY_S
            self._reporter.warn(f"{error.told}; training goes on, the index follows later", "index")

    async def _add(self, manifest: CheckpointManifest) -> None:
        try:
            await self._catalogue.add_checkpoint(manifest)
        except IndexDoubted:  # it has lost something, or somebody else has written it
            await self._reconcile()

    async def _reconcile(self) -> None:
        await self._store(lambda: self._catalogue.reconcile(self._archive, self._run))
        self.index_is_behind = False

    async def _store(self, action: Callable[[], Awaitable[T]]) -> T:
        """Call `action` again while storage is away: for RETRY_S, for HURRY_S if somebody waits."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_exponential(PAUSE_S, max=MAX_PAUSE_S),
            stop=self._has_tried_enough,
            before_sleep=self._warn_of_retry,
            reraise=True,
        )

        async def attempt() -> T:
            return await action()

        return await retrying(attempt)

    def _has_tried_enough(self, failed: RetryCallState) -> bool:
        limit_s = min(HURRY_S, RETRY_S) if self.is_hurried() else RETRY_S
        return stop_before_delay(limit_s)(failed)

    def _warn_of_retry(self, failed: RetryCallState) -> None:
        error = failed.outcome and failed.outcome.exception()
        assert isinstance(error, StoreUnavailable)
        self._reporter.warn(f"{error.told}; trying again in {failed.upcoming_sleep:g} s", "store")
