"""ONNX files that must not be loaded, each with the reason that a person reads."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety.check import check_model
from grokprobe.weights import read_weights
from service.inference.matrices import read_matrix
from service.inference.runtime import Runtime
from tests.support.hostile_models import (
    custom_domain,
    external,
    external_constant,
    imported_domain,
    sparse,
)
from tests.support.trained import Trained


@pytest.fixture(scope="module")
def good(trained: Trained) -> bytes:
    """A published model."""
    path: Path = next(iter(sorted(trained.folder.rglob("model.onnx"))))
    return path.read_bytes()


def _external_in_subgraph(model: onnx.ModelProto) -> None:
    node = model.graph.node.add(op_type="If", input=["pairs"], output=["out"])
    inner = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
    inner.initializer.add(name="x").data_location = onnx.TensorProto.EXTERNAL


def _function(model: onnx.ModelProto) -> None:
    model.functions.add(name="f", domain="")


def _other_input(model: onnx.ModelProto) -> None:
    model.graph.input.add(name="more")


def _no_logits(model: onnx.ModelProto) -> None:
    del model.graph.output[0]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (external, "external data"),
        (external_constant, "external data"),
        (_external_in_subgraph, "external data"),
        (custom_domain, "com.evil"),
        (imported_domain, "not standard"),
        (_function, "functions"),
        (sparse, "sparse"),
        (_other_input, "`pairs` alone"),
        (_no_logits, "`logits`"),
    ],
)
def test_unsafe_models_are_refused(
    good: bytes, spoil: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    """Whatever could read files, load code or break the contract is refused before loading."""
    model = onnx.load_model_from_string(good)
    spoil(model)
    with pytest.raises(CheckpointCorrupt, match=reason):
        check_model(model.SerializeToString(), "run 'x' step 0", 13)


@pytest.mark.parametrize("data", [b"", b"not onnx", b"\x08" * 100, b"\xff" * 1000])
def test_what_is_no_onnx_file(data: bytes) -> None:
    """Bytes that are no model at all are refused, not crashed on."""
    with pytest.raises(CheckpointCorrupt, match="step 0"):
        Runtime().open(data, "run 'x' step 0", 13)


def test_what_is_no_message_where_its_numbers_lie(good: bytes) -> None:
    """Its structure is that of a model which has been checked; it is told by whoever reads it."""
    model = onnx.load_model_from_string(good)
    del model.metadata_props[:]
    whole = model.SerializeToString()
    entry = onnx.StringStringEntryProto(key="a", value="b").SerializeToString()
    tag = bytes([14 << 3 | 2, len(entry)])
    check_model(whole + tag + entry, "here", 13)
    for broken in (b"\xff" * len(entry), entry[:1] + b"\x7f" + entry[2:]):
        for read in (read_weights, partial(read_matrix, name="embedding")):
            with pytest.raises(CheckpointCorrupt, match="here is not an ONNX file"):
                read(whole + tag + broken, where="here", modulus=13)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_not_finite(good: bytes, value: float) -> None:
    """Of our own models it is said which; a model of another form may have a mask."""
    model = onnx.load_model_from_string(good)
    [tensor] = [one for one in model.graph.initializer if one.name == "W_out"]
    weights = onnx.numpy_helper.to_array(tensor).copy()
    weights[0, 0] = value
    tensor.CopyFrom(onnx.numpy_helper.from_array(weights, "W_out"))
    with pytest.raises(CheckpointCorrupt, match=r"^here: its parameter W_out is not finite"):
        read_weights(model.SerializeToString(), "here", 13)
    model.producer_name = "another"
    found = read_weights(model.SerializeToString(), "here", 13)
    np.testing.assert_array_equal(found["W_out"], weights)


def test_a_model_that_does_not_load(good: bytes) -> None:
    """A model that passes the checks and that ONNX Runtime refuses is corrupt, in one line."""
    model = onnx.load_model_from_string(good)
    model.graph.node[-1].attribute.add(name="odd", type=onnx.AttributeProto.INT)
    with pytest.raises(CheckpointCorrupt, match="does not load") as caught:
        Runtime().open(model.SerializeToString(), "run 'x' step 0", 13)
    assert "\n" not in str(caught.value)


def test_published_models_are_safe(good: bytes) -> None:
    """What the trainer publishes passes every check."""
    assert check_model(good, "run 'tiny' step 0", 13).is_ours
