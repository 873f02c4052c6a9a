"""Publishing a run that others trained."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from grokprobe.errors import InvalidInput, RunNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive.publisher import differing_fields
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import open_backends
from grokprobe.store.records import RunManifest, TaskRecord, now, sha256
from trainer.importing.layout import ShuffleSplit
from trainer.learning.data import Grid
from trainer.models.export import Exported, open_session
from trainer.publishing.publication import Publication
from trainer.reporting.progress import Reporter


def describe_import(
    run: str,
    grid: Grid,
    architecture: dict[str, Any],
    config: dict[str, Any],
    drawn: ShuffleSplit | None = None,
) -> RunManifest:
    """The manifest of a run that others trained: its optimiser and its seed are not known."""
    return RunManifest(
        run=run,
        created_at=now(),
        task=TaskRecord(
            operation=grid.task.operation,
            modulus=grid.task.modulus,
            operation_seed=grid.task.operation_seed,
            train_fraction=drawn.train_fraction if drawn else None,
            split_seed=drawn.seed if drawn else None,
            **grid.split,
        ),
        architecture=architecture,
        optimiser={},
        seed=None,
        config=config,
        config_sha256=sha256(msgspec.json.encode(config, order="sorted")),
    )


def publish(
    settings: Settings,
    manifest: RunManifest,
    grid: Grid,
    checkpoints: Sequence[Exported],
    reporter: Reporter,
) -> int:
    """Publish checkpoints that are known to be good, in order; return the exit status.

    Raises InvalidInput if the name holds something else, RunDeleted, and errors of publication.
    """
    run, last = manifest.run, checkpoints[-1].step

    async def act() -> None:
        async with open_backends(settings) as backends:
            publication = Publication(backends, manifest, grid, reporter)
            if not await _exists(backends.archive, manifest):
                await publication.create()
            if await backends.archive.completion(run) is not None:
                await publication.reconcile()
                return
            await publication.begin()
            for one in checkpoints:
                await publication.publish_model(one, open_session(one.model))
            await publication.complete("complete", last)

    asyncio.run(act())
    words = f"run {run} is imported: {len(checkpoints)} checkpoints, the last of step {last}"
    reporter.end(run, "complete", last, words)
    return 0


async def _exists(archive: ArchiveReader, manifest: RunManifest) -> bool:
    """Whether this very run is published. Raises InvalidInput if another one has its name."""
    try:
        published = await archive.run(manifest.run)
    except RunNotFound:
        return False
    if fields := differing_fields(manifest, published):
        message = f"{manifest.run!r} is another run (it differs in {', '.join(fields)})"
        raise InvalidInput("--run", f"{message}; choose another name")
    return True
