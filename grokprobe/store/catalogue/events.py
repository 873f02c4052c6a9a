"""The stream `grokprobe:events`: what is announced of the runs, and how it is read.

    event=checkpoint  data={run, step, train_loss, train_accuracy, test_loss, test_accuracy}
    event=complete    data={run, step, status}
    event=deleted     data={run}

An entry holds all that a listener is told, as JSON: whoever reads the stream asks nobody else.
Every pod needs every event, so each reads the stream itself, without a consumer group.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from redis.asyncio import Redis

from grokprobe.store.catalogue.connection import answering
from grokprobe.store.catalogue.keys import EVENTS, Command
from grokprobe.store.records import CheckpointManifest, Completion

KEPT = 10_000  # about: Redis trims whole nodes of its list
ANNOUNCED = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
BEGINNING = "0-0"  # what Redis calls the place before the first event
ANSWER_S = 5.0  # a connection that is silent for longer counts as dead


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the stream; `id` is Redis' own, `data` is JSON on one line."""

    id: str
    kind: str
    run: str
    data: bytes


def position(event_id: str) -> tuple[int, int]:
    """An event's id as numbers in the order of the stream: milliseconds, count in that one."""
    milliseconds, _, count = event_id.partition("-")
    return int(milliseconds), int(count)


def checkpoint_event(manifest: CheckpointManifest) -> Command:
    """The event that announces a checkpoint."""
    measures = {name: manifest.measures.get(name) for name in ANNOUNCED}
    facts = {"run": manifest.run, "step": manifest.step, **measures}
    return _append("checkpoint", manifest.run, msgspec.json.encode(facts))


def completion_event(completion: Completion) -> Command:
    """The event that announces how a run ended."""
    return _append("complete", completion.run, completion_data(completion))


def completion_data(completion: Completion) -> bytes:
    """What a listener is told of the end of a run."""
    facts = {"run": completion.run, "step": completion.step, "status": completion.status}
    return msgspec.json.encode(facts)


def deletion_event(run: str) -> Command:
    """The event that announces that a run is gone."""
    return _append("deleted", run, msgspec.json.encode({"run": run}))


def _append(kind: str, run: str, data: bytes) -> Command:
    fields = ("event", kind, "run", run, "data", data)
    return ("XADD", EVENTS, "MAXLEN", "~", KEPT, "*", *fields)


class EventReader:
    """Reads the stream on a connection of its own, which waits without a socket timeout.

    Every method raises CatalogueUnavailable where Redis is down or silent.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def holds(self, event_id: str) -> bool:
        """Whether the stream still holds an event: then all that followed it is there, too."""
        with answering(self._client):
            async with asyncio.timeout(ANSWER_S):
                return bool(await self._client.xrange(EVENTS, event_id, event_id))

    async def after(self, event_id: str, wait_s: float) -> list[Event]:
        """The events after one; where there are none, those that come within `wait_s`."""
        block_ms = int(1000 * wait_s) or None  # Redis would wait for ever for 0
        with answering(self._client):
            async with asyncio.timeout(wait_s + ANSWER_S):
                found: Any = await self._client.xread({EVENTS: event_id}, KEPT, block_ms)
        return [_event(*entry) for _, entries in found for entry in entries]

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


def _event(entry: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """Decode an entry; one that somebody else wrote is of no run, and so nobody's news."""
    kind, run, data = (fields.get(name, b"") for name in (b"event", b"run", b"data"))
    return Event(entry.decode(), kind.decode(errors="replace"), run.decode(errors="replace"), data)
