"""The numbers of small arrays of integers, followed through a graph: shapes are made of them."""

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from onnx import TensorProto

from grokprobe.safety.sizes import NotUnderstood, Size
from grokprobe.safety.values import INTEGERS, MAX_NUMBERS, Node, Numbers, Value, tensor_value

SAFE = 2**19
Follow = Callable[[Node, Value], Numbers]  # the second is what the rule of the operator says


def follow(node: Node, made: Value) -> Value:
    """What a node makes, with its numbers where they can be known."""
    if node.kind not in FOLLOWED or made.kind not in FOLLOWED_KINDS or made.rank > 1:
        return made
    if any(size.per_pair or size.of > MAX_NUMBERS for size in made.shape):
        return made
    try:
        found = np.asarray(FOLLOWED[node.kind](node, made), dtype=object)
    except NotUnderstood:  # nobody may need them
        return made
    if found.shape != tuple(size.of for size in made.shape):
        raise NotUnderstood("its numbers do not have its shape")
    if made.kind == TensorProto.INT32 and any(abs(number.of) > SAFE for number in found.flat):
        return made  # it may not be what fits 32 bits, pairs included
    return Value(made.shape, made.kind, found)


def _shape(node: Node, _: Value) -> Numbers:
    found = np.empty(node[0].rank, dtype=object)
    found[:] = node[0].shape
    return found[slice(node.get("start", 0), node.get("end", node[0].rank))]


def _in_its_shape(node: Node, made: Value) -> Numbers:
    return node.numbers(0).reshape([size.of for size in made.shape])


def _gather(node: Node, _: Value) -> Numbers:
    given, index = node.numbers(0), node.numbers(1)
    if given.ndim != 1 or any(
        n.per_pair or not -len(given) <= n.of < len(given) for n in index.flat
    ):
        raise NotUnderstood("an index is out of range")
    found: Numbers = given[np.array([n.of for n in index.flat], dtype=np.int64)].reshape(
        index.shape
    )
    return found


def _slice(node: Node, _: Value) -> Numbers:
    found = [node.integers(index, "") for index in (1, 2, 4)]
    [start], [end], [step] = (part if part and len(part) == 1 else [1] for part in found)
    if step != 1 or any(part and len(part) != 1 for part in found):
        raise NotUnderstood("its numbers are not followed")
    return node.numbers(0)[start:end]


def _each(how: Callable[[Size, Size], Size]) -> Follow:
    def follow_each(node: Node, _: Value) -> Numbers:
        a, b = np.broadcast_arrays(node.numbers(0), node.numbers(1))
        found = np.empty(a.shape, dtype=object)
        for index in np.ndindex(a.shape):
            found[index] = how(*(cast(Size, one[index]) for one in (a, b)))
        return found

    return follow_each


def _where(node: Node, _: Value) -> Numbers:
    chosen, a, b = np.broadcast_arrays(*(node.numbers(index) for index in range(3)))
    found: Numbers = np.where([n != Size(0) for n in chosen.flat], a.ravel(), b.ravel())
    return found.reshape(chosen.shape)


def _constant_of_shape(node: Node, made: Value) -> Numbers:
    fill = tensor_value(node.attributes["value"]).numbers
    if fill is None or fill.size != 1:
        raise NotUnderstood("its value is no integer")
    return np.broadcast_to(fill.ravel(), [size.of for size in made.shape])


def _cast(node: Node, made: Value) -> Numbers:
    if made.kind not in INTEGERS:
        raise NotUnderstood("other numbers are not followed")
    return _in_its_shape(node, made)


def _equal(a: Size, b: Size) -> Size:
    """Whether two numbers are equal, whatever the number of pairs."""
    if a.per_pair != b.per_pair:
        pairs, other = (a, b) if a.per_pair else (b, a)
        if pairs.of < 0 or other.of > 0:
            raise NotUnderstood("it compares the number of pairs")
    return Size(int(a.exact == b.exact))


FOLLOWED: Mapping[str, Follow] = {
    "Add": _each(Size.__add__),
    "Cast": _cast,
    "Concat": lambda node, _: np.concatenate(
        [node.numbers(index) for index in range(len(node.inputs))]
    ),
    "ConstantOfShape": _constant_of_shape,
    "Div": _each(Size.__floordiv__),
    "Equal": _each(_equal),
    "Gather": _gather,
    "Identity": _in_its_shape,
    "Mul": _each(Size.__mul__),
    "Reshape": _in_its_shape,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _in_its_shape,
    "Sub": _each(Size.__sub__),
    "Unsqueeze": _in_its_shape,
    "Where": _where,
}
FOLLOWED_KINDS = (*INTEGERS, TensorProto.BOOL)
