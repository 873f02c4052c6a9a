"""Matrices of a checkpoint read from its file, for those who want one of each of many checkpoints.

An output that is a parameter, its rows taken or turned over, has the very numbers that ONNX Runtime
gives, and no session is opened for it. Any other has to be computed there.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper
from onnx.helper import get_attribute_value

from grokprobe.safety.check import check_finite, checked_graph

Floats = NDArray[np.float32]
Tensors = Mapping[str, TensorProto]
MOST_MOVES = 8  # from a parameter to an output; ours have one


def read_matrix(data: bytes, name: str, where: str, modulus: int) -> Floats | None:
    """An output of a model that does not depend on the pairs; None where it has to be computed.

    Raises CheckpointCorrupt, which names `where`, unless the model is safe to load and every number
    of the output finite.
    """
    graph, _ = checked_graph(data, where, modulus)
    output = name
    parameters = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    moves: list[NodeProto] = []
    while name in makers and len(moves) < MOST_MOVES:
        moves.append(makers[name])
        name = makers[name].input[0] if makers[name].input else ""
    tensor = parameters.get(name)
    if tensor is None or tensor.data_type != TensorProto.FLOAT:
        return None
    constants = {n: node for n, node in makers.items() if node.op_type == "Constant"}
    found = _moved(numpy_helper.to_array(tensor), moves, parameters, constants)
    if found is not None:
        check_finite(found, where, f"output {output}")
    return found


def _moved(
    array: Floats,
    moves: list[NodeProto],
    parameters: Tensors,
    constants: Mapping[str, NodeProto],
) -> Floats | None:
    """The array after all moves, the last of them first; None where one is no move."""
    for node in reversed(moves):
        attributes = {a.name: get_attribute_value(a) for a in node.attribute}
        index = _index(node, array.ndim, parameters, constants)
        if node.op_type == "Transpose":
            array = array.transpose(attributes.get("perm"))
        elif node.op_type == "Slice" and index:
            array = array[index]
        elif node.op_type != "Identity":
            return None
    return array


def _index(
    node: NodeProto, rank: int, parameters: Tensors, constants: Mapping[str, NodeProto]
) -> tuple[slice, ...] | None:
    """What a `Slice` takes of an array, as numpy does; None where it goes backwards."""
    given = [_integers(name, parameters, constants) for name in node.input[1:]]
    if len(given) < 2 or None in given:
        return None
    starts, ends, axes, steps = [*given, *[None] * 4][:4]
    index, length = [slice(None)] * rank, len(starts or [])
    if any(step < 0 for step in steps or []):
        return None
    for axis, *bounds in zip(
        axes or range(length), starts or [], ends or [], steps or [1] * length, strict=True
    ):
        index[axis] = slice(*bounds)
    return tuple(index)


def _integers(
    name: str, parameters: Tensors, constants: Mapping[str, NodeProto]
) -> list[int] | None:
    """A list of integers that the file holds; None for anything else."""
    tensor = parameters.get(name)
    if tensor is None and name in constants:
        tensor = constants[name].attribute[0].t
    if tensor is None or tensor.data_type not in (TensorProto.INT64, TensorProto.INT32):
        return None
    return [int(number) for number in numpy_helper.to_array(tensor).ravel()]
