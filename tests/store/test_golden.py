"""What format 1 looked like when it was first published stays readable, value by value, for ever.

`tests/golden/format-1` was written by the trainer of version 0.1.0 and is never written again: a
field that is added since must be optional (docs/format.md, "How the format changes").
"""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from obstore.store import LocalStore

from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.training_states import TrainingStates
from grokprobe.store.archive.verification import problems
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import (
    Attempt,
    CheckpointManifest,
    Completion,
    Record,
    RunManifest,
    StateRecord,
)
from tests.support.served import serving
from tests.support.stores import with_loop
from trainer.jobs.training import resume
from trainer.reporting.progress import JsonReporter

GOLDEN = Path(__file__).parents[1] / "golden" / "format-1"
KINDS: list[tuple[str, type[Record]]] = [
    ("runs/*/run.json", RunManifest),
    ("runs/*/checkpoints/*/manifest.json", CheckpointManifest),
    ("runs/*/complete.json", Completion),
    ("runs/*/state/attempts/*.json", Attempt),
    ("runs/*/state/1/*.json", StateRecord),
]


def holds(value: Any, expected: Any) -> bool:
    """Whether a value has all that is expected; fields may have been added."""
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(name in value and holds(value[name], expected[name]) for name in expected)
    if isinstance(expected, list) and isinstance(value, list | tuple):
        return len(value) == len(expected) and all(map(holds, value, expected))
    return bool(value == expected)


@pytest.mark.parametrize(("pattern", "kind"), KINDS, ids=[kind.__name__ for _, kind in KINDS])
def test_every_value_is_read(pattern: str, kind: type[Record]) -> None:
    """Each field of each golden record has its value."""
    paths = sorted(GOLDEN.glob(pattern))
    assert paths
    for path in paths:
        data = path.read_bytes()
        record = decode_record(data, kind, path.name)
        assert holds(msgspec.to_builtins(record), msgspec.json.decode(data)), path


def test_all_of_it_is_small_and_looked_at() -> None:
    """Every golden record is of a kind above."""
    records = set(GOLDEN.rglob("*.json"))
    assert records == {path for pattern, _ in KINDS for path in GOLDEN.glob(pattern)}
    assert sum(p.stat().st_size for p in GOLDEN.rglob("*") if p.is_file()) < 300_000


@with_loop
async def test_digests_splits_and_states_fit() -> None:
    """`verify` has nothing to say, and the training state is one to go on from."""
    archive = ArchiveReader(LocalStore(str(GOLDEN)))
    assert await archive.runs() == ["golden", "golden-stopped"]
    for run in await archive.runs():
        assert await problems(archive, run) == []
    sound, complaints = await TrainingStates(archive.objects).find("golden-stopped")
    assert (len(sound), complaints) == (2, [])


def test_a_service_answers_for_it(tmp_path: Path) -> None:
    """As for any run: measures as they were stored, predictions from the file."""
    home = tmp_path / "home"
    shutil.copytree(GOLDEN, home / "store")
    with serving(Settings(home=str(home), log_format="json"), tmp_path) as served:
        run = served.client.get("/v1/runs/golden").json()
        assert (run["status"], run["latest_step"], run["group"]) == ("complete", 40, "format-1")
        for step in (0, 20, 40):
            path = f"/v1/runs/golden/checkpoints/{step}"
            stored = msgspec.json.decode(
                (GOLDEN / names.manifest_path("golden", step)).read_bytes()
            )
            measures = served.client.get(f"{path}/measures").json()["measures"]
            assert holds(measures, stored["measures"])
            answer = served.client.get(f"{path}/predictions").json()
            right = sum(row["correct"] for row in answer["predictions"])
            assert right / 25 == pytest.approx(stored["measures"]["accuracy"])
        for part in ("trajectory", "spectra", "emergence"):
            assert served.client.get(f"/v1/runs/golden/{part}").status_code == 200


def test_training_goes_on_from_it(tmp_path: Path) -> None:
    """A run that a trainer of that time left."""
    home = tmp_path / "home"
    shutil.copytree(GOLDEN, home / "store")
    settings = Settings(home=str(home), log_format="json")
    assert resume(settings, "golden-stopped", JsonReporter()) == 0
    archive = ArchiveReader(LocalStore(str(home / "store")))
    assert asyncio.run(archive.steps("golden-stopped")) == [0, 3000, 6000, 9000]
