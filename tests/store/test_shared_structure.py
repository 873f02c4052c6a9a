"""What is found of one checkpoint's structure holds for all of its run, and for nothing else."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety import check
from grokprobe.safety.check import check_model
from grokprobe.safety.wire import MAX_STRUCTURE_BYTES, structure
from tests.support.trained import TINY_STEPS, Trained

P = 13
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


@pytest.fixture(scope="module")
def files(trained: Trained) -> list[bytes]:
    """The models of a run, by step."""
    paths: list[Path] = sorted(trained.folder.rglob("model.onnx"))
    return [path.read_bytes() for path in paths]


def test_the_checkpoints_of_a_run_are_followed_once(files: list[bytes]) -> None:
    """Whatever their weights are, short biases too; its length is all that is seen of a step."""
    check._known.clear()
    for data in files:
        check_model(data, "here", P)
    assert len(check._known) == len({len(str(step)) for step in TINY_STEPS})
    assert len(set(files)) == len(files)


def _constant(number: int, attribute: int) -> Callable[[onnx.ModelProto], None]:
    """A constant of int64 whose type is told in two tensors that protobuf merges, or in one."""

    def change(model: onnx.ModelProto) -> None:
        tensor = onnx.TensorProto(dims=[1], data_type=attribute)
        tensor.raw_data = number.to_bytes(8, "little")
        node = onnx.NodeProto(op_type="Constant", output=["more"])
        merged = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)
        twice = merged.SerializeToString()
        twice += onnx.AttributeProto(t=onnx.TensorProto(data_type=INT64)).SerializeToString()
        node.attribute.add().MergeFromString(twice)
        model.graph.node.insert(0, node)

    return change


def _initialiser(number: int) -> Callable[[onnx.ModelProto], None]:
    """An initialiser of integers, which a shape may be made of."""

    def change(model: onnx.ModelProto) -> None:
        raw = number.to_bytes(8, "little")
        model.graph.initializer.add(name="more", dims=[1], data_type=INT64, raw_data=raw)

    return change


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_constant(1, INT64), _constant(2, INT64)),
        (_constant(1, FLOAT), _constant(2, FLOAT)),
        (_initialiser(1), _initialiser(2)),
    ],
)
def test_integers_that_are_followed_are_structure(
    files: list[bytes],
    one: Callable[[onnx.ModelProto], None],
    other: Callable[[onnx.ModelProto], None],
) -> None:
    """Files that differ in a number that a size may come from are looked at apart."""
    changed = []
    for change in (one, other):
        model = onnx.load_model_from_string(files[0])
        change(model)
        changed.append(model.SerializeToString())
    assert structure(changed[0]) != structure(changed[1])


def test_an_initialiser_that_says_two_types_is_structure() -> None:
    """As protobuf takes the last of them, numbers that are integers are never left out."""

    def model(number: int) -> bytes:
        tensor = onnx.TensorProto(name="x", dims=[1], data_type=FLOAT)
        tensor.raw_data = number.to_bytes(8, "little")
        data = tensor.SerializeToString()
        data += onnx.TensorProto(data_type=INT64).SerializeToString()
        graph = b"\x2a" + bytes([len(data)]) + data
        return b"\x3a" + bytes([len(graph)]) + graph

    parsed = onnx.load_model_from_string(model(1)).graph.initializer[0]
    assert parsed.data_type == INT64
    assert structure(model(1)) != structure(model(2))


def test_what_a_file_says_of_itself_counts(files: list[bytes]) -> None:
    """It is parsed too, so it is bounded with the structure."""
    model = onnx.load_model_from_string(files[0])
    model.metadata_props.add(key="note", value="x" * MAX_STRUCTURE_BYTES)
    with pytest.raises(CheckpointCorrupt, match="beside its numbers it has"):
        check_model(model.SerializeToString(), "here", P)


@pytest.mark.parametrize(
    "many",
    [b"\x72\x00" * 2**20, b"\x3a\x80\x80\x80\x01" + b"\x2a\x00" * 2**20],
    ids=["metadata", "initialisers"],
)
def test_hordes_of_empty_parts_are_not_all_looked_at(many: bytes) -> None:
    """They are more than a structure may have; what follows is taken as it is."""
    assert MAX_STRUCTURE_BYTES < len(structure(many)) <= len(many)
    with pytest.raises(CheckpointCorrupt, match="beside its numbers it has"):
        check_model(many, "here", P)
