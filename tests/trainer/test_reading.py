"""Files of weights: what is read, what is refused, and that nothing in them is executed."""

import io
import json
import os
import pickle
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from msgspec.structs import replace

from grokprobe.errors import InvalidInput
from grokprobe.task import Mask, Residues, Task
from tests.support.foreign import SMALL, lens, save, small
from trainer.importing.files import Contents, read_array, read_contents
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
    assert refusal(lambda: contents.states("step", ())).endswith("'step' is no state dictionary")


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


def zip_of(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npz_of(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


WHOLE = "is no whole file of tensors: cut off, or none of those that are read"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.pt", bytes_of({"W": torch.ones(9)})[:-99], WHOLE),
        ("m.pt", b"", WHOLE),
        ("m.ckpt", b"not a file of tensors", WHOLE),
        ("m.npz", npz_of(W=np.ones(3))[:-30], WHOLE),
        ("m.npz", b"\x93NUMPY", WHOLE),
        ("m.safetensors", b"\x08\0\0\0\0\0\0\0{}", WHOLE),
        ("m.bin", b"\x08\x01", ".pt, .pth and .ckpt of torch, .safetensors, .npz"),
        ("m.pt", bytes(LIMIT + 1), WHOLE),
        ("m.zip", zip_of({"a.txt": b"x"}), "is another kind of archive; those that are read are"),
        (
            "m.pt",
            zip_of({"x/data.pkl": b"N.", "x/constants.pkl": b"N."}),
            "a program (TorchScript)",
        ),
        ("m.pt", zip_of({"data.pkl": bytes(LIMIT + 1)}), "an entry of more than 1000000 bytes"),
        ("m.pt", pickle.dumps(list(range(LIMIT)), 0), "more than 1000000 bytes of objects"),
        ("m.pt", b"\x80\x02\x82\x01.", "needs EXT1, which a file alone cannot give"),
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


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.npz", objects_of(Evil()), "W holds numpy's object, which is not read here"),
        ("m.npz", npz_of(W=np.zeros(5_000_000)), "W is more than 4000000 numbers"),
        ("m.pt", bytes_of({"W": torch.ones(1).expand(3000, 3000)}), "more than 4000000 numbers"),
        (
            "m.pt",
            bytes_of({"W": torch.ones(9)}).replace(b"\0\0\x80\x3f", b"\0\0\x80\x3e"),
            "cannot be",
        ),
    ],
)
def test_what_cannot_be_read_is_said_when_it_is_asked_for(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    """Objects, more numbers than a field has, bytes whose sum is wrong."""
    (tmp_path / name).write_bytes(data)
    contents = read_contents(tmp_path / name, LIMIT)
    assert words in refusal(lambda: contents.value("W"))


def test_a_checkpoint_has_a_limit_not_its_file(tmp_path: Path) -> None:
    """Many in one file are read one at a time."""
    states = [{"W": torch.ones(LIMIT // 16) * n} for n in range(9)]
    contents = read_contents(save({"all": states}, tmp_path / "m.pt"), LIMIT)
    assert [np.asarray(s["W"])[0] for s in contents.states("all", ())] == list(range(9))
    one = read_contents(save({"W": torch.ones(LIMIT)}, tmp_path / "m.npz"), LIMIT)
    words = refusal(lambda: one.states("", ()))
    assert "a checkpoint of more than 1000000 bytes; raise GROKPROBE_MAX_MODEL_BYTES" in words


@pytest.mark.parametrize("as_archive", [True, False])
def test_one_checkpoint_of_many_is_in_memory(tmp_path: Path, as_archive: bool) -> None:
    """While they are read one after another, as an import does."""
    one = small(section=replace(SMALL, d_mlp=20_000))  # 2 MB
    states = [{name: tensor.clone() for name, tensor in one.items()} for _ in range(16)]
    path = tmp_path / "m.pt"
    torch.save({"all": states}, path, _use_new_zipfile_serialization=as_archive)
    tracemalloc.start()
    try:
        for state in read_contents(path, 10**8).states("all", ()):
            assert read_network("m", state, lens()).modulus == 7
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 2
    finally:
        tracemalloc.stop()


class Config:
    """An object of a program that the reader does not have."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


@pytest.mark.parametrize("protocol", range(1, pickle.HIGHEST_PROTOCOL + 1))  # torch reads no 0
@pytest.mark.parametrize("as_archive", [True, False])
def test_an_object_beside_the_tensors_is_a_record(
    tmp_path: Path, as_archive: bool, protocol: int
) -> None:
    """Its fields have paths; its class is neither looked for nor made."""
    config = Config(d_model=128, dtype=torch.float32, betas=(0.9, 0.98), inner=Config(p=113))
    value = {"model": small(), "config": config, "evil": Evil(), "steps": range(0, 30, 10)}
    path = tmp_path / "m.ckpt"
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=as_archive)
    contents = read_contents(tmp_path / "m.ckpt", LIMIT)
    assert contents.value("config.d_model") == 128
    assert contents.value("config.betas[1]") == 0.98
    assert contents.value("config.inner.p") == 113
    assert contents.value("steps") == [0, 10, 20]
    assert set(contents.states("model", ())[0]) == set(small())
    assert "did you mean config?" in refusal(lambda: contents.value("confg"))


class Hyperparameters(dict[str, Any]):
    """As Lightning keeps them: a dictionary with attributes."""


def test_a_checkpoint_of_lightning_is_read(tmp_path: Path) -> None:
    """Its step, its network under the name of an attribute, what it was given."""
    checkpoint = {
        "epoch": 3,
        "global_step": 400,
        "pytorch-lightning_version": "2.5",
        "state_dict": {f"model.{name}": tensor for name, tensor in small().items()},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{}]}],
        "callbacks": {"ModelCheckpoint": {"best": Path("x.ckpt"), "score": torch.tensor(0.5)}},
        "hparams_name": "kwargs",
        "hyper_parameters": Hyperparameters(lr=1e-3, optimiser=torch.optim.AdamW),
    }
    contents = read_contents(save(checkpoint, tmp_path / "last.ckpt"), LIMIT)
    [state] = contents.states("state_dict.model", ())
    assert set(state) == set(small())
    assert contents.value("global_step") == 400
    assert contents.value("hyper_parameters.lr") == 1e-3
    assert contents.value("optimizer_states[0].state.0.exp_avg") == [1, 1, 1]


@pytest.mark.parametrize("as_archive", [True, False])
def test_a_network_saved_whole_is_its_state_dictionary(tmp_path: Path, as_archive: bool) -> None:
    """Parameters and buffers under the names that torch gives them."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 3, bias=False), torch.nn.BatchNorm1d(3))
    path = tmp_path / "m.pt"
    torch.save({"network": network}, path, _use_new_zipfile_serialization=as_archive)
    [state] = read_contents(path, LIMIT).states("network", ())
    assert state.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(np.asarray(state[name]), tensor.numpy())


@pytest.mark.parametrize("as_archive", [True, False])
def test_a_tensor_is_read_as_it_lies_there(tmp_path: Path, as_archive: bool) -> None:
    """Views, shared storages, other kinds of numbers, nothing at all: as torch has them."""
    row = torch.arange(24.0)
    tensors = {
        "whole": row,
        "part": row[3:7],
        "transposed": row.view(4, 6).T,
        "every other": row[::2],
        "repeated": torch.ones(1).expand(2, 3),
        "parameter": torch.nn.Parameter(row[:2]),
        "empty": torch.ones(0, 3),
        "single": torch.tensor(5),
        "bool": torch.tensor([True, False]),
        "double": row.double(),
        "half": row.half(),
        "uint16": torch.arange(3).to(torch.uint16),
        "complex": torch.ones(2, dtype=torch.complex64) * 1j,
    }
    path = tmp_path / "m.pt"
    torch.save(tensors, path, _use_new_zipfile_serialization=as_archive)
    [state] = read_contents(path, LIMIT).states("", ())
    for name, tensor in tensors.items():
        found = np.asarray(state[name])
        np.testing.assert_array_equal(found, tensor.detach().numpy(), strict=True)
    assert state["part"].place != state["whole"].place == state["transposed"].place


def tensor_pickle(shape: str, strides: str, offset: str) -> bytes:
    """A pickle of a tensor of 6 float32 that looks at them so."""
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\6tQ"
    numbers = f"({shape}t({strides}t".encode()
    look = f"I{offset}\n".encode()
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + look + numbers + b"I00\nNtR."


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ("I6\n", "I1\n", "1"),
        ("I7\n", "I1\n", "0"),
        ("I3\n", "I-1\n", "3"),
        ("I2\n", "I1\n", "-1"),
        ("I2\n", "I1\n", "9"),
        ("I2\nI2\n", "I1\n", "0"),
        ("I3\nI2\n", "I1\nI1\n", "0"),
        ("I-2\n", "I1\n", "0"),
        ("F2.0\n", "I1\n", "0"),
        ("I9999999999\n", "I0\n", "0"),
        ("I2\n" * 40, "I0\n" * 40, "0"),
    ],
)
def test_a_tensor_that_looks_beyond_its_storage_is_refused(
    tmp_path: Path, shape: str, strides: str, offset: str
) -> None:
    """Before it is the start, behind it the end; rows that overlap are refused too."""
    data = tensor_pickle(shape, strides, offset)
    path = tmp_path / "m.pt"
    path.write_bytes(zip_of({"x/data.pkl": data, "x/data/0": bytes(24)}))
    assert "has a tensor" in refusal(lambda: read_contents(path, LIMIT))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("folder", ["archive/", "my model/", ""])
def test_an_archive_may_be_packed_again(tmp_path: Path, compression: int, folder: str) -> None:
    """With any folder within, compressed or not, and either order of bytes."""
    for order, kind in ((b"little", "<f4"), (b"big", ">f4")):
        entries = {
            "data.pkl": tensor_pickle("I6\n", "I1\n", "0"),
            "byteorder": order,
            "data/0": np.arange(6, dtype=kind).tobytes(),
        }
        named = {folder + name: data for name, data in entries.items()}
        (tmp_path / "m.pt").write_bytes(zip_of(named, compression))
        tensor = read_contents(tmp_path / "m.pt", LIMIT).table
        assert np.asarray(tensor).tolist() == list(range(6))


def test_an_archive_that_lies_about_a_size_is_not_believed(tmp_path: Path) -> None:
    """An entry that unpacks to more, or to less, than the archive says."""
    for size in (23, 10**9):
        entries = {"x/data.pkl": tensor_pickle("I6\n", "I1\n", "0"), "x/data/0": bytes(24)}
        data = bytearray(zip_of(entries, zipfile.ZIP_DEFLATED))
        at = data.rindex(b"PK\1\2") + 24
        data[at : at + 4] = size.to_bytes(4, "little")
        (tmp_path / "m.pt").write_bytes(data)

        def read() -> object:
            return read_array(read_contents(tmp_path / "m.pt", LIMIT).table, "W")

        assert refusal(read)


def test_metadata_of_safetensors_are_fields(tmp_path: Path) -> None:
    """A step in them is found by its name, or under the name that the format gives them."""
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file(small(), path, metadata={"step": "1200", "lr": "1e-3"})
    contents = read_contents(path, LIMIT)
    for field in ("step", "__metadata__.step"):
        section = lens(f"step.field='{field}'", step=None).step
        assert steps_of(contents, section, 1) == [1200]
    [state] = contents.states("", ())
    assert read_network("m", state, lens()).modulus == 7


def test_members_of_a_list_have_paths(tmp_path: Path) -> None:
    """One checkpoint of many; of several lists, and from the end."""
    table = {"state_dicts": [{"W": torch.ones(2) * n} for n in range(4)], "epochs": [0, 10, 20, 30]}
    contents = read_contents(save(table, tmp_path / "m.pth"), LIMIT)
    [state] = contents.states("state_dicts[3]", ())
    assert np.asarray(state["W"]).tolist() == [3, 3]
    assert contents.value("epochs[-1]") == 30
    assert contents.value("state_dicts[2].W") == [2, 2]
    assert "is not a field" in refusal(lambda: contents.value("epochs[4]"))
    assert len(contents.states("state_dicts", ())) == 4


def test_nobody_has_to_name_a_file_as_it_is(tmp_path: Path) -> None:
    """What it is is read from its bytes."""
    for kind, name in (
        (".pt", "m.ckpt"),
        (".npz", "m.pt"),
        (".safetensors", "m"),
        (".pt", "m.npz"),
    ):
        (tmp_path / name).write_bytes(save(small(), tmp_path / f"x{kind}").read_bytes())
        assert set(read_contents(tmp_path / name, LIMIT).states("", ())[0]) == set(small())


def test_a_pickle_of_numpy_s_arrays_is_read(tmp_path: Path) -> None:
    """By any protocol."""
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array([1, 2], dtype=">i4")}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(arrays | {"c": np.float64(2)}, protocol))
        contents = read_contents(tmp_path / "m.pkl", LIMIT)
        assert contents.value("c") == 2
        for name, expected in arrays.items():
            assert contents.value(name) == expected.tolist()


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
