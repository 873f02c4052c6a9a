"""Does the index say of a run what object storage does? One line for each difference."""

from grokprobe.errors import CheckpointCorrupt, RunNotFound
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.seal import encode_seal
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.entries import entry_values, seal_bytes
from grokprobe.store.catalogue.keys import REINDEX

SHOWN = 5  # steps in a line


async def differences(catalogue: Catalogue, archive: ArchiveReader, run: str) -> list[str]:
    """What the entry of a run has otherwise, every byte compared; none while it is being written.

    Raises CatalogueUnavailable. A run whose `run.json` cannot be read is compared with nothing.
    """
    before = await seal_bytes(catalogue.connection, run)
    try:
        contents = await read_contents(archive, run)
    except RunNotFound:
        return [f"the index has run {run!r}, which is not published; {REINDEX}"] if before else []
    except CheckpointCorrupt:
        return []
    if not before:
        return [f"the index lacks run {run!r}; {REINDEX}"]
    found = [
        f"the index has {what} of run {run!r}; {REINDEX}"
        for what in await _wrong(catalogue, contents, before)
    ]
    return found if before == await seal_bytes(catalogue.connection, run) else []


async def _wrong(catalogue: Catalogue, contents: Contents, seal: bytes) -> list[str]:
    manifest, completion, there = await entry_values(catalogue.connection, contents.name)
    wanted = {b"%d" % step: c.data if c else b"" for step, c in contents.checkpoints.items()}
    there = there or {}
    ended = contents.completion.data if contents.completion else b""
    changed = [step for step in wanted if there.get(step) not in (None, wanted[step])]
    found = {
        "another run.json": [] if manifest == contents.run.data else [""],
        "another complete.json": [] if completion == ended else [""],
        "not step": [_shown(step) for step in wanted if step not in there],
        "a step that is not published": [_shown(step) for step in there if step not in wanted],
        "another manifest of step": [_shown(step) for step in changed],
        "another seal": [] if seal == encode_seal(contents.seal) else [""],
    }
    return [f"{what} {', '.join(steps[:SHOWN])}".strip() for what, steps in found.items() if steps]


def _shown(step: bytes) -> str:
    return step.decode(errors="replace")[:20]
