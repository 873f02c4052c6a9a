"""An ONNX file whose elements are in another order, as one whose elements are in ours.

What it is asked goes through a table of their numbers, and what it answers comes back through the
same table. Nothing of the file itself changes but the names of what goes in and out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from grokprobe.task import Residues

ELEMENTS = "elements"  # the initialiser that holds the numbers
THEIRS = "{}_by_their_elements"


def reorder(proto: onnx.ModelProto, shapes: Mapping[str, Sequence[str]], numbers: Residues) -> None:
    """Make elements of `proto` ours in place, by the number (p,) that each of ours has in it.

    `shapes` are the axes of the outputs that it may have by their names, those of elements `p`.
    """
    if (numbers == np.arange(len(numbers))).all():
        return
    graph, names = proto.graph, _names(proto)
    table = _free(ELEMENTS, names)
    axes = {name: shape.index("p") for name, shape in shapes.items() if "p" in shape}
    outputs = {o.name: axes[o.name] for o in graph.output if o.name in axes}
    renamed = {name: _free(THEIRS.format(name), names) for name in ("pairs", *outputs)}
    for node in graph.node:
        for part in (node.input, node.output):
            part[:] = [renamed.get(name, name) for name in part]
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
    nodes = [
        helper.make_node("Gather", [table, "pairs"], [renamed["pairs"]]),
        *graph.node,
        *(
            helper.make_node("Gather", [renamed[name], table], [name], axis=axis)
            for name, axis in outputs.items()
        ),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(numbers.astype(np.int64), table))


def _names(proto: onnx.ModelProto) -> set[str]:
    """Every name that the graph uses."""
    graph = proto.graph
    tables = {tensor.name for tensor in graph.initializer}
    return tables.union(*([*node.input, *node.output] for node in graph.node))


def _free(name: str, names: set[str]) -> str:
    """The name, with underscores until nothing is called so."""
    while name in names:
        name += "_"
    return name
