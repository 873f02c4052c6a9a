"""Is an ONNX file safe to load? Checked before ONNX Runtime sees it.

The file comes from object storage with a digest that matches, yet whoever can write there must
not reach this process, nor stop it: external data reads files, custom domains load code that
nobody reviewed, a loop never ends, and a kilobyte can ask for all memory. What is refused here
breaks the contract of docs/format.md.
"""

import math
import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety.bounds import BeyondBounds, Bounds, find_bounds
from grokprobe.safety.operators import OURS
from grokprobe.safety.sizes import PAIRS, Shape, Size
from grokprobe.safety.wire import MAX_STRUCTURE_BYTES, Malformed, metadata_bytes, structure

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
# The axes of the contract's outputs: `pairs`, `p`, or any name for a size of its own.
OUTPUTS = {
    "logits": ("pairs", "p"),
    "neurons": ("pairs", "d_mlp"),
    "attention": ("pairs", "heads", "tokens"),
    "embedding": ("p", "d_model"),
    "embedding_b": ("p", "d_model"),
    "effective_embedding": ("p", "d_mlp"),
    "effective_embedding_b": ("p", "d_mlp"),
    "unembedding": ("p", "d_model"),
    "neuron_logit_map": ("p", "d_mlp"),
}
# The parameters of our own networks (docs/format.md).
PARAMETER = re.compile(r"(blocks\.\d+\.)?(W|b|ln1|ln2|ln_final)_[A-Za-z]+(_b)?")


MAX_KNOWN = 256
_known: dict[bytes, Bounds] = {}  # by structure: what holds for one checkpoint of a run, for all


def check_model(data: bytes, where: str, modulus: int) -> Bounds:
    """What a model takes; CheckpointCorrupt, naming the reason, unless it is safe to load."""
    try:
        key = blake2b(b"%d " % modulus + _small_structure(data)).digest()
        bounds = _known.get(key) or _bounds(_parsed(data, where), modulus)
    except Malformed:
        raise _no_file(where) from None
    except BeyondBounds as error:
        raise CheckpointCorrupt(f"{where} is refused: {error}") from None
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    _known[key] = bounds
    return bounds


def checked_graph(data: bytes, where: str, modulus: int) -> tuple[onnx.GraphProto, Bounds]:
    """The graph of a model that is safe to load, and what it takes; raises as `check_model`.

    One whose structure is known has been checked, and yet may be no message where its numbers lie.
    """
    bounds = check_model(data, where, modulus)
    return _parsed(data, where).graph, bounds


def _parsed(data: bytes, where: str) -> onnx.ModelProto:
    try:
        return onnx.load_model_from_string(data)
    except DecodeError:
        raise _no_file(where) from None


def _no_file(where: str) -> CheckpointCorrupt:
    return CheckpointCorrupt(f"{where} is not an ONNX file")


def check_finite(values: NDArray[Any], where: str, what: str) -> None:
    """Raise CheckpointCorrupt unless every number is; the sum of squares tells it sooner."""
    # Unless it is itself too large.
    if not (math.isfinite(np.vdot(values, values)) or np.isfinite(values).all()):
        raise CheckpointCorrupt(f"{where}: its {what} is not finite")


def _small_structure(data: bytes) -> bytes:
    """What decides about a model. Raises BeyondBounds where too much is to be parsed; Malformed."""
    found = structure(data)
    size = len(found)
    if size <= MAX_STRUCTURE_BYTES:  # else there may be too many parts to look at them all
        size += metadata_bytes(data)
    if size > MAX_STRUCTURE_BYTES:
        limit = f"at most {MAX_STRUCTURE_BYTES:,} are allowed"
        raise BeyondBounds(f"beside its numbers it has {size:,} bytes, {limit}")
    return found


def _bounds(model: onnx.ModelProto, modulus: int) -> Bounds:
    """What a model takes. Raises BeyondBounds for whatever is wrong with it."""
    for objection in _objections(model):
        raise BeyondBounds(objection)
    bounds = find_bounds(model.graph, model.opset_import[0].version)
    _check_outputs(model.graph, bounds, modulus)
    bounds.is_ours = _is_ours(model)
    return bounds


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and every graph inside its nodes' attributes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _graphs(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _objections(model: onnx.ModelProto) -> Iterator[str]:
    if model.functions:
        yield "it defines functions"
    if model.training_info:
        yield "it says how to train it"
    for graph in _graphs(model.graph):
        if graph.sparse_initializer:
            yield "it has sparse initialisers"
        if any(t.external_data or t.data_location for t in _tensors(graph)):
            yield "it refers to external data"
        if foreign := {node.domain for node in graph.node} - STANDARD_DOMAINS:
            yield f"it uses operators of the domain {sorted(foreign)[0][:40]!r}"
    yield from _objections_to_its_face(model)


def _objections_to_its_face(model: onnx.ModelProto) -> Iterator[str]:
    """What is wrong with what it says of itself: its opsets, its input, its outputs."""
    domains = [entry.domain for entry in model.opset_import]
    if set(domains) - STANDARD_DOMAINS:
        yield "it imports an operator domain that is not standard"
    if len(domains) != 1:
        yield "it does not import the standard operators once"
    if not all(isinstance(name, str) for name in _names(model.graph)):
        yield "one of its names is no text"  # then it is read as bytes
    if [value.name for value in model.graph.input] != ["pairs"]:
        yield "its input is not `pairs` alone"
    given = model.graph.input[0].type.tensor_type
    if given.elem_type != onnx.TensorProto.INT64:
        yield "its input `pairs` is not int64"
    if [dim.dim_value for dim in given.shape.dim] != [0, 2]:
        yield "its input `pairs` is not (any number, 2)"
    outputs = [value.name for value in model.graph.output]
    if "logits" not in outputs:
        yield "it has no output `logits`"
    if len(set(outputs)) != len(outputs):
        yield "two of its outputs have one name"


def _names(graph: onnx.GraphProto) -> Iterator[object]:
    for value in (*graph.input, *graph.output):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)


def _check_outputs(graph: onnx.GraphProto, bounds: Bounds, modulus: int) -> None:
    """Raise BeyondBounds unless the outputs are as the contract and the file itself say."""
    for output in graph.output:
        found = bounds.outputs[output.name]
        shape = " x ".join(map(str, found.shape)) or "one number"
        says = [dim.dim_value for dim in output.type.tensor_type.shape.dim]
        known = [0 if size.per_pair else size.of for size in found.shape]
        if len(says) != len(known) or any(
            s not in (0, k) for s, k in zip(says, known, strict=True)
        ):
            raise BeyondBounds(
                f"its output {output.name[:40]!r} is {shape}, and it says {says[:9]}"
            )
        axes = OUTPUTS.get(output.name)
        if axes and not _fits(found.shape, axes, modulus):
            expected = " x ".join(str(modulus) if axis == "p" else axis for axis in axes)
            raise BeyondBounds(f"its output {output.name!r} is {shape}, not {expected}")
        if axes and found.kind != onnx.TensorProto.FLOAT:
            raise BeyondBounds(f"its output {output.name!r} is not float32")


def _fits(shape: Shape, axes: tuple[str, ...], modulus: int) -> bool:
    fixed = {"pairs": PAIRS, "p": Size(modulus)}
    return len(shape) == len(axes) and all(
        size == fixed[axis] if axis in fixed else not size.per_pair
        for size, axis in zip(shape, axes, strict=True)
    )


def _is_ours(model: onnx.ModelProto) -> bool:
    """Whether a model has the form of our own exports: their operators, their parameters alone."""
    return (
        model.producer_name == "grokprobe"
        and all(node.op_type in OURS for node in model.graph.node)
        and all(PARAMETER.fullmatch(tensor.name) for tensor in model.graph.initializer)
    )
