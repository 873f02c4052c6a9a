"""The Redis index of what object storage holds: its keys.

    grokprobe:ready                  hash: layout, runs, members; present once the index is whole
    grokprobe:runs                   sorted set, score 0: the names, in lexicographic order
    grokprobe:groups                 sorted set, score 0: GROUP/RUN of each run that is in a group
    grokprobe:filed                  sorted set, score 0: runs by their facts (`filters`)
    grokprobe:events                 stream, trimmed: what was announced (`events`)
    grokprobe:doubted                set: runs whose entry did not prove itself to some reader
    grokprobe:reindex                expires: the run up to which an interrupted rebuild has come
    grokprobe:lock                   expires: the token of the one that reconciles
    grokprobe:{run:RUN}:seal         what the entry holds, by digests (`seal`)
    grokprobe:{run:RUN}:fresh        expires: while it is there a run that goes on has been compared
    grokprobe:{run:RUN}:manifest     `run.json`
    grokprobe:{run:RUN}:completion   `complete.json`
    grokprobe:{run:RUN}:checkpoints  hash, step -> `manifest.json`; empty for one that is broken
    grokprobe:{run:RUN}:group        the name of its group, where it is in one
    grokprobe:{run:RUN}:filed        the facts by which lists find it
    grokprobe:{run:RUN}:announced    set of what has its event already: "complete", or a step

Records are the bytes of object storage. The entry of a run is believed where its seal proves that
it is whole, and where it has ended or is fresh; else object storage answers for that run. Redis may
evict any of these keys: `runs` and `members` of `ready` count the members of both sorted sets, so
that a list that has lost some is known. All writes but announcements are scripts, which change the
keys of a run, its seal and the counts together (`scripts`), and every write may be repeated; the
event of a repeated write is not, unless its first try went unacknowledged, so readers of events
must bear a duplicate. No name has a `/`, so the members of a group are the range of
`grokprobe:groups` that begins with `GROUP/`. Commands of Redis 6.2 only.
"""

from typing import Literal, get_args

READY = "grokprobe:ready"
RUNS = "grokprobe:runs"
GROUPS = "grokprobe:groups"
FILED = "grokprobe:filed"
EVENTS = "grokprobe:events"
DOUBTED = "grokprobe:doubted"
REINDEXED = "grokprobe:reindex"
LOCK = "grokprobe:lock"
LAYOUT = "2"  # of these keys: an index of another one is not whole
FRESH_S = 10  # how long an entry of a run that goes on is believed after it was compared
REINDEX = "run `python -m grokprobe reindex`"

Command = tuple[str | bytes | int, ...]
KeyPart = Literal[
    "seal", "fresh", "manifest", "completion", "checkpoints", "group", "announced", "filed"
]
PARTS: tuple[KeyPart, ...] = get_args(KeyPart)


def key(run: str, part: KeyPart) -> str:
    """The key of one part of a run."""
    return f"grokprobe:{{run:{run}}}:{part}"


def announced(run: str, *marks: str | int) -> Command:
    """The command that notes that these steps, or "complete", have their event."""
    return ("SADD", key(run, "announced"), *marks)
