"""Whatever lies in the place of a record is CheckpointCorrupt with its name, in one short line."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.errors import CheckpointCorrupt, GrokprobeError
from grokprobe.store import bounds
from grokprobe.store.archive import names
from grokprobe.store.archive.freeing import Tombstone, check_may_be_freed
from grokprobe.store.archive.predictions import decode_predictions
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.split import decode_split
from grokprobe.store.archive.training_states import TrainingStates
from grokprobe.store.archive.verification import problems
from grokprobe.store.decoding import check_of_run, decode_record
from grokprobe.store.records import (
    Attempt,
    CheckpointManifest,
    Completion,
    Record,
    RunManifest,
    StateRecord,
    encode_record,
    now,
)
from tests.support.hostile_records import (
    ANSWERING,
    COMPLETION_OF_ANOTHER_RUN,
    COMPLETIONS,
    MANIFEST,
    MANIFESTS,
    NO_JSON,
    OF_ANOTHER_RUN,
    OF_ANY,
    PREDICTIONS,
    RUN,
    RUNS,
    SPLITS,
    bytes_of,
    changed,
)
from tests.support.stores import new_store, with_loop

LONGEST = 600
STATE = StateRecord(
    run="tiny", attempt=1, step=3, created_at=now(), sha256="0" * 64, bytes=3, environment={"a": 1}
)
OTHERS = [
    Attempt(run="tiny", attempt=1, created_at=now()),
    Tombstone(run="tiny", created_at=now()),
    STATE,
]
SOUND = [RUN.manifest, MANIFEST, ANSWERING.checkpoints[1][0], RUN.completion, *OTHERS]
PLACES = {
    "run.json": (RunManifest, RUNS),
    "manifest.json": (CheckpointManifest, MANIFESTS),
    "complete.json": (Completion, COMPLETIONS),
}
BY_DECODING = [
    pytest.param(kind, make, id=f"{file}: {name}")
    for file, (kind, found) in PLACES.items()
    for name, make in found.items()
    # Sound records, but not of the place where they lie: what reads them there says so.
    if name not in ("another run's", "another step's")
]


def check_refusal(error: Exception, where: str) -> None:
    """Fail unless an error names the object, in one short line that a terminal bears."""
    text = str(error)
    assert text.startswith(where)
    assert text.isprintable()
    assert len(text) < LONGEST


@pytest.mark.parametrize(("kind", "make"), BY_DECODING)
def test_a_hostile_record(kind: type[Record], make: Callable[[], bytes]) -> None:
    """Refused, with the name of its object."""
    with pytest.raises(CheckpointCorrupt) as caught:
        decode_record(make(), kind, "runs/tiny/object")
    check_refusal(caught.value, "runs/tiny/object ")


@pytest.mark.parametrize("record", OTHERS, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("name", [*NO_JSON, *OF_ANY])
def test_a_hostile_record_of_a_trainer(record: Record, name: str) -> None:
    """Attempts, tombstones and records of training states are no more trusting."""
    data = NO_JSON.get(name) or b""
    if name in OF_ANY:
        data = changed(record, *OF_ANY[name])
    if name == "another run's":
        return
    with pytest.raises(CheckpointCorrupt) as caught:
        decode_record(data, type(record), "runs/tiny/object")
    check_refusal(caught.value, "runs/tiny/object ")


def test_refusing_costs_no_memory() -> None:
    """64 MB of numbers are not made numbers of."""
    data = NO_JSON["numbers without an end"]
    assert len(data) > 2**26 - 100
    tracemalloc.start()
    for kind in (RunManifest, CheckpointManifest, Completion):
        with pytest.raises(CheckpointCorrupt):
            decode_record(data[: kind.max_bytes], kind, "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26 + 2**20  # the slice itself


@pytest.mark.parametrize(
    ("record", "place", "value"),
    [
        *((MANIFEST, *change) for change in OF_ANOTHER_RUN.values()),
        *((RUN.completion, *change) for change in COMPLETION_OF_ANOTHER_RUN.values()),
    ],
    ids=[*OF_ANOTHER_RUN, *(f"completion: {name}" for name in COMPLETION_OF_ANOTHER_RUN)],
)
def test_a_record_of_another_run(record: Any, place: str, value: Any) -> None:
    """It is sound by itself, and cannot be of the run under which it lies."""
    found = decode_record(changed(record, place, value), type(record), "x")
    with pytest.raises(CheckpointCorrupt) as caught:
        check_of_run(RUN.manifest, found, "runs/tiny/object")
    check_refusal(caught.value, "runs/tiny/object is not of its run: ")
    check_of_run(RUN.manifest, record, "x")


@pytest.mark.parametrize("name", SPLITS)
def test_a_hostile_split(name: str) -> None:
    """Its header is not believed: no room is made for a shape that it names."""
    tracemalloc.start()
    try:
        mask = decode_split(SPLITS[name], "runs/tiny/split.npy")
        assert mask.shape != (49,) or not np.array_equal(mask, RUN.train_mask)  # by its digest then
    except CheckpointCorrupt as error:
        check_refusal(error, "runs/tiny/split.npy ")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26


@pytest.mark.parametrize("name", PREDICTIONS)
def test_hostile_predictions(name: str) -> None:
    """As of a split; and none is a number that is no residue."""
    tracemalloc.start()
    with pytest.raises(CheckpointCorrupt) as caught:
        decode_predictions(PREDICTIONS[name], 7, "runs/tiny/predictions.npy")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    check_refusal(caught.value, "runs/tiny/predictions.npy ")
    assert peak < 2**26


def test_sound_records_are_read() -> None:
    """What our own trainers write, and fields that a later one may add."""
    for record in SOUND:
        data = encode_record(record)
        assert decode_record(data, type(record), "x") == record
        later = msgspec.json.decode(data) | {"later": {"a": [1, 2, {"b": None}]}}
        assert decode_record(msgspec.json.encode(later), type(record), "x") == record


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(value=JSON, data=st.data())
def test_any_value_at_any_place(value: Any, data: st.DataObject) -> None:
    """A record, or a refusal: nothing else comes out."""
    record = data.draw(
        st.sampled_from([RUN.manifest, ANSWERING.checkpoints[1][0], RUN.completion, *OTHERS])
    )
    values = msgspec.json.decode(encode_record(record))
    places = [
        *values,
        *(f"{k}.{i}" for k, v in values.items() if isinstance(v, dict) for i in v),
    ]
    place = data.draw(st.sampled_from(places))
    try:
        found = decode_record(changed(record, place, value), type(record), "x")
        encode_record(found)
        if isinstance(found, CheckpointManifest | Completion):
            check_of_run(RUN.manifest, found, "x")
    except CheckpointCorrupt as error:
        check_refusal(error, "x ")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (names.run_path("tiny"), RUNS),
        (
            names.completion_path("tiny"),
            COMPLETIONS | bytes_of(RUN.completion, COMPLETION_OF_ANOTHER_RUN),
        ),
        (names.manifest_path("tiny", 10), MANIFESTS | bytes_of(MANIFEST, OF_ANOTHER_RUN)),
        (names.split_path("tiny"), {name: lambda d=data: d for name, data in SPLITS.items()}),
    ],
    ids=["run.json", "complete.json", "manifest.json", "split.npy"],
)
@with_loop
async def test_verify_names_the_one_object(
    path: str, found: dict[str, Callable[[], bytes]], tmp_path: Path
) -> None:
    """Each hostile object among sound ones: one line about it, none about others."""
    archive = ArchiveReader(new_store("memory", tmp_path))
    await RUN.publish(archive)
    for name, make in found.items():
        await archive.objects.replace(path, make())
        lines = await problems(archive, "tiny")
        assert len(lines) == 1, (name, lines)
        check_refusal(CheckpointCorrupt(lines[0]), path)


@with_loop
async def test_a_hostile_tombstone_is_one(tmp_path: Path) -> None:
    """The run is deleted; its name is not freed."""
    for name, data in {**NO_JSON, "128 MB": bytes(2**27)}.items():
        archive = ArchiveReader(new_store("memory", tmp_path))
        await RUN.publish(archive)
        await archive.objects.replace(names.tombstone_path("tiny"), data)
        assert await archive.runs() == [], name
        with pytest.raises(GrokprobeError):
            await archive.run("tiny")
        with pytest.raises(GrokprobeError, match="cannot be freed"):
            await check_may_be_freed(archive, "tiny")


@pytest.mark.parametrize(
    "path",
    [
        "runs/tiny/checkpoints/٠٠٠٠٠٠٠٠٠٧/manifest.json",
        "runs/tiny/checkpoints/x/checkpoints/0000000007/manifest.json",
        "runs/tiny/checkpoints/00000000007/manifest.json",
        "runs/tiny/checkpoints/0000000007/manifest.json/manifest.json",
        "runs/tiny/checkpoints/0000000007/manifest.json\n",
    ],
)
def test_a_manifest_that_lies_elsewhere(path: str) -> None:
    """It is no checkpoint: nobody would find it under its step."""
    assert names.step_of(path) is None


@with_loop
async def test_hostile_attempts_and_states(tmp_path: Path) -> None:
    """Numbers without an end are nobody's; a state that is not what its record says is left."""
    archive = ArchiveReader(new_store("memory", tmp_path))
    await RUN.publish(archive)
    for odd in ("9" * 200, "٣", "0", "-1", "1e9"):
        await archive.objects.replace(f"runs/tiny/state/attempts/{odd}.json", b"[" * 1000)
        await archive.objects.replace(f"runs/tiny/state/{odd}/0.json", b"[" * 1000)
    publisher, states = ArchivePublisher(archive), TrainingStates(archive.objects)
    assert await publisher.start_attempt("tiny") == 1
    for data in NO_JSON.values():
        await archive.objects.replace(names.state_record_path("tiny", 1, 0), data)
        sound, [line] = await states.find("tiny")
        assert sound == []
        check_refusal(CheckpointCorrupt(line), "runs/tiny/state/1/0.json")
    foreign = msgspec.structs.replace(STATE, attempt=2)
    await states.save(foreign, b"abc", 0)
    await archive.objects.replace(names.state_record_path("tiny", 1, 0), encode_record(foreign))
    assert (await states.find("tiny"))[0] == []


@with_loop
async def test_what_nobody_could_read_is_not_written(tmp_path: Path) -> None:
    """A publisher keeps the bounds of readers."""
    archive = ArchiveReader(new_store("memory", tmp_path))
    odd = msgspec.structs.replace(MANIFEST, measures={"test_loss": 1e200})
    await ArchivePublisher(archive).publish_run(RUN.manifest, RUN.train_mask)
    with pytest.raises(CheckpointCorrupt, match="1e"):
        await ArchivePublisher(archive).publish_checkpoint(odd, RUN.checkpoints[1][1])
    assert await archive.steps("tiny") == []


def test_a_horde_of_objects_is_no_run() -> None:
    """A bound that a run of ours cannot reach: two objects for each of its checkpoints."""
    from grokprobe.store.archive.reader import MAX_OBJECTS
    from trainer.config.schema import MOST_CHECKPOINTS

    assert MAX_OBJECTS > 2 * MOST_CHECKPOINTS
    assert bounds.MAX_DEPTH < 100
