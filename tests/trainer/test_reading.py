"""Files of weights: what is read, what is refused, and that nothing in them is executed."""

import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grokprobe.errors import InvalidInput
from grokprobe.task import Mask, Residues, Task
from tests.support.foreign import lens, save, small
from trainer.importing.files import Contents, read_contents
from trainer.importing.mapping import read_network
from trainer.importing.steps_and_split import steps_of, train_mask

LIMIT = 10**6
SEVEN = Task(modulus=7)


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(InvalidInput) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".npz", ".safetensors"])
def test_every_kind_of_file_holds_the_same_network(tmp_path: Path, suffix: str) -> None:
    """Read back bit for bit, with the digest of the file."""
    path = save(small(), tmp_path / f"m{suffix}")
    contents = read_contents(path, LIMIT)
    [state] = contents.states("", ())
    weights = read_network("m", state, lens()).weights
    for name, weight in read_network("m", small(), lens()).weights.items():
        np.testing.assert_array_equal(weights[name], weight)


def test_a_file_of_an_older_torch_is_read(tmp_path: Path) -> None:
    """The format before zip archives."""
    torch.save(small(), tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    assert set(read_contents(tmp_path / "m.pt", LIMIT).table) == set(small())


@pytest.mark.parametrize(
    ("path", "names"),
    [("", {"step", "model.a.W", "model.b", "list"}), ("model", {"a.W", "b"}), ("model.a", {"W"})],
)
def test_nested_dictionaries_have_dotted_paths(tmp_path: Path, path: str, names: set[str]) -> None:
    """`file.state` is the part below which the network lies."""
    nested = {"step": 3, "model": {"a": {"W": torch.ones(2)}, "b": 1}, "list": [{"W": 1}, {"W": 2}]}
    contents = read_contents(save(nested, tmp_path / "m.pt"), LIMIT)
    [state] = contents.states(path, ())
    assert set(state) == names
    assert contents.states("list", ()) == [{"W": 1}, {"W": 2}]
    words = refusal(lambda: contents.states("modell", ()))
    assert words.endswith(
        "file.state 'modell' is not a state dictionary of it; did you mean model?"
    )


class Evil:
    """What a pickle can do to whoever loads it."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("executed",)


def bytes_of(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def objects_of(value: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, W=np.array([value], dtype=object))
    return buffer.getvalue()


def npz_of(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.pt", bytes_of(Evil()), "needs posix.mkdir, which could execute code"),
        ("m.npz", objects_of(Evil()), "needs Python objects, which could execute code"),
        (
            "m.pt",
            bytes_of(Contents),
            "needs trainer.importing.files.Contents, which could execute code",
        ),
        ("m.pt", bytes_of({"W": torch.ones(9)})[:-99], "is no whole .pt file of tensors"),
        ("m.pt", b"", "is no whole .pt file of tensors"),
        ("m.pt", b"not a file of tensors", "is no whole .pt file of tensors"),
        ("m.pth", npz_of(W=np.ones(3)), "is no whole .pth file of tensors"),
        ("m.npz", bytes_of({"W": 1}), "is no whole .npz file of tensors"),
        ("m.npz", npz_of(W=np.ones(3))[:-30], "is no whole .npz file of tensors"),
        ("m.npz", b"\x93NUMPY", "is no whole .npz file of tensors"),
        ("m.safetensors", bytes_of({"W": 1}), "is no whole .safetensors file of tensors"),
        ("m.safetensors", b"\x08\0\0\0\0\0\0\0{}", "is no whole .safetensors file of tensors"),
        ("m.bin", b"", "which are .safetensors, .npz, .pt, .pth"),
        ("m.npz", npz_of(W=np.zeros(LIMIT)), "holds more than 1000000 bytes; raise GROKPROBE_MAX_"),
        ("m.pt", bytes(LIMIT + 1), "holds more than 1000000 bytes; raise GROKPROBE_MAX_MODEL_B"),
    ],
)
def test_what_is_not_a_sound_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, words: str
) -> None:
    """In one line that names the file, and without running anything in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(data)
    message = refusal(lambda: read_contents(tmp_path / name, LIMIT))
    assert message.startswith(str(tmp_path / name))
    assert words in message
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """Missing, or a folder."""
    assert "No such file" in refusal(lambda: read_contents(tmp_path / "m.pt", LIMIT))
    (tmp_path / "d.pt").mkdir()
    assert "Is a directory" in refusal(lambda: read_contents(tmp_path / "d.pt", LIMIT))


# -- steps ---------------------------------------------------------------------------------------


def told(name: str = "m.pt", **table: Any) -> Contents:
    """What a file of that name tells."""
    return Contents(Path(name), "", table)


@pytest.mark.parametrize(
    ("contents", "assignment", "steps"),
    [
        (told("seed1_step-020.pt"), r"step.pattern='step-(\d+)'", [20]),
        (told(n=7), "step.field=n", [7]),
        (told(n=torch.tensor(7)), "step.field=n", [7]),
        (told(n=np.array([0, 5])), "step.field=n", [0, 5]),
        (told(n=[0, torch.tensor(5)]), "step.field=n", [0, 5]),
    ],
)
def test_a_step_is_found_where_the_layout_says(
    contents: Contents, assignment: str, steps: list[int]
) -> None:
    """In the file's name, or in a field of it, of a list in a list."""
    section = lens(assignment, step=None).step
    assert steps_of(contents, section, len(steps)) == steps
    assert "and the steps of them" in refusal(lambda: steps_of(contents, section, 9))


@pytest.mark.parametrize(
    ("contents", "assignment", "words"),
    [
        (told("final.pt"), r"step.pattern='step(\d+)'", "finds no number in this name"),
        (told("stepx.pt"), "step.pattern='step(.)'", "finds no number in this name"),
        (told(epoch=1), "step.field=epochs", "is not a field of it; did you mean epoch?"),
        (told(n=-1), "step.field=n", "[-1] is no step"),
        (told(n=1.0), "step.field=n", "[1.0] is no step"),
        (told(n=True), "step.field=n", "[True] is no step"),
        (told(n=10**10), "step.field=n", "[10000000000] is no step"),
        (told(n="many" * 99), "step.field=n", "['manymany"),
        (told(n=torch.eye(2).to_sparse()), "step.field=n", "cannot be read as numbers"),
    ],
)
def test_a_step_that_is_none_is_named(contents: Contents, assignment: str, words: str) -> None:
    """Nothing is rounded or made up."""
    section = lens(assignment, step=None).step
    message = refusal(lambda: steps_of(contents, section, 1))
    assert words in message
    assert len(message) < 150


# -- splits --------------------------------------------------------------------------------------


def split_of(
    assignments: list[str], task: Task = SEVEN, numbers: Residues | None = None, **table: Any
) -> Mask | None:
    ours = np.arange(task.modulus) if numbers is None else numbers
    return train_mask(lens(*assignments).split, task, told(**table), LIMIT, ours)


def test_the_shuffle_is_the_one_in_common_use() -> None:
    """As written in many notebooks: seed, shuffle the list of pairs, cut it."""
    pairs = [(a, b) for a in range(7) for b in range(7)]
    random.seed(3)
    random.shuffle(pairs)
    expected = {a * 7 + b for a, b in pairs[: int(0.3 * 49)]}
    shuffle = ["split.kind=shuffle", "split.train_fraction=0.3", "split.seed=3"]
    mask = split_of(shuffle)
    assert mask is not None
    assert set(np.flatnonzero(mask)) == expected
    divided = split_of(shuffle, Task(operation="div", modulus=7))
    assert divided is not None
    assert divided.sum() == int(0.3 * 42)
    assert not divided.reshape(7, 7)[:, 0].any()


PAIRS = [[1, 5], [0, 0], [6, 2]]
ROWS = [0, 12, 44]


@pytest.mark.parametrize("kind", ["mask", "pairs"])
@pytest.mark.parametrize("place", ["field", "npy", "json"])
def test_a_split_is_read_from_a_file_or_a_field(tmp_path: Path, kind: str, place: str) -> None:
    """A mask or a list of pairs, in the file itself or in one of its own."""
    value = np.isin(np.arange(49), ROWS) if kind == "mask" else np.array(PAIRS, dtype=np.uint8)
    path = tmp_path / f"split.{place}"
    if place == "npy":
        np.save(path, value.reshape(7, 7) if kind == "mask" else value)
    path.write_text(json.dumps(value.tolist())) if place == "json" else None
    where = "split.field=x" if place == "field" else f"split.file='{path}'"
    mask = split_of([f"split.kind={kind}", where], x=torch.from_numpy(value))
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == ROWS


@pytest.mark.parametrize("kind", ["mask", "pairs"])
def test_a_split_of_json_with_a_byte_order_mark(tmp_path: Path, kind: str) -> None:
    """As without one; one in UTF-16 is named."""
    value = np.isin(np.arange(49), ROWS).tolist() if kind == "mask" else PAIRS
    path = tmp_path / "split.json"
    where = [f"split.kind={kind}", f"split.file='{path}'"]
    path.write_text(json.dumps(value), encoding="utf-8-sig")
    mask = split_of(where)
    assert mask is not None
    assert np.flatnonzero(mask).tolist() == ROWS
    path.write_text(json.dumps(value), encoding="utf-16")
    assert refusal(lambda: split_of(where)).startswith(f"{path}: is UTF-16 or UTF-32")


def test_an_unknown_split_stays_unknown() -> None:
    """Nothing is made up."""
    assert split_of(["split.kind=unknown"]) is None


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("mask", [True] * 48, "must be bool (49,) or (7, 7), got bool (48,)"),
        ("mask", [1] * 49, "must be bool (49,) or (7, 7), got int64 (49,)"),
        ("mask", [False] * 49, "the split has no train pair"),
        ("mask", [[True], []], "is no whole table"),
        ("pairs", [[1, 7]], "the pair [1, 7] is not within 0..6"),
        ("pairs", [[-1, 0]], "the pair [-1, 0] is not within 0..6"),
        ("pairs", [[1, 2], [1, 2]], "names 2 pairs, but only 1 different ones"),
        ("pairs", [[1, 2, 3]], "must be a list of [a, b], got int64 (1, 3)"),
        ("pairs", [[0.5, 1]], "must be a list of [a, b], got float64 (1, 2)"),
        ("pairs", 5, "must be a list of [a, b], got int64 ()"),
        ("pairs", [[1, 2], [3, 0]], "the train pair (3, 0) has no answer by div"),
    ],
)
def test_a_split_that_is_none_of_this_task_is_refused(kind: str, value: Any, words: str) -> None:
    """Its place is named, and what it should be."""
    assignments = [f"split.kind={kind}", "split.field=x"]
    task = Task(operation="div", modulus=7)
    message = refusal(lambda: split_of(assignments, task, x=value))
    assert message.startswith("m.pt: x: ")
    assert words in message


def test_a_split_file_that_is_broken_is_named(tmp_path: Path) -> None:
    """Pickles are not opened."""
    path = tmp_path / "mask.npy"
    np.save(path, np.array([Evil()]), allow_pickle=True)
    where = ["split.kind=mask", f"split.file='{path}'"]
    assert refusal(lambda: split_of(where)) == f"{path}: is no whole table, of .npy or of .json"
    path.unlink()
    assert "No such file" in refusal(lambda: split_of(where))
