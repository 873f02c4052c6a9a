"""Publishing a run that others trained, or saying what would be published."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from grokprobe.analysis.measures_table import measures
from grokprobe.analysis.probe import Probe
from grokprobe.errors import InvalidInput, RunNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive.opening import open_store, store_exists
from grokprobe.store.archive.publisher import ArchivePublisher, differing_fields
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import open_backends
from grokprobe.store.records import RunManifest, TaskRecord, now, sha256
from trainer.importing.layout import FAMILIES
from trainer.importing.layouts.splits import ShuffleSplit
from trainer.importing.mapping import ForeignNetwork
from trainer.learning.data import Grid
from trainer.models.export import Exported, open_session
from trainer.publishing.publication import Publication
from trainer.reporting.exit_status import Exit
from trainer.reporting.progress import Reporter, shown


def describe_import(
    run: str,
    grid: Grid,
    architecture: dict[str, Any],
    config: dict[str, Any],
    drawn: ShuffleSplit | None = None,
    group: str | None = None,
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
        group=group,
    )


def publish(
    settings: Settings,
    manifest: RunManifest,
    grid: Grid,
    steps: Sequence[int],
    checkpoints: Iterable[Exported],
    reporter: Reporter,
) -> int:
    """Publish checkpoints that are known to be good, in the order of their steps, one at a time.

    Returns the exit status. Raises InvalidInput if the name holds something else, RunDeleted, and
    errors of publication.
    """
    run, last = manifest.run, steps[-1]

    async def act() -> bool:
        async with open_backends(settings) as backends:
            publication = Publication(backends, manifest, grid, reporter)
            if not await is_published(backends.archive, manifest):
                await publication.create()
            if await backends.archive.completion(run) is not None:
                return await publication.reconcile()
            await publication.begin()
            for one in checkpoints:
                await publication.publish_model(one, open_session(one.model))
            await publication.complete("complete", last)
            return not publication.index_is_behind

    is_indexed = asyncio.run(act())
    words = f"run {run} is imported: {len(steps)} checkpoints, the last of step {last}"
    reporter.end(run, "complete", last, words)
    return Exit.DONE if is_indexed else Exit.INDEX_BEHIND


async def is_published(archive: ArchiveReader, manifest: RunManifest) -> bool:
    """Whether this very run is published. Raises InvalidInput if another one has its name."""
    try:
        published = await archive.run(manifest.run)
    except RunNotFound:
        return False
    if fields := differing_fields(_meant(manifest), _meant(published)):
        message = f"{manifest.run!r} is another run (it differs in {', '.join(fields)})"
        raise InvalidInput("--run", f"{message}; choose another name")
    return True


def _meant(manifest: RunManifest) -> RunManifest:
    """What an import says of a run, and not in which words.

    Patterns of what was ignored and the place of the split, whose digest is on record, may differ;
    fields that an older layout left out have their defaults.
    """
    config = dict(manifest.config)
    with suppress(msgspec.ValidationError, KeyError, TypeError, AttributeError):
        family = config["layout"]["model"].get("family", "transformer")
        layout = msgspec.to_builtins(msgspec.convert(config["layout"], FAMILIES[family]))
        layout["file"].pop("ignore")
        layout["split"].pop("file", None)
        config["layout"] = layout
    return replace(manifest, config=config, config_sha256="")


def rehearse(settings: Settings, manifest: RunManifest, told: Iterable[str]) -> Iterator[str]:
    """The lines of a dry run: what is `told` of files, and about the run.

    Raises InvalidInput if another run has the name, RunDeleted.
    """
    state = would_be(settings, manifest)
    task = manifest.task
    split = "the split is unknown: train and test figures will be null"
    if task.train_pairs is not None:
        split = f"{task.train_pairs} train pairs, {task.test_pairs} test pairs"
    yield f"operation {task.operation}, modulus {task.modulus}; {split}"
    yield ", ".join(f"{name} {fact}" for name, fact in manifest.architecture.items())
    yield from told
    yield f"run {manifest.run} {state}; this was a dry run, nothing was written"


def tensors_of(network: ForeignNetwork) -> Iterator[str]:
    """A line about each parameter: its shape, and where it comes from."""
    for name, weight in network.weights.items():
        yield f"{name} {weight.shape} from {network.read_from[name]}"


def figures_of(probe: Probe) -> str:
    """Loss and accuracy by split; over all pairs where that is unknown."""
    found = shown(measures(probe))
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in found.items())


def would_be(settings: Settings, manifest: RunManifest) -> str:
    """What would become of the run, from object storage alone, where nothing is written.

    Raises InvalidInput if another run has the name, RunDeleted.
    """
    published = store_exists(settings) and asyncio.run(_is_published(settings, manifest))
    group = f" in group {manifest.group}" if manifest.group else ""
    if not published:
        return f"would be published{group}"
    return "exists already: the same import would publish what is missing of it, if anything"


async def _is_published(settings: Settings, manifest: RunManifest) -> bool:
    archive = ArchiveReader(open_store(settings))
    await ArchivePublisher(archive).refuse_deleted(manifest.run)
    return await is_published(archive, manifest)
