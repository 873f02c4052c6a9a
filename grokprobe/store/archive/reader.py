"""Reads of object storage. They honour tombstones and believe nothing that fails its digest."""

from asyncio import to_thread
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

import msgspec
from obstore.store import ObjectStore

from grokprobe.errors import CheckpointCorrupt, RunNotFound, StepNotFound
from grokprobe.store.archive import names
from grokprobe.store.archive.objects import Objects, gather
from grokprobe.store.archive.split import SPLIT_MAX_BYTES, decode_split
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    Record,
    RunManifest,
    Status,
    is_name,
    sha256,
    status_of,
)
from grokprobe.task import Mask, split_sha256

MAX_OBJECTS = 500_000  # of the checkpoints of one run

R = TypeVar("R", bound=Record)


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is: another checkpoint or its end changes this, or another run of its name."""

    run: str
    created_at: datetime | None  # null where `run.json` cannot be read
    status: Status
    checkpoint_count: int
    latest_step: int | None  # null before the first checkpoint


class Stored(NamedTuple, Generic[R]):
    """A record, the SHA-256 of the bytes that it was read from, and those bytes."""

    record: R
    sha256: str
    data: bytes


class Listing(NamedTuple):
    """What one list tells of a run."""

    version: str  # of its `run.json`
    steps: list[int]  # that have a manifest, ascending
    ended: bool  # whether `complete.json` is there


class _Facts(NamedTuple):
    """What is kept of a `run.json` while it is of this version."""

    version: str
    group: str | None
    created_at: datetime


class ArchiveReader:
    """Reads runs. Every method raises StoreUnavailable where storage does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self.objects = Objects(store)
        self._facts: dict[str, _Facts] = {}  # of the runs that `groups` has read

    async def names(self) -> list[str]:
        """Every name under which anything lies, sorted: deleted, half-made or freed (files) too."""
        folders = await self.objects.children(names.RUNS)
        return [name for folder in folders if is_name(name := folder.rpartition("/")[2])]

    async def runs(self) -> list[str]:
        """The published runs, sorted; deleted ones are left out."""
        found = await self.names()
        present = await gather(self._version, found)
        return [run for run, there in zip(found, present, strict=True) if there]

    async def groups(self) -> dict[str, list[str]]:
        """The members of each group, sorted: every `run.json` that is new here is read for it."""
        found: dict[str, list[str]] = {}
        runs = await self.names()
        for run, facts in zip(runs, await gather(self._read_facts, runs), strict=True):
            if facts and facts.group is not None:
                found.setdefault(facts.group, []).append(run)
        return found

    async def created_at(self, run: str) -> datetime | None:
        """When a run was created, as `groups` found it last; None if it cannot be read."""
        facts = self._facts.get(run) or await self._read_facts(run)
        return facts and facts.created_at

    async def _read_facts(self, run: str) -> _Facts | None:
        """The facts of a run as it is now; None if it is not there, or cannot be read."""
        version, known = await self._version(run), self._facts.pop(run, None)
        if version is None:
            return None
        if known is None or known.version != version:
            try:
                manifest = await self.run(run)
            except (RunNotFound, CheckpointCorrupt):
                return None
            known = _Facts(version, manifest.group, manifest.created_at)
        self._facts[run] = known
        return known

    async def state(self, run: str) -> RunState:
        """How far a run is; `running` where its end cannot be read. Raises RunNotFound."""
        _, steps, ended = await self.listing(run)
        completion = None
        if ended:
            with suppress(CheckpointCorrupt):
                completion = await self.record(names.completion_path(run), Completion, run=run)
        return RunState(
            run=run,
            created_at=await self.created_at(run),
            status=status_of(completion),
            checkpoint_count=len(steps),
            latest_step=steps[-1] if steps else None,
        )

    async def listing(self, run: str) -> Listing:
        """What is there of a run, by one list. Raises RunNotFound, CheckpointCorrupt (hordes)."""
        if not is_name(run):
            raise RunNotFound(run)
        found = await self.objects.versions(names.run_prefix(run), True, MAX_OBJECTS)
        version = found.get(names.run_path(run))
        if version is None or names.tombstone_path(run) in found:
            raise RunNotFound(run)
        steps = [step for path in found if (step := names.step_of(path)) is not None]
        return Listing(version, sorted(steps), names.completion_path(run) in found)

    async def run(self, run: str) -> RunManifest:
        """The manifest of a run. Raises RunNotFound, CheckpointCorrupt."""
        return (await self.stored_run(run)).record

    async def stored_run(self, run: str) -> Stored[RunManifest]:
        """`run.json`. Raises RunNotFound, CheckpointCorrupt."""
        await self._refuse_unseen(run)
        if (found := await self.stored(names.run_path(run), RunManifest, run=run)) is None:
            raise RunNotFound(run)
        return found

    async def train_mask(self, run: str) -> Mask | None:
        """The train mask, bool (p*p,), verified; None where the split is unknown.

        Raises RunNotFound, CheckpointCorrupt.
        """
        task = (await self.run(run)).task
        if task.split_sha256 is None:
            return None
        path = names.split_path(run)
        if (data := await self.objects.read(path, SPLIT_MAX_BYTES)) is None:
            raise CheckpointCorrupt(f"{path} is missing, though its run is published")
        mask = decode_split(data, path)
        if mask.shape != (task.modulus**2,) or split_sha256(mask) != task.split_sha256:
            raise CheckpointCorrupt(f"{path} is not the split that {names.run_path(run)} records")
        return mask

    async def steps(self, run: str) -> list[int]:
        """The sorted steps that have a manifest.

        Raises RunNotFound, and CheckpointCorrupt where there is a horde of objects.
        """
        if not is_name(run) or await self._version(run) is None:
            raise RunNotFound(run)
        paths = await self.objects.below(names.checkpoints_prefix(run), MAX_OBJECTS)
        return [step for path in paths if (step := names.step_of(path)) is not None]

    async def checkpoint(self, run: str, step: int) -> CheckpointManifest:
        """The manifest of a checkpoint. Raises RunNotFound, StepNotFound, CheckpointCorrupt."""
        return (await self.checkpoints(run, [step]))[0]

    async def checkpoints(self, run: str, steps: Sequence[int]) -> list[CheckpointManifest]:
        """The manifests of some checkpoints, in the order of `steps`; raises like `checkpoint`."""
        await self._refuse_unseen(run)
        found = await gather(lambda step: self.stored_checkpoint(run, step), steps)
        return [checkpoint.record for checkpoint in found]

    async def stored_checkpoint(self, run: str, step: int) -> Stored[CheckpointManifest]:
        """`manifest.json`, of a run that is there. Raises StepNotFound, CheckpointCorrupt."""
        path = names.manifest_path(run, step)
        found = await self.stored(path, CheckpointManifest, run=run, step=step)
        if found is None:
            raise StepNotFound(run, step, nearest_steps(step, await self.steps(run)))
        return found

    async def completion(self, run: str) -> Completion | None:
        """How a run ended; None while it runs. Raises RunNotFound, CheckpointCorrupt."""
        await self._refuse_unseen(run)
        completion = await self.record(names.completion_path(run), Completion, run=run)
        if completion is None:
            await self.run(run)  # a run that is not there has no end either
        return completion

    async def model(self, manifest: CheckpointManifest, max_bytes: int | None = None) -> bytes:
        """The ONNX file of a checkpoint, its size and SHA-256 verified.

        Raises CheckpointCorrupt, before the download where the recorded size is above `max_bytes`.
        """
        path, size = names.model_path(manifest.run, manifest.step), manifest.model.bytes
        if max_bytes is not None and size > max_bytes:
            raise CheckpointCorrupt(f"{path} has {size} bytes, the limit here is {max_bytes}")
        model = await self.objects.read(path, size)
        if model is None:
            await self._refuse_unseen(manifest.run)  # deleted since the manifest was read
            raise CheckpointCorrupt(f"{path} is missing, though its manifest is published")
        digest = await to_thread(sha256, model)  # a quarter of a second for 256 MB
        if (len(model), digest) != (size, manifest.model.sha256):
            raise CheckpointCorrupt(f"{path} is not the model that its manifest records")
        return model

    async def record(self, path: str, kind: type[R], **identity: str | int) -> R | None:
        """The record at `path`, None if there is none; raises like `stored`."""
        found = await self.stored(path, kind, **identity)
        return found and found.record

    async def stored(self, path: str, kind: type[R], **identity: str | int) -> Stored[R] | None:
        """The record at `path`, which it says itself; None if none is. Raises CheckpointCorrupt."""
        data = await self.objects.read(path, kind.max_bytes)
        if data is None:
            return None
        record = decode_record(data, kind, path)
        for field, value in identity.items():
            if getattr(record, field) != value:
                raise CheckpointCorrupt(f"{path} says {field} {getattr(record, field)!r}")
        return Stored(record, sha256(data), data)

    async def _version(self, run: str) -> str | None:
        """The version of the `run.json` of a published run; None where there is no such run."""
        found = await self.objects.versions(names.run_prefix(run))
        return None if names.tombstone_path(run) in found else found.get(names.run_path(run))

    async def _refuse_unseen(self, run: str) -> None:
        if not is_name(run) or await self.objects.exists(names.tombstone_path(run)):
            raise RunNotFound(run)


def nearest_steps(step: int, steps: Sequence[int]) -> list[int]:
    """The two of `steps` that lie nearest to `step`, ascending."""
    return sorted(sorted(steps, key=lambda other: abs(other - step))[:2])
