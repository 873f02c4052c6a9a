"""Is an ONNX file safe to load? Checked before ONNX Runtime sees it.

The file comes from object storage with a digest that matches, yet whoever can write there must
not reach this process: external data reads files, custom domains load code paths that nobody
reviewed, and a model that breaks the contract fails later and less clearly.
"""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError

from grokprobe.errors import CheckpointCorrupt

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})


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
    for graph in _graphs(model.graph):
        if graph.sparse_initializer:
            yield "it has sparse initialisers"
        if any(t.external_data or t.data_location for t in _tensors(graph)):
            yield "it refers to external data"
        if foreign := {node.domain for node in graph.node} - STANDARD_DOMAINS:
            yield f"it uses operators of the domain {sorted(foreign)[0]!r}"
    if {entry.domain for entry in model.opset_import} - STANDARD_DOMAINS:
        yield "it imports an operator domain that is not standard"
    if [value.name for value in model.graph.input] != ["pairs"]:
        yield "its input is not `pairs` alone"
    if "logits" not in (value.name for value in model.graph.output):
        yield "it has no output `logits`"


def check_model(data: bytes, where: str) -> None:
    """Raise CheckpointCorrupt, naming the reason, unless `data` is an ONNX file safe to load."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise CheckpointCorrupt(f"{where} is not an ONNX file") from None
    for objection in _objections(model):
        raise CheckpointCorrupt(f"{where} is refused: {objection}")
