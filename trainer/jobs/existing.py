"""What is published already of runs that are about to be trained. Nothing of torch is needed."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from grokprobe.errors import InvalidInput, RunNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive.freeing import is_imported
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import Completion, RunManifest
from trainer.config.schema import Config, decode_config


def standing(
    settings: Settings, wanted: Sequence[tuple[str, Config]]
) -> dict[str, Completion | None]:
    """How each wanted run that exists has ended; None for one that can go on.

    Raises InvalidInput if one exists with another configuration, and StoreUnavailable.
    """
    return asyncio.run(_standing(ArchiveReader(open_store(settings)), dict(wanted)))


async def _standing(
    archive: ArchiveReader, wanted: Mapping[str, Config]
) -> dict[str, Completion | None]:
    found: dict[str, Completion | None] = {}

    async def look(run: str) -> None:
        with suppress(RunNotFound):  # half-made or deleted, which whoever publishes it is told
            check_same(await archive.run(run), wanted[run])
            found[run] = await archive.completion(run)

    await gather(look, [name for name in await archive.names() if name in wanted])
    return found


def check_same(published: RunManifest, config: Config) -> None:
    """Raise InvalidInput, which shows the difference, if a run is of another configuration."""
    if is_imported(published):
        raise InvalidInput(f"run {published.run!r}", "was imported; choose another name with --run")
    theirs = decode_config(published.config, f"run {published.run}")
    if theirs == config:
        return
    differing = "; ".join(differences(theirs, config))
    message = f"exists with another configuration: {differing}; choose another name with --run"
    raise InvalidInput(f"run {published.run!r}", message)


def differences(theirs: Config, ours: Config) -> Iterator[str]:
    """`optimiser.weight_decay is 1.0 there, 0.3 here`, for each field that differs."""
    left, right = (dict(_fields(config)) for config in (theirs, ours))
    for field in left | right:
        there, here = left.get(field, "absent"), right.get(field, "absent")
        if there != here:
            yield f"{field} is {there} there, {here} here"


def _fields(config: Config) -> Iterator[tuple[str, Any]]:
    for section, table in msgspec.to_builtins(config).items():
        for field, value in table.items():
            yield f"{section}.{field}", value
