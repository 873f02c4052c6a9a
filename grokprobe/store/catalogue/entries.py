"""The index's entry of one run: read and proven, or written whole.

Who reads sees the entry from before, one in doubt, or the new one: while a run is written, a token
stands in its seal's place. Whoever takes over puts a token of its own there, and the other stops.
"""

from typing import Any, TypeVar
from uuid import uuid4

from grokprobe.errors import CatalogueUnavailable, CheckpointCorrupt, IndexDoubted
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.archive.reader import ArchiveReader, Stored
from grokprobe.store.archive.seal import decode_seal, encode_seal
from grokprobe.store.catalogue import scripts
from grokprobe.store.catalogue.connection import Connection
from grokprobe.store.catalogue.keys import LAYOUT, REINDEX, Command, key
from grokprobe.store.decoding import check_of_run, decode_record
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    Record,
    RunManifest,
    encode_record,
    sha256,
)

R = TypeVar("R", bound=Record)

ATTEMPTS = 5  # of a writer that meets others
BATCH = 500  # checkpoints in one script: about 2 MB
NOT_WHOLE = f"Redis holds no whole index; {REINDEX}"


async def read_entry(connection: Connection, run: str, known: Contents | None = None) -> Contents:
    """A run as its entry has it, proven by its seal; of that run only what `known` lacks is read.

    Without the bytes of the records.

    Raises IndexDoubted where the entry is not there, whole and fresh.
    """
    seal_of_known = encode_seal(known.seal) if known else b""
    [found] = await connection.send(scripts.entry(run, seal_of_known))
    layout, data, fresh, *rest = found
    if layout != LAYOUT.encode():
        raise CatalogueUnavailable(NOT_WHOLE)
    if data is None:
        raise IndexDoubted(run, "absent")
    seal = decode_seal(data)
    if seal is None:
        raise IndexDoubted(run, "unsealed")
    if seal.completion is None and not fresh:
        raise IndexDoubted(run, "stale")
    if known and not rest:
        return known
    contents = await _contents(connection, run, known, *rest)
    if contents.seal != seal:
        raise IndexDoubted(run, "partial" if contents.seal.count != seal.count else "damaged")
    return contents


async def _contents(
    connection: Connection,
    run: str,
    known: Contents | None,
    manifest: bytes | None,
    completion: bytes | None,
    fields: list[bytes] | None,
) -> Contents:
    """What an entry holds, as far as it can be read at all. Raises IndexDoubted."""
    if manifest is None or fields is None:
        raise IndexDoubted(run, "partial")
    if known and known.run.sha256 != sha256(manifest):  # of a run that had the name before
        known = None
    steps = sorted(_step(run, field) for field in fields)
    have = {step: c for step, c in known.checkpoints.items() if c} if known else {}
    missing = [step for step in steps if step not in have]
    found = dict(zip(missing, await _checkpoints(connection, run, missing), strict=True))
    both = {**have, **found}
    of_run = known.run if known else _stored(manifest, RunManifest, run)
    ended = None if completion is None else _stored(completion, Completion, run)
    try:
        for one in (ended, *found.values()):
            if one:
                check_of_run(of_run.record, one.record, "the index")
    except CheckpointCorrupt:
        raise IndexDoubted(run, "damaged") from None
    return Contents(
        run=of_run,
        completion=ended,
        checkpoints={step: both[step] for step in steps},
        problems=[],
        version=known.version if known else "",
    )


def _step(run: str, field: bytes) -> int:
    if not (field.isdigit() and len(field) <= 10 and field == b"%d" % int(field)):
        raise IndexDoubted(run, "damaged")
    return int(field)


async def _checkpoints(
    connection: Connection, run: str, steps: list[int]
) -> list[Stored[CheckpointManifest] | None]:
    parts = [steps[start : start + BATCH] for start in range(0, len(steps), BATCH)]
    commands: list[Command] = [("HMGET", key(run, "checkpoints"), *part) for part in parts]
    answers = await connection.send(*commands) if commands else []
    values = [data for answer in answers for data in answer]
    if None in values:
        raise IndexDoubted(run, "partial")
    return [
        _stored(data, CheckpointManifest, run, step=step) if data else None
        for step, data in zip(steps, values, strict=True)
    ]


def _stored(data: bytes, kind: type[R], run: str, **identity: Any) -> Stored[R]:
    """A record of the index; one that cannot be read is a broken index, not a broken run."""
    try:
        record = decode_record(data, kind, "the index")
    except CheckpointCorrupt:
        raise IndexDoubted(run, "damaged") from None
    if any(getattr(record, f) != value for f, value in {"run": run, **identity}.items()):
        raise IndexDoubted(run, "damaged")
    return Stored(record, sha256(data), b"")


async def repair_entry(
    connection: Connection, archive: ArchiveReader, run: str
) -> tuple[Contents, bool]:
    """Make a run's entry equal to what object storage holds, and fresh; whether it was not equal.

    The seal is read before object storage is: what a trainer adds in between is never lost. Raises
    RunNotFound, CheckpointCorrupt for a `run.json` that is broken, IndexDoubted where others go on
    writing the entry.
    """
    contents = None
    for attempt in range(1, ATTEMPTS + 1):
        before = await seal_bytes(connection, run)
        contents = await read_contents(archive, run, contents)
        try:
            return contents, await write_entry(connection, contents, before)
        except IndexDoubted:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


async def seal_bytes(connection: Connection, run: str) -> bytes:
    """What lies at a run's seal, a token too; empty where there is none."""
    [found] = await connection.send(scripts.seal(run))
    return found or b""


async def write_entry(connection: Connection, contents: Contents, before: bytes) -> bool:
    """Make a run's entry equal to contents, and fresh; whether it was not equal.

    `before` lay at its seal before the contents were read. Raises IndexDoubted if another writer
    has been there since.
    """
    run, seal, group = contents.name, encode_seal(contents.seal), contents.run.record.group or ""
    completion = contents.completion.data if contents.completion else b""
    wanted = {b"%d" % step: c.data if c else b"" for step, c in contents.checkpoints.items()}
    token: str | bytes = before
    manifest, ended, there = await entry_values(connection, run)
    equal = (before, manifest, ended, there) == (seal, contents.run.data, completion, wanted)
    if not before or (manifest, there) != (contents.run.data, wanted):
        token = uuid4().hex
        anew = there is None or any(wanted.get(step) != data for step, data in there.items())
        begin = scripts.begin(run, before, token, group, anew)
        await _send_if_unchanged(connection, run, begin)
        missing = [item for item in wanted.items() if anew or item[0] not in (there or {})]
        for start in range(0, len(missing), BATCH):
            some = scripts.batch(run, token, missing[start : start + BATCH])
            await _send_if_unchanged(connection, run, some)
    done = scripts.finish(token, contents, group, seal, completion)
    await _send_if_unchanged(connection, run, done)
    return not equal


async def entry_values(
    connection: Connection, run: str
) -> tuple[bytes, bytes, dict[bytes, bytes] | None]:
    """What lies at the keys of a run: manifest, completion, checkpoints."""
    [(manifest, completion, flat)] = await connection.send(scripts.values(run))
    there = None if flat is None else dict(zip(flat[::2], flat[1::2], strict=True))
    return manifest or b"", completion or b"", there


async def _send_if_unchanged(connection: Connection, run: str, command: Command) -> None:
    if not (await connection.send(command))[0]:
        raise IndexDoubted(run, "contended")


async def add_to_entry(
    connection: Connection, manifest: CheckpointManifest, expected: bytes | None
) -> bytes:
    """Add a checkpoint that object storage holds to a run's entry; the seal of the entry then.

    Raises IndexDoubted where the entry is not whole, or its seal is not the `expected` one: then
    the run has to be compared with object storage.
    """
    run, step, data = manifest.run, manifest.step, encode_record(manifest)
    checkpoints = key(run, "checkpoints")
    before, there, count = await connection.send(
        ("GET", key(run, "seal")), ("HGET", checkpoints, step), ("HLEN", checkpoints), atomic=True
    )
    seal = decode_seal(before)
    if seal is None:
        raise IndexDoubted(run, "unsealed")
    if before != (expected or before):
        raise IndexDoubted(run, "changed")
    if count != seal.count or there not in (None, data):
        raise IndexDoubted(run, "damaged")
    after = encode_seal(seal.with_checkpoint(step, sha256(data))) if there is None else before
    command = scripts.add(run, step, data, before, after)
    await _send_if_unchanged(connection, run, command)
    return bytes(after)
