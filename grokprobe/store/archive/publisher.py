"""Publication: what is written to object storage, in which order (DESIGN, "Publication").

A run exists once its `run.json` does, a checkpoint once its `manifest.json` does; each is written
last. Every object is created once and never overwritten, so a publication that was interrupted
anywhere is completed by repeating it, and one that is repeated unchanged succeeds. Not guaranteed:
that an object survives a power cut right after its creation on local files (no fsync).
"""

from typing import Any, TypeVar

import msgspec

from grokprobe.errors import (
    NameKept,
    PublicationConflict,
    RunDeleted,
    RunExists,
    RunNotFound,
    Superseded,
)
from grokprobe.store.archive import names
from grokprobe.store.archive.freeing import Tombstone, describe
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.predictions import describe_predictions
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.split import encode_split
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import (
    Attempt,
    CheckpointManifest,
    Completion,
    Record,
    RunManifest,
    check_group_name,
    check_run_name,
    encode_record,
    is_name,
    now,
    sha256,
)
from grokprobe.task import Mask, split_sha256

R = TypeVar("R", bound=Record)


class ArchivePublisher:
    """Publishes runs. Every method raises StoreUnavailable where storage does not answer."""

    def __init__(self, archive: ArchiveReader) -> None:
        self._archive, self._objects = archive, archive.objects
        self._attempts: dict[str, bytes] = {}  # those that were started here, by their paths

    async def publish_run(self, manifest: RunManifest, train_mask: Mask | None) -> None:
        """Write the split, if it is known, then `run.json`.

        Raises RunExists, RunDeleted, PublicationConflict, InvalidInput for a name that is none.
        """
        run = check_run_name(manifest.run)
        check_group_name(manifest.group)
        digest = None if train_mask is None else split_sha256(train_mask)
        if digest != manifest.task.split_sha256:
            raise PublicationConflict(f"run {run!r}: task.split_sha256 is not of this train mask")
        path = names.run_path(run)
        data = _encoded(manifest, path)
        await self.refuse_deleted(run)
        if await self._objects.exists(path):
            raise RunExists(run)
        if train_mask is not None:
            await self._create_same(names.split_path(run), encode_split(train_mask))
        if await self._objects.create(path, data) is not None:
            raise RunExists(run)

    async def publish_checkpoint(
        self, manifest: CheckpointManifest, model: bytes, predictions: bytes | None = None
    ) -> CheckpointManifest:
        """Write model and predictions, then the manifest; return the manifest that is published.

        That is the one already there if it differs in `created_at` alone; one that an older trainer
        wrote lacks predictions, which is no difference. Raises RunDeleted, or PublicationConflict
        if anything else differs.
        """
        run, step = check_run_name(manifest.run), manifest.step
        if (sha256(model), len(model)) != (manifest.model.sha256, manifest.model.bytes):
            raise PublicationConflict(f"run {run!r} step {step}: model.sha256 is not of this model")
        described = None if predictions is None else describe_predictions(predictions)
        if described != manifest.predictions:
            raise PublicationConflict(f"run {run!r} step {step}: predictions are not of these")
        path = names.manifest_path(run, step)
        _encoded(manifest, path)
        await self.refuse_deleted(run)
        published = await self._archive.record(path, CheckpointManifest, run=run, step=step)
        if published is not None:  # compared first: it names the fields, bytes alone cannot
            if published.predictions is None:
                predictions, manifest = None, msgspec.structs.replace(manifest, predictions=None)
            _check_equal(manifest, published, f"run {run!r} step {step}")
        await self._create_same(names.model_path(run, step), model)
        if predictions is not None:
            await self._create_same(names.predictions_path(run, step), predictions)
        if not await self._objects.exists(names.run_path(run)):  # deleted during the upload
            raise RunDeleted(run)
        return await self._create_record(path, manifest, f"run {run!r} step {step}")

    async def publish_completion(self, completion: Completion) -> Completion:
        """Write `complete.json`, by the rule of `publish_checkpoint`.

        One that an older trainer wrote lacks the digest over all manifests, which is no difference.
        """
        run = check_run_name(completion.run)
        await self.refuse_deleted(run)
        path = names.completion_path(run)
        published = await self._archive.record(path, Completion, run=run)
        if published and published.manifests_sha256 is None:
            completion = msgspec.structs.replace(completion, manifests_sha256=None)
        return await self._create_record(path, completion, f"the completion of run {run!r}")

    async def start_attempt(self, run: str) -> int:
        """Take the next free attempt number, 1 for the first. Raises RunDeleted."""
        await self.refuse_deleted(check_run_name(run))
        paths = await self._objects.below(names.attempts_prefix(run))
        attempt = 1 + max((names.attempt_of(path) or 0 for path in paths), default=0)
        while not await self._claim_attempt(run, attempt):
            attempt += 1
        return attempt

    async def check_attempt(self, run: str, attempt: int) -> None:
        """Raise Superseded if a newer attempt has started, RunDeleted if the run is deleted.

        Its own record tells whether the name has been freed meanwhile, and taken by another run.
        """
        await self.refuse_deleted(run)
        path = names.attempt_path(run, attempt)
        own = await self._objects.read(path)
        if own is None or own != self._attempts.get(path, own):
            raise RunDeleted(run)
        # Each start takes the next free number, so the newest is above ours if the next exists.
        if await self._objects.exists(names.attempt_path(run, attempt + 1)):
            raise Superseded(
                f"attempt {attempt} of run {run!r} was superseded: a newer trainer has started; "
                "let that one go on"
            )

    async def mark_deleted(self, run: str) -> None:
        """Write the tombstone: from here on readers do not see the run. May be repeated.

        Raises RunNotFound if there is nothing under that name.
        """
        if not is_name(run) or not await self._objects.below(names.run_prefix(run)):
            raise RunNotFound(run)
        path = names.tombstone_path(run)
        if not await self._objects.exists(path):
            tombstone = Tombstone(run=run, created_at=now(), was=await describe(self._archive, run))
            await self._objects.create(path, encode_record(tombstone))

    async def delete(self, run: str) -> None:
        """Write the tombstone, delete records that others point from, then all else; repeatable.

        The tombstone stays. Raises RunNotFound if there is nothing under that name.
        """
        await self.mark_deleted(run)
        paths = await self._objects.below(names.run_prefix(run))
        doomed = [path for path in paths if path != names.tombstone_path(run)]
        records = [path for path in doomed if path.endswith(".json")]
        await gather(self._objects.remove, records)
        await gather(self._objects.remove, sorted(set(doomed) - set(records)))

    async def free_name(self, run: str) -> None:
        """Remove the tombstone of a run of which nothing else is left; the name is as if unused.

        Raises NameKept if something was published under it after all.
        """
        path = names.tombstone_path(run)
        if await self._objects.below(names.run_prefix(run)) != [path]:
            raise NameKept(run, "somebody still publishes under it; stop that and repeat this")
        await self._objects.remove(path)

    async def refuse_deleted(self, run: str) -> None:
        """Raise RunDeleted if the name was used and its run deleted."""
        if await self._objects.exists(names.tombstone_path(run)):
            raise RunDeleted(run)

    async def _create_same(self, path: str, data: bytes) -> None:
        existing = await self._objects.create(path, data)
        if existing not in (None, data):
            raise PublicationConflict(
                f"{path} exists with other bytes and published objects never change; "
                "publish under another run name, or remove it if no manifest refers to it"
            )

    async def _create_record(self, path: str, record: R, what: str) -> R:
        existing = await self._objects.create(path, _encoded(record, path))
        if existing is None:
            return record
        published = decode_record(existing, type(record), path)
        _check_equal(record, published, what)
        return published

    async def _claim_attempt(self, run: str, attempt: int) -> bool:
        data = encode_record(Attempt(run=run, attempt=attempt, created_at=now()))
        path = names.attempt_path(run, attempt)
        taken = await self._objects.create(path, data) is None
        if taken:
            self._attempts[path] = data
        return taken


def _encoded(record: Record, path: str) -> bytes:
    """The bytes of a record, which every reader will take. Raises CheckpointCorrupt."""
    data = encode_record(record)
    decode_record(data, type(record), path)
    return data


def _check_equal(ours: Record, published: Record, what: str) -> None:
    """Raise PublicationConflict if more than `created_at` differs; `what` names the record."""
    if fields := differing_fields(ours, published):
        raise PublicationConflict(
            f"{what} is published with other values of {', '.join(fields)}, and what is published "
            "never changes; publish under another run name"
        )


def differing_fields(ours: Record, theirs: Record) -> list[str]:
    """The dotted names of the fields in which two records differ, `created_at` aside."""
    left, right = (_flat(msgspec.json.decode(encode_record(record))) for record in (ours, theirs))
    differing = {name for name, _ in left.items() ^ right.items()}
    return sorted(differing - {"created_at"})


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """The leaves of a record by dotted name, as JSON text so that lists compare too."""
    if not isinstance(value, dict) or not value:
        return {path: msgspec.json.encode(value).decode()}
    parts = (_flat(item, f"{path}.{key}" if path else key) for key, item in value.items())
    return {name: leaf for part in parts for name, leaf in part.items()}
