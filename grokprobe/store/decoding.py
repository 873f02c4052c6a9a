"""From bytes that anybody may have written to a record: what is not one is CheckpointCorrupt.

Whoever can write to the bucket, or to Redis, chooses these bytes. Before they are parsed their
number and that of their values are bounded, so that memory is; then every value, by the types in
`records`; then what a plain value holds, and what must agree with what:

    run.json         the modulus suits the operation; a split is known as a whole or not at all
    manifest.json    a trace is as long as the others; key frequencies are named once, ascending
    complete.json    its checkpoints are in the order of their steps, each once
    of a run         a spectrum has a value for each part of the run's basis, keys are parts of it,
                     both rest on the run's split
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store import bounds
from grokprobe.store.records import (
    FORMAT_VERSION,
    CheckpointManifest,
    Completion,
    KeyRecord,
    Record,
    RunManifest,
    TaskRecord,
    task_of,
)

LONGEST_REASON = 300
S5_PARTS = 6  # irreducible representations but the trivial one

R = TypeVar("R", bound=Record)


class Unsound(ValueError):
    """What is wrong with a record, without its name."""


def decode_record(data: bytes, kind: type[R], where: str) -> R:
    """A record from its JSON bytes; `where` names the object in the error.

    Raises CheckpointCorrupt for anything that is not such a record of this format version.
    """
    try:
        check_extent(data, kind)
        record = msgspec.json.decode(data, type=kind)
        if record.format_version == FORMAT_VERSION:
            check_record(record)
    # RecursionError: nested without an end, wherever that is.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unsound) as error:
        _refuse_version(_version(data), where)
        raise CheckpointCorrupt(f"{where} is not a {kind.__name__}: {_reason(error)}") from None
    _refuse_version(record.format_version, where)
    return record


def check_extent(data: bytes, kind: type[Record]) -> None:
    """Raise Unsound for more bytes, or more values in them, than such a record may have."""
    if len(data) > kind.max_bytes:
        raise Unsound(f"it has {len(data)} bytes, more than {kind.max_bytes}")
    most = kind.max_bytes // bounds.VALUE_BYTES
    if len(data) > most and sum(map(data.count, (b",", b"[", b"{"))) > most:
        raise Unsound(f"it has more than {most} values")


def check_record(record: Record) -> None:
    """Raise Unsound where values of a record are not within bounds or contradict each other."""
    moment = getattr(record, "created_at", bounds.EARLIEST)
    if not bounds.EARLIEST <= moment <= bounds.LATEST:
        raise Unsound(f"created_at is not from {bounds.EARLIEST:%Y} to {bounds.LATEST:%Y}")
    if rule := RULES.get(type(record)):
        rule(record)


def check_of_run(run: RunManifest, record: CheckpointManifest | Completion, where: str) -> None:
    """Raise CheckpointCorrupt for a record that cannot be of this run."""
    try:
        if isinstance(record, Completion):
            _check_keys(record.keys, run.task)
        else:
            _check_checkpoint_of_run(run.task, record)
    except Unsound as error:
        raise CheckpointCorrupt(f"{where} is not of its run: {error}") from None


def _check_run(run: RunManifest) -> None:
    for name in ("architecture", "optimiser", "config"):
        check_plain(getattr(run, name), name)
    try:
        task_of(run)
    except CheckpointCorrupt as error:
        raise Unsound(str(error)) from None
    task = run.task
    known = {value is not None for value in (task.split_sha256, task.train_pairs, task.test_pairs)}
    if len(known) > 1:
        raise Unsound("its split is known in part: digest, train pairs and test pairs go together")
    if (task.train_pairs or 0) + (task.test_pairs or 0) > task.modulus**2:
        raise Unsound("its split has more pairs than there are")


def _check_checkpoint(manifest: CheckpointManifest) -> None:
    _check_ascending(manifest.own_keys)
    if manifest.spectrum and min([0.0, *manifest.spectrum.power]) < 0:
        raise Unsound("a power is negative")
    coefficient = manifest.local_learning_coefficient
    if coefficient and len(set(map(len, coefficient.traces))) > 1:
        raise Unsound("its traces differ in length")


def _check_completion(completion: Completion) -> None:
    _check_ascending(completion.keys)
    steps = [checkpoint.step for checkpoint in completion.checkpoints]
    if any(a >= b for a, b in pairwise(steps)):
        raise Unsound("its checkpoints are not in the order of their steps")


RULES: dict[type[Record], Callable[[Any], None]] = {
    RunManifest: _check_run,
    CheckpointManifest: _check_checkpoint,
    Completion: _check_completion,
}


def _check_ascending(keys: KeyRecord | None) -> None:
    if keys and any(a >= b for a, b in pairwise(keys.frequencies)):
        raise Unsound("its key frequencies do not ascend")


def parts_of(task: TaskRecord) -> int:
    """How many parts a spectrum has: frequencies, or irreducible representations."""
    if task.operation == "s5":
        return S5_PARTS
    order = task.modulus - (task.operation in ("mul", "div"))
    return order // 2


def _check_checkpoint_of_run(task: TaskRecord, manifest: CheckpointManifest) -> None:
    if manifest.split_sha256 != task.split_sha256:
        raise Unsound("it has another split_sha256 than run.json")
    _check_keys(manifest.own_keys, task)
    due = parts_of(task)
    if manifest.spectrum and len(manifest.spectrum.power) != due:
        raise Unsound(f"its spectrum has {len(manifest.spectrum.power)} values, {due} are due")


def _check_keys(keys: KeyRecord | None, task: TaskRecord) -> None:
    known = 0 if task.operation == "s5" else parts_of(task)
    if keys and max([0, *keys.frequencies]) > known:
        raise Unsound(f"it has key frequencies above {known}, the last of its basis")


def check_plain(value: Any, name: str) -> None:
    """Raise Unsound for plain values too deep or too large to be shown, compared or encoded."""
    level: list[Any] = [value]
    for _ in range(bounds.MAX_DEPTH):
        for leaf in level:
            _check_leaf(leaf, name)
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise Unsound(f"{name} is nested deeper than {bounds.MAX_DEPTH}")


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_leaf(value: Any, name: str) -> None:
    if isinstance(value, dict) and any(len(key) > bounds.MAX_KEY for key in value):
        raise Unsound(f"{name} has a name of more than {bounds.MAX_KEY} characters")
    if isinstance(value, str) and len(value) > bounds.MAX_TEXT:
        raise Unsound(f"{name} has a text of more than {bounds.MAX_TEXT} characters")
    if isinstance(value, int) and value not in bounds.INTEGERS:
        raise Unsound(f"{name} has an integer of more than 64 bits")


def _version(data: bytes) -> int:
    """The format version that bytes tell, whatever else they are; ours where they tell none."""
    try:
        return msgspec.json.decode(data, type=Record).format_version
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return FORMAT_VERSION


def _refuse_version(version: int, where: str) -> None:
    if version != FORMAT_VERSION:
        raise CheckpointCorrupt(
            f"{where} has format version {version}, this program reads "
            f"{FORMAT_VERSION}; upgrade grokprobe"
        )


def _reason(error: Exception) -> str:
    """One short, printable line, though the words repeat what was read."""
    text = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST_REASON])
