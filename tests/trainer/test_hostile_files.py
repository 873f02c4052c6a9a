"""Hostile configurations and training states: one line that says where, never a traceback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load, save

from grokprobe.errors import CheckpointCorrupt, InvalidInput
from grokprobe.store.records import encode_record, sha256
from tests.support.trained import Trained, settings_at
from tests.trainer.test_resume import interrupted, states
from trainer.config.schema import MOST_CHECKPOINTS, load_config, preset
from trainer.jobs.training import resume
from trainer.reporting.progress import JsonReporter

DEEP = 20_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * DEEP, "is nested too deep"),
        ("x = " + "[" * 900 + "]" * 900, "is nested too deep"),
        ("[model]\nx = " + "{a = " * DEEP + "1" + "}" * DEEP, "is nested too deep"),
        ("[" + "a." * DEEP + "b]", "not a section"),
        ("[task]\nmodulus = " + "9" * DEEP, "is not TOML"),
        ("[task]\nmodulus = 1099511627776", "at most 509"),
        ("[optimiser]\nlearning_rate = nan", "learning_rate"),
        ("[model]\nattention_scale = inf", "attention_scale"),
        ("[training]\nsteps = 9999999999\n[checkpoints]\nevery = 1", "at most 50000"),
        ("[training]\nsteps = 9999999999\n[checkpoints]\ndense = [[0, 9999999999, 1]]", "at most"),
        ('x = "\\ud800"', "is not TOML"),
    ],
    ids=lambda text: text[:20].replace("\n", " "),
)
def test_a_hostile_configuration(text: str, words: str, tmp_path: Path) -> None:
    """Refused with the file's name."""
    path = tmp_path / "hostile.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=words) as caught:
        load_config(path)
    assert "hostile.toml" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_hostile_assignment() -> None:
    """What `--set` cannot read is text, and no number."""
    for value in ("[" * DEEP, "9" * DEEP):
        with pytest.raises(InvalidInput, match=r"training\.steps"):
            load_config(preset("quickstart"), [f"training.steps={value}"])
    assert MOST_CHECKPOINTS == 50_000


Tensors = dict[str, np.ndarray[Any, Any]]


def last(tensors: Tensors) -> str:
    """The name of a weight of the last snapshot."""
    return max(name for name in tensors if "/weights/" in name)


STATES: dict[str, Callable[[Tensors], bytes]] = {
    "no safetensors": lambda _: b"\xff" * 100,
    "a header of 2^60 bytes": lambda _: (2**60).to_bytes(8, "little") + b"{}",
    "no tensor": lambda _: save({}),
    "a place of no step": lambda found: save(found | {"x/weights/W_E": np.ones(1)}),
    "a place of two parts": lambda found: save(found | {"7": np.ones(1)}),
    "a later step": lambda found: save(
        {name.replace(name.partition("/")[0], "9" * 9): array for name, array in found.items()}
    ),
    "a weight less": lambda found: save({n: a for n, a in found.items() if n != last(found)}),
    "a weight of another shape": lambda found: save(found | {last(found): np.ones((3, 3, 3))}),
    "moments of another shape": lambda found: save(
        {n: np.ones(5) if "/moments/" in n and a.ndim else a for n, a in found.items()}
    ),
    "moments of nobody": lambda found: save(
        found | {f"{last(found).partition('/')[0]}/moments/exp_avg.W_X": np.ones(1)}
    ),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Trained:
    """A run that was interrupted, with its training states."""
    home = tmp_path_factory.mktemp("stopped")
    return interrupted(Trained(settings_at(home), "tiny", trained.config), 3)


@pytest.mark.parametrize("name", STATES)
def test_a_hostile_training_state(stopped: Trained, name: str) -> None:
    """With a digest that fits: whoever resumes is told which folder it is."""
    sound, _ = states(stopped)
    saved = {path: path.read_bytes() for path in stopped.folder.rglob("state/*/*.*")}
    try:
        for state in sound:
            record = state.record
            tensors = STATES[name](load(state.tensors))
            [place] = [p for p in saved if p.suffix == ".json" and _is_of(saved[p], record.step)]
            place.with_suffix(".safetensors").write_bytes(tensors)
            hostile = msgspec.structs.replace(record, sha256=sha256(tensors), bytes=len(tensors))
            place.write_bytes(encode_record(hostile))
        with pytest.raises(CheckpointCorrupt, match="runs/tiny/state/1 holds no training state"):
            resume(stopped.settings, "tiny", JsonReporter())
    finally:
        for path, data in saved.items():
            path.write_bytes(data)


def _is_of(record: bytes, step: int) -> bool:
    return bool(msgspec.json.decode(record).get("step") == step)
