"""What each member of a group tells, kept: a group of a thousand is not read again for one step.

What is kept of a run is its row alone, a few kilobytes. To make it all of its manifests are read,
of a few runs at a time; views of theirs are not kept, so those of the runs that people look at are.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from grokprobe.analysis.distributions import (
    Delay,
    Seen,
    delay,
    seen_delay,
    seen_event,
    seen_lag,
)
from grokprobe.analysis.emergence import Held, Lag, Transition
from grokprobe.analysis.lasting import Turn
from grokprobe.errors import CheckpointCorrupt, GroupNotFound, RunNotFound
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.reader import RunState
from grokprobe.store.catalogue.filters import RunFilter
from grokprobe.store.records import Status, is_name
from service.cache import Cache
from service.errors import TooLarge
from service.runs.emergence import GENERALISATION, STRUCTURE, answer_emergence
from service.runs.source import Source
from service.runs.view import RunView

T = TypeVar("T")


class MemberRow(msgspec.Struct, frozen=True):
    """What one run tells; null for what has not happened, or not yet.

    `config` has the fields in which the members' configurations differ, by dotted name. The
    accuracies are those of its latest checkpoint, `transition` is of test accuracy.
    """

    run: str
    seed: int | None
    status: Status
    checkpoint_count: int
    latest_step: int | None
    config: dict[str, Any]
    train_accuracy: float | None
    test_accuracy: float | None
    memorised: Held | None
    generalised: Held | None
    lost: Turn | None  # the first time that test accuracy ceased to hold
    delay: Delay | None
    transition: Transition
    lags: dict[str, Lag | None]  # of each structure series' midpoint


def _seen_lag(name: str, row: MemberRow) -> Seen:
    return seen_lag(row.lags[name])


# What a member tells of each quantity that is spread over a group; lags by their structure.
SEEN: Mapping[str, Callable[[MemberRow], Seen]] = {
    "memorised": lambda row: seen_event(row.memorised, row.latest_step, row.train_accuracy),
    "generalised": lambda row: seen_event(row.generalised, row.latest_step, row.test_accuracy),
    "delay": lambda row: seen_delay(row.delay, row.memorised, row.latest_step, row.test_accuracy),
    **{name: partial(_seen_lag, name) for name in STRUCTURE},
}
MAX_MEMBERS = 4096  # of one group: 8 MB of JSON
MAX_KEPT = 2 * MAX_MEMBERS
AT_ONCE = 4  # runs that are read, whoever asks


@dataclass(frozen=True)
class _Kept:
    """The row of a run, and how far the run was then."""

    state: RunState
    row: MemberRow


@dataclass(frozen=True)
class Group:
    """The members of a group in the order of their names."""

    name: str
    states: list[RunState]


class GroupMembers:
    """The rows of all runs that were asked for as members lately."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: Cache[str, _Kept] = Cache(MAX_KEPT)
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def group(self, name: str) -> Group:
        """How far each member is, now. Raises GroupNotFound, TooLarge, StoreUnavailable."""
        states: list[RunState] = []
        if is_name(name):
            states = await self._source.either(
                lambda: self._from_catalogue(name), lambda: self._from_archive(name)
            )
        if not states:
            raise GroupNotFound(name, await self._names())
        return Group(name, states)

    async def rows(self, group: Group) -> list[MemberRow]:
        """What each member tells; one that was deleted meanwhile is left out."""
        found = await gather(self._row, group.states)
        return [row for row in found if row]

    async def each(self, group: Group, make: Callable[[RunView], T]) -> list[T]:
        """What is made of each member, read anew; one that was deleted meanwhile is left out."""

        async def one(state: RunState) -> T | None:
            async with self._turn:
                view = await self._view(state)
                return await asyncio.to_thread(make, view) if view else None

        return [made for made in await gather(one, group.states) if made is not None]

    async def _from_catalogue(self, name: str) -> list[RunState]:
        runs = await self._source.catalogue.runs(
            limit=MAX_MEMBERS + 1, wanted=RunFilter(group=name)
        )
        _check_size(name, runs)
        proven = await self._source.catalogue.states(runs)

        async def one(run: str) -> RunState | None:
            return proven.get(run) or await self._state(run)

        return [state for state in await gather(one, runs) if state]

    async def _from_archive(self, name: str) -> list[RunState]:
        """What has ended stays as it is, so that it is not listed again."""
        runs = (await self._source.archive.groups()).get(name, [])
        _check_size(name, runs)
        return [state for state in await gather(self._state, runs) if state]

    async def _state(self, run: str) -> RunState | None:
        known, archive = self._kept.known(run), self._source.archive
        try:
            ended = known and known.state.status != "running"
            if known and ended and known.state.created_at == await archive.created_at(run):
                return known.state
            return await archive.state(run)
        except (RunNotFound, CheckpointCorrupt):
            return None

    async def _names(self) -> list[str]:
        """The groups that there are."""

        async def from_archive() -> list[str]:
            return sorted(await self._source.archive.groups())

        return await self._source.either(self._source.catalogue.groups, from_archive)

    async def _row(self, state: RunState) -> MemberRow | None:
        if known := self._current(state):
            return known
        async with self._turn:
            if known := self._current(state):  # somebody else waited for it, too
                return known
            view = await self._view(state)
            if view is None:
                self._kept.drop(state.run)
                return None
            row = await asyncio.to_thread(_row, view)
        self._kept.keep(state.run, _Kept(_state_of(view), row))
        return row

    async def _view(self, state: RunState) -> RunView | None:
        """A member as it is now; None if it is no more, or cannot be read."""
        with suppress(RunNotFound, CheckpointCorrupt):
            return await self._source.view(state.run)
        return None

    def _current(self, state: RunState) -> MemberRow | None:
        """The kept row of a run that is just as far."""
        known = self._kept.known(state.run)
        return known.row if known and known.state == state else None


def _check_size(name: str, runs: Sequence[str]) -> None:
    if len(runs) > MAX_MEMBERS:
        raise TooLarge(
            f"group {name!r} has more than {MAX_MEMBERS} members, the most that one answer holds; "
            f"list them by runs?group={name} and ask each for its emergence"
        )


def _state_of(view: RunView) -> RunState:
    return RunState(
        run=view.manifest.run,
        created_at=view.manifest.created_at,
        status=view.status,
        checkpoint_count=len(view.checkpoints),
        latest_step=view.latest.step if view.latest else None,
    )


def _row(view: RunView) -> MemberRow:
    """What a run tells, with all of its configuration."""
    found, latest, manifest = answer_emergence(view), view.latest, view.manifest
    measures = latest.measures if latest else {}
    return MemberRow(
        run=manifest.run,
        seed=manifest.seed,
        status=view.status,
        checkpoint_count=len(view.checkpoints),
        latest_step=latest.step if latest else None,
        config=dict(_leaves(manifest.config)),
        train_accuracy=measures.get("train_accuracy"),
        test_accuracy=measures.get("test_accuracy"),
        memorised=found.memorised,
        generalised=found.generalised,
        lost=next(iter(found.lost), None),
        delay=delay(found.memorised, found.generalised),
        transition=found.series[GENERALISATION],
        lags={name: found.lags[name]["midpoint"] for name in STRUCTURE},
    )


def _leaves(config: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """The fields of a configuration by dotted name; a list is one value."""
    found: list[tuple[str, Any]] = []
    for name, value in config.items():
        if isinstance(value, dict):
            found += _leaves(value, f"{path}{name}.")
        else:
            found.append((f"{path}{name}", value))
    return found
