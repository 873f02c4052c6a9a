"""The Redis index of what object storage holds: its keys, and the commands that write them.

    grokprobe:ready                  present once the index is whole; absent, Redis counts as down
    grokprobe:runs                   sorted set, score 0: the names, in lexicographic order
    grokprobe:groups                 sorted set, score 0: GROUP/RUN of each run that is in a group
    grokprobe:events                 stream, trimmed: what was announced (`events`)
    grokprobe:{run:RUN}:manifest     the RunManifest
    grokprobe:{run:RUN}:completion   the Completion
    grokprobe:{run:RUN}:status       its status alone: lists of runs need no more of it
    grokprobe:{run:RUN}:checkpoints  hash, step -> CheckpointManifest
    grokprobe:{run:RUN}:steps        sorted set, step by step
    grokprobe:{run:RUN}:group        the name of its group, where it is in one
    grokprobe:{run:RUN}:announced    set of what has its event already: "complete", or a step

Records are the JSON bytes of object storage. The keys of one run share a hash tag, so that one
MULTI changes them together. Every write may be repeated; the event of a repeated write is not,
unless its first try went unacknowledged, so readers of events must bear a duplicate. No name has a
`/`, so the members of a group are the range of `grokprobe:groups` that begins with `GROUP/`.
Commands of Redis 6.2 only.
"""

from typing import Literal, TypeVar, get_args

from grokprobe.errors import CatalogueUnavailable, CheckpointCorrupt
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    Record,
    RunManifest,
    decode_record,
    encode_record,
)

READY = "grokprobe:ready"
RUNS = "grokprobe:runs"
GROUPS = "grokprobe:groups"
EVENTS = "grokprobe:events"
REINDEX = "run `python -m grokprobe reindex`"

R = TypeVar("R", bound=Record)
Command = tuple[str | bytes | int, ...]
KeyPart = Literal["manifest", "completion", "status", "checkpoints", "steps", "group", "announced"]


def key(run: str, part: KeyPart) -> str:
    """The key of one part of a run."""
    return f"grokprobe:{{run:{run}}}:{part}"


def run_entry(manifest: RunManifest) -> list[Command]:
    """The commands that index a run."""
    run = manifest.run
    return [
        ("SET", key(run, "manifest"), encode_record(manifest)),
        *(_membership(run, manifest.group) if manifest.group else ()),
        ("ZADD", RUNS, 0, run),
    ]


def _membership(run: str, group: str) -> list[Command]:
    return [("SET", key(run, "group"), group), ("ZADD", GROUPS, 0, f"{group}/{run}")]


def checkpoint_entry(manifest: CheckpointManifest) -> list[Command]:
    """The commands that index a checkpoint."""
    run, step = manifest.run, manifest.step
    return [
        ("HSET", key(run, "checkpoints"), step, encode_record(manifest)),
        ("ZADD", key(run, "steps"), step, step),
    ]


def completion_entry(completion: Completion) -> list[Command]:
    """The commands that index a completion."""
    run = completion.run
    return [
        ("SET", key(run, "completion"), encode_record(completion)),
        ("SET", key(run, "status"), completion.status),
    ]


def removal(run: str, group: str | None) -> list[Command]:
    """The commands that drop a run, its name last: till then a rebuild finds what is left."""
    leave: list[Command] = [("ZREM", GROUPS, f"{group}/{run}")] if group else []
    parts = [key(run, part) for part in get_args(KeyPart)]
    return [*leave, ("DEL", *parts), ("ZREM", RUNS, run)]


def announced(run: str, *marks: str | int) -> Command:
    """The command that notes that these steps, or "complete", have their event."""
    return ("SADD", key(run, "announced"), *marks)


def decode_entry(data: bytes, kind: type[R], run: str) -> R:
    """A record of the index; one that cannot be read is a broken index, not a broken run."""
    try:
        return decode_record(data, kind, f"the index of run {run!r}")
    except CheckpointCorrupt as error:
        raise CatalogueUnavailable(f"{error}; {REINDEX}") from None
