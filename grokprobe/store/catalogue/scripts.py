"""What Redis tells of many runs at once, each by one command that runs beside the data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from grokprobe.store.archive.reader import RunState
from grokprobe.store.catalogue.keys import GROUPS, Command, KeyPart, decode_entry, key
from grokprobe.store.records import CheckpointManifest, RunManifest, Status, status_of


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of runs shows of one; `latest` is null before the first checkpoint."""

    manifest: RunManifest
    status: Status
    checkpoint_count: int
    latest: CheckpointManifest | None


# One command for all: what commands cost this process was most of what a page of runs took.
SUMMARIES = """
local found = {}
for i = 1, #KEYS, 4 do
  local last = redis.call('ZREVRANGE', KEYS[i + 2], 0, 0)[1]
  found[#found + 1] = {
    redis.call('GET', KEYS[i]), redis.call('GET', KEYS[i + 1]), redis.call('ZCARD', KEYS[i + 2]),
    last and redis.call('HGET', KEYS[i + 3], last) or false}
end
return found
"""

# The manifest's records stay where they are: of a thousand runs they would be megabytes. When the
# run was created is in the beginning of its own (`encode_record`), after its name.
STATES = """
local found = {}
for i = 1, #KEYS, 3 do
  local head = redis.call('GETRANGE', KEYS[i], 0, 255)
  found[#found + 1] = head ~= '' and {
    string.match(head, '"created_at":%s*"([^"]+)"') or false,
    redis.call('GET', KEYS[i + 1]), redis.call('ZCARD', KEYS[i + 2]),
    redis.call('ZREVRANGE', KEYS[i + 2], 0, 0)[1] or false} or false
end
return found
"""

# From each group to the next, past its members.
GROUP_NAMES = """
local found, after = {}, '-'
while true do
  local entry = redis.call('ZRANGEBYLEX', KEYS[1], after, '+', 'LIMIT', 0, 1)[1]
  if not entry then return found end
  found[#found + 1] = string.match(entry, '^[^/]*')
  after = '(' .. found[#found] .. '0'
end
"""

GROUPS_COMMAND: Command = ("EVAL", GROUP_NAMES, 1, GROUPS)


def summary_command(runs: Sequence[str]) -> Command:
    """Ask of each run for manifest, status, number of checkpoints and latest checkpoint."""
    parts: tuple[KeyPart, ...] = ("manifest", "status", "steps", "checkpoints")
    return ("EVAL", SUMMARIES, 4 * len(runs), *(key(run, part) for run in runs for part in parts))


def states_command(runs: Sequence[str]) -> Command:
    """Ask of each run, null where it is gone, for its creation, status, checkpoints, last step."""
    parts: tuple[KeyPart, ...] = ("manifest", "status", "steps")
    keys = [key(run, part) for run in runs for part in parts]
    return ("EVAL", STATES, len(keys), *keys)


def state_of(
    run: str, created_at: bytes | None, status: bytes | None, count: int, latest: bytes | None
) -> RunState:
    """The state of a run from its row of the answer to `states_command`."""
    return RunState(
        run=run,
        created_at=datetime.fromisoformat(created_at.decode()) if created_at else None,
        status=_status(status),
        checkpoint_count=count,
        latest_step=None if latest is None else int(latest),
    )


def _status(stored: bytes | None) -> Status:
    return cast(Status, stored.decode()) if stored else status_of(None)


def summary_of(run: str, row: list[Any]) -> RunSummary:
    """The summary of a run from its row of the answer to `summary_command`."""
    manifest, status, checkpoint_count, latest = row
    return RunSummary(
        manifest=decode_entry(manifest, RunManifest, run),
        status=_status(status),
        checkpoint_count=checkpoint_count,
        latest=decode_entry(latest, CheckpointManifest, run) if latest else None,
    )
