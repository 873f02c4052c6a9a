"""Training states: what resuming needs, private to the trainer, two slots an attempt.

Tensors first, then the record with their digest: a save that was interrupted leaves a slot whose
record does not fit, and the other slot as it was. An attempt writes to its own slots only, so a
trainer that was superseded cannot spoil what its successor reads.
"""

from dataclasses import dataclass
from math import inf

from grokprobe.errors import CheckpointCorrupt
from grokprobe.store.archive import names
from grokprobe.store.archive.objects import Objects, gather
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import StateRecord, encode_record, sha256


@dataclass(frozen=True)
class TrainingState:
    """A training state that fits its digest: tensors as safetensors."""

    record: StateRecord
    tensors: bytes


class TrainingStates:
    """Saves and finds training states. All raise StoreUnavailable where storage does not answer."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def save(self, record: StateRecord, tensors: bytes, slot: int) -> None:
        """Replace what the slot, 0 or 1, of the record's attempt held."""
        run, attempt = record.run, record.attempt
        await self._objects.replace(names.training_state_path(run, attempt, slot), tensors)
        await self._objects.replace(
            names.state_record_path(run, attempt, slot), encode_record(record)
        )

    async def find(self, run: str) -> tuple[list[TrainingState], list[str]]:
        """The sound states of the newest attempt that has any, newest first.

        And a line for each state that is newer than those and not sound.
        """
        paths = await self._objects.below(names.state_prefix(run))
        slots = [slot for path in paths if (slot := names.slot_of(path))]
        complaints: list[str] = []
        for attempt in sorted({attempt for attempt, _ in slots}, reverse=True):
            own = [slot for number, slot in slots if number == attempt]
            read = await gather(lambda slot, a=attempt: self._read(run, a, slot), own)  # type: ignore[misc]
            sound = [state for state, _, _ in read if state]
            sound.sort(key=lambda state: -state.record.step)
            newest = sound[0].record.step if sound else -1
            complaints += [line for _, line, step in read if line and step > newest]
            if sound:
                return sound, complaints
        return [], complaints

    async def clear(self, run: str, below: float = inf) -> None:
        """Remove the states of the attempts below a number; not the attempts."""
        paths = await self._objects.below(names.state_prefix(run))
        doomed = [path for path in paths if (names.state_attempt_of(path) or inf) < below]
        await gather(self._objects.remove, [path for path in doomed if path.endswith(".json")])
        await gather(self._objects.remove, [path for path in doomed if not path.endswith(".json")])

    async def _read(
        self, run: str, attempt: int, slot: int
    ) -> tuple[TrainingState | None, str, float]:
        """The state of a slot, or what is wrong with it, and its step."""
        path = names.state_record_path(run, attempt, slot)
        step = inf  # unknown, so perhaps the newest
        try:
            record = decode_record(await self._objects.read(path) or b"", StateRecord, path)
            step = record.step
            path = names.training_state_path(run, attempt, slot)
            tensors = await self._objects.read(path, record.bytes)
        except CheckpointCorrupt as error:
            return None, str(error), step
        whose = (record.run, record.attempt)
        if tensors is None or sha256(tensors) != record.sha256 or whose != (run, attempt):
            return None, f"{path} is not what its record says of step {record.step}", step
        return TrainingState(record, tensors), "", step
