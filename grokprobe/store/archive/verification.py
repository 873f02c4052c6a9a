"""Is what lies in object storage what was published, and which checkpoints are the same?"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from grokprobe.errors import CheckpointCorrupt, RunNotFound
from grokprobe.safety.check import check_model
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import manifests_sha256, read_contents
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.predictions import read_predictions
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.decoding import check_of_run
from grokprobe.store.records import is_name
from grokprobe.weights import read_weights, weights_sha256


class Examined(NamedTuple):
    """A line for each problem; the steps that have identical weights, each such set ascending."""

    problems: list[str]
    identical: list[list[int]]


async def problems(archive: ArchiveReader, run: str) -> list[str]:
    """One line for each problem of a run, none if it is sound; raises like `examine`."""
    return (await examine(archive, run)).problems


async def examine(archive: ArchiveReader, run: str) -> Examined:
    """What is wrong with a run, and which of its checkpoints are the same.

    All under its name is read and compared with its digests, models whole, a few at a time. Raises
    RunNotFound if nothing lies there.
    """
    if not is_name(run):
        raise RunNotFound(run)
    paths = await archive.objects.below(names.run_prefix(run))
    if not paths:
        raise RunNotFound(run)
    if names.tombstone_path(run) in paths:
        left = [path for path in paths if path != names.tombstone_path(run)]
        return Examined(
            [f"{path} belongs to a deleted run; delete the run again" for path in left], []
        )
    if names.run_path(run) not in paths:
        lines = [f"{path} belongs to a run whose publication was interrupted" for path in paths]
        return Examined(lines, [])
    steps = [step for path in paths if (step := names.step_of(path)) is not None]
    by_weights: dict[str, list[int]] = {}
    without: set[int] = set()
    checks: list[Callable[[], Awaitable[object]]] = [
        partial(archive.train_mask, run),
        partial(_check_completion, archive, run),
        *(partial(_check_checkpoint, archive, run, step, by_weights) for step in steps),
        *(partial(_check_predictions, archive, run, without, step) for step in steps),
    ]
    checks.append(partial(_check_manifests, archive, run))
    found = [line for line in await gather(_complaint, checks) if line]
    lines = list(dict.fromkeys(found)) + _unreferenced(run, steps, without, paths)
    return Examined(lines, sorted(sorted(equal) for equal in by_weights.values() if len(equal) > 1))


async def _complaint(check: Callable[[], Awaitable[object]]) -> str:
    """What a check found wrong, nothing if all is well."""
    try:
        await check()
    except CheckpointCorrupt as error:
        return str(error)
    return ""


async def _check_checkpoint(
    archive: ArchiveReader, run: str, step: int, by_weights: dict[str, list[int]]
) -> None:
    manifest = await archive.checkpoint(run, step)
    model = await archive.model(manifest)  # before `run.json`, which may be broken
    published = await archive.run(run)
    # Sound, but a service would not load it.
    path, modulus = names.model_path(run, step), published.task.modulus
    await asyncio.to_thread(check_model, model, path, modulus)
    check_of_run(published, manifest, names.manifest_path(run, step))
    # One that has weights of a kind of its own is not compared: it may be sound all the same.
    with suppress(CheckpointCorrupt):
        digest = await asyncio.to_thread(lambda: weights_sha256(read_weights(model, path, modulus)))
        by_weights.setdefault(digest, []).append(step)


async def _check_predictions(
    archive: ArchiveReader, run: str, without: set[int], step: int
) -> None:
    """Note a step `without` predictions."""
    manifest = await archive.checkpoint(run, step)
    modulus = (await archive.run(run)).task.modulus
    if await read_predictions(archive, manifest, modulus) is None:
        without.add(step)


async def _check_completion(archive: ArchiveReader, run: str) -> None:
    if completion := await archive.completion(run):
        check_of_run(await archive.run(run), completion, names.completion_path(run))


async def _check_manifests(archive: ArchiveReader, run: str) -> None:
    """All that were there when the run ended are, each as it was; those that are broken apart."""
    contents = await read_contents(archive, run)
    completion = contents.completion
    expected = completion and completion.record.manifests_sha256
    if expected and not contents.problems and expected != manifests_sha256(contents.checkpoints):
        raise CheckpointCorrupt(f"{names.completion_path(run)} records other manifests than these")


def _unreferenced(
    run: str, steps: Iterable[int], without: Collection[int], paths: Iterable[str]
) -> list[str]:
    expected = {names.run_path(run), names.split_path(run), names.completion_path(run)}
    for step in steps:
        expected |= {names.manifest_path(run, step), names.model_path(run, step)}
        if step not in without:
            expected.add(names.predictions_path(run, step))
    return [
        f"{path} is an object that nothing refers to (a publication under way or interrupted?)"
        for path in paths
        if path not in expected and not path.startswith(names.state_prefix(run) + "/")
    ]
