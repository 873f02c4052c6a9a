"""ONNX files that must not be loaded, each with the reason that a person reads."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety.check import check_model
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
