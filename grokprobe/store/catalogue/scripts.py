"""The scripts that run beside the data: what must be read, or written, as one.

Reads take whatever lies at a key: a value of another type is none. Writes change a run's entry with
its seal, compared with what the writer has seen, and the counts in `grokprobe:ready`.
"""

from collections.abc import Sequence

from grokprobe.store.archive.contents import Contents
from grokprobe.store.catalogue import lua
from grokprobe.store.catalogue.filters import filed_as
from grokprobe.store.catalogue.keys import (
    DOUBTED,
    EVENTS,
    FILED,
    FRESH_S,
    GROUPS,
    LAYOUT,
    PARTS,
    READY,
    RUNS,
    Command,
    KeyPart,
    key,
)
from grokprobe.store.catalogue.lua import ASK, FRESH, evaluate

# -- reads -----------------------------------------------------------------------------------------

_SEAL = ASK + "return ask('GET', KEYS[1])"

# The records are left out where the reader has them: of a seal that it has proven.
_ENTRY = (
    ASK
    + FRESH
    + """
local seal, lately = ask('GET', KEYS[2]), fresh(KEYS[3])
local layout = ask('HGET', KEYS[1], 'layout')
if seal and seal == ARGV[1] then return {layout, seal, lately} end
return {layout, seal, lately, ask('GET', KEYS[4]), ask('GET', KEYS[5]), ask('HKEYS', KEYS[6])}
"""
)

_VALUES = (
    ASK
    + """
return {ask('GET', KEYS[1]), ask('GET', KEYS[2]), ask('HGETALL', KEYS[3])}
"""
)

_LOOK = (
    ASK
    + """
return {ask('GET', KEYS[1]), ask('HKEYS', KEYS[2]), ask('GET', KEYS[3]), ask('GET', KEYS[4])}
"""
)

# One command for all: what commands cost this process was most of what a page of runs took.
_SUMMARIES = (
    ASK
    + FRESH
    + """
if ask('HGET', KEYS[1], 'layout') ~= ARGV[1] then return false end
local found = {}
for i = 2, #KEYS, 4 do
  local seal = ask('GET', KEYS[i])
  local latest = seal and string.match(seal, '"latest":(%d+)')
  found[#found + 1] = {
    seal, fresh(KEYS[i + 1]), ask('GET', KEYS[i + 2]), ask('HLEN', KEYS[i + 3]),
    latest and ask('HGET', KEYS[i + 3], latest) or false}
end
return found
"""
)

_STATES = (
    ASK
    + FRESH
    + """
local found = {}
for i = 1, #KEYS, 2 do
  found[#found + 1] = {ask('GET', KEYS[i]), fresh(KEYS[i + 1])}
end
return found
"""
)

# Whether the index is whole: of this layout, with as many runs and members as were written.
_WHOLE = (
    ASK
    + """
local ready = ask('HMGET', KEYS[1], 'layout', 'runs', 'members')
if not ready or ready[1] ~= ARGV[1] then return 0 end
local function holds(set, count) return ask('ZCARD', set) == tonumber(count) end
return holds(KEYS[2], ready[2]) and holds(KEYS[3], ready[3]) and 1 or 0
"""
)

# From each group to the next, past its members.
_GROUP_NAMES = """
local found, after = {}, '-'
while true do
  local entry = redis.call('ZRANGEBYLEX', KEYS[1], after, '+', 'LIMIT', 0, 1)[1]
  if not entry then return found end
  found[#found + 1] = string.match(entry, '^[^/]*')
  after = '(' .. found[#found] .. '0'
end
"""


def _of(runs: Sequence[str], *parts: KeyPart) -> list[str]:
    return [key(run, part) for run in runs for part in parts]


WHOLE = evaluate(_WHOLE, (READY, RUNS, GROUPS), LAYOUT)
GROUP_NAMES = evaluate(_GROUP_NAMES, (GROUPS,))
CLEAN = evaluate(lua.CLEAN, (READY, RUNS, GROUPS))
DECLARE = evaluate(lua.DECLARE, (READY, RUNS, GROUPS, EVENTS), LAYOUT)


def seal(run: str) -> Command:
    """What lies at a run's seal, if it is a string at all."""
    return evaluate(_SEAL, _of([run], "seal"))


def entry(run: str, known: bytes) -> Command:
    """Layout, seal, freshness; unless the seal is the known one manifest, completion, steps too."""
    parts: tuple[KeyPart, ...] = ("seal", "fresh", "manifest", "completion", "checkpoints")
    return evaluate(_ENTRY, (READY, *_of([run], *parts)), known)


def values(run: str) -> Command:
    """Manifest, completion, checkpoints, whatever they are."""
    return evaluate(_VALUES, _of([run], "manifest", "completion", "checkpoints"))


def look(run: str) -> Command:
    """Seal, steps, group, facts, whatever they are."""
    return evaluate(_LOOK, _of([run], "seal", "checkpoints", "group", "filed"))


def summaries(runs: Sequence[str]) -> Command:
    """Of each run seal, freshness, manifest, number of checkpoints and the latest of them.

    None where the index is of another layout, or not there.
    """
    keys = _of(runs, "seal", "fresh", "manifest", "checkpoints")
    return evaluate(_SUMMARIES, (READY, *keys), LAYOUT)


def states(runs: Sequence[str]) -> Command:
    """Of each run seal and freshness."""
    return evaluate(_STATES, _of(runs, "seal", "fresh"))


def add(run: str, step: int, manifest: bytes, before: bytes, after: bytes) -> Command:
    """Add a checkpoint if the seal is `before`: 1, or 0 where it has changed."""
    keys = _of([run], "seal", "fresh", "checkpoints")
    return evaluate(lua.ADD, keys, before, after, step, manifest, FRESH_S)


def begin(run: str, before: bytes, token: str, group: str, anew: bool) -> Command:
    """Put a token in the place of the seal that was there before: 1, or 0 where it has changed.

    `anew` drops the checkpoints.
    """
    keys = (READY, RUNS, GROUPS, *_of([run], *PARTS))
    return evaluate(lua.BEGIN, keys, token, run, group, int(anew), before)


def batch(run: str, token: str, checkpoints: Sequence[tuple[bytes, bytes]]) -> Command:
    """Write some checkpoints while the token is there: 1, else 0."""
    flat = [part for checkpoint in checkpoints for part in checkpoint]
    return evaluate(lua.BATCH, _of([run], "seal", "checkpoints"), token, *flat)


def finish(
    token: str | bytes, contents: Contents, group: str, seal: bytes, completion: bytes
) -> Command:
    """Write all but the checkpoints, the seal last, while the token is there: 1, else 0."""
    run, manifest = contents.name, contents.run
    keys = (READY, RUNS, GROUPS, *_of([run], *PARTS), FILED)
    filed = filed_as(manifest.record, contents.seal.status)
    written = (seal, manifest.data, completion, FRESH_S, filed)
    return evaluate(lua.FINISH, keys, token, run, group, *written)


def remove(run: str, event: Command = ()) -> Command:
    """Drop a run and announce it by an XADD: 1 if it was there, else 0."""
    keys = (READY, RUNS, GROUPS, *_of([run], *PARTS), EVENTS, DOUBTED, FILED)
    return evaluate(lua.REMOVE, keys, run, *event[2:])
