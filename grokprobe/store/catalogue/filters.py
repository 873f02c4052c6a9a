"""Which runs a list is asked for, and where the index has just those, in order.

    grokprobe:filed            sorted set, score 0: FACTS/RUN, a member for each choice of facts
    grokprobe:{run:RUN}:filed  the facts of a run that its members there were made of

A run's facts are `operation|modulus|status|group`, percent-encoded. A choice leaves some of them
empty, so that the runs of any combination of filters are one range, in the order of their names.
A run has 7 members, in a group 15: about 1 kB, beside 3 kB for each of its checkpoints. Members
come and go with the run itself (`scripts`), so their number is known from those of runs and groups.
"""

from urllib.parse import quote

import msgspec

from grokprobe.store.catalogue.keys import FILED, LAYOUT, READY, Command, key
from grokprobe.store.catalogue.lua import ASK, FILE, evaluate
from grokprobe.store.catalogue.rows import ListedRun
from grokprobe.store.records import RunManifest, Status, sha256

FACTS, MAX_FACT = 4, 64
PER_RUN, PER_MEMBER = 2 ** (FACTS - 1) - 1, 2 ** (FACTS - 1)  # members; those more in a group


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs of a list have in common; None admits all."""

    operation: str | None = None
    modulus: int | None = None
    status: Status | None = None
    group: str | None = None

    def admits(self, manifest: RunManifest | ListedRun, status: Status) -> bool:
        """Whether a run is one of those."""
        if self == ALL:
            return True
        asked, facts = msgspec.structs.astuple(self), _facts(manifest, status)
        return all(one in (None, fact) for one, fact in zip(asked, facts, strict=True))

    @property
    def filed(self) -> str:
        """How the members of `grokprobe:filed` begin that are of these runs, before the `/`."""
        return _joined(msgspec.structs.astuple(self))


ALL = RunFilter()


def filed_as(manifest: RunManifest, status: Status) -> str:
    """The facts of a run as they are kept."""
    return _joined(_facts(manifest, status))


def _facts(manifest: RunManifest | ListedRun, status: Status) -> tuple[str | int | None, ...]:
    """In the order of the fields of `RunFilter`."""
    return manifest.task.operation, manifest.task.modulus, status, manifest.group or None


def _joined(facts: tuple[str | int | None, ...]) -> str:
    return "|".join("" if fact is None else _written(str(fact)) for fact in facts)


def _written(fact: str) -> str:
    """Never empty, and short, whatever a manifest says."""
    quoted = quote(fact, safe="", errors="replace")
    return quoted or "%" if len(quoted) <= MAX_FACT else sha256(quoted.encode())


# Whether each run has all of its members, as many as runs and groups make.
_WHOLE = (
    ASK
    + """
local ready = ask('HMGET', KEYS[1], 'layout', 'runs', 'members')
if not ready or ready[1] ~= ARGV[1] then return 0 end
local runs, members = tonumber(ready[2]), tonumber(ready[3])
if not runs or not members then return 0 end
return (ask('ZCARD', KEYS[2]) or 0) == ARGV[2] * runs + ARGV[3] * members and 1 or 0
"""
)
FILED_WHOLE = evaluate(_WHOLE, (READY, FILED), LAYOUT, PER_RUN, PER_MEMBER)

# The members of a run by the facts that are kept.
_REFILE = (
    FILE
    + """
local facts = redis.pcall('GET', KEYS[2])
if type(facts) == 'string' then file(KEYS[1], KEYS[2], ARGV[1], facts) end
return 1
"""
)


def refile(run: str) -> Command:
    """Put a run that is indexed into the lists by facts."""
    return evaluate(_REFILE, (FILED, key(run, "filed")), run)
