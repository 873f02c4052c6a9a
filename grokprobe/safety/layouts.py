"""What operators that make or rearrange arrays make of sizes, by the standard from opset 13 on."""

from math import ceil

import onnx
from onnx import TensorProto

from grokprobe.safety.sizes import ONE, NotUnderstood, Shape, Size, broadcast, product, total
from grokprobe.safety.values import Node, Value, axis_of, sizes, tensor_value

LAST = 2**31 - 1  # as an end it means all that there is


def constant_rule(node: Node) -> Value:
    """Numbers that the node holds."""
    [(name, value)] = node.attributes.items() if len(node.attributes) == 1 else [("", None)]
    if name == "value" and isinstance(value, onnx.TensorProto):
        return tensor_value(value)
    if name in ("value_int", "value_ints"):
        found = sizes(value)
        return Value(tuple(map(Size, found.shape)), TensorProto.INT64, found)
    if name == "value_float":
        return Value((), TensorProto.FLOAT)
    if name == "value_floats":
        return Value((Size(len(value or [])),), TensorProto.FLOAT)
    raise NotUnderstood("it has no value of numbers")


def constant_of_shape_rule(node: Node) -> Value:
    """One number everywhere."""
    value = node.attributes.get("value")
    kind = value.data_type if isinstance(value, onnx.TensorProto) else TensorProto.FLOAT
    return Value(_shape_in(node, 0), kind)


def _shape_in(node: Node, index: int) -> Shape:
    """A shape that is an input. Raises NotUnderstood."""
    numbers = node.numbers(index)
    if numbers.ndim != 1 or any(number.of < 0 for number in numbers):
        raise NotUnderstood("a shape is no list of sizes")
    return tuple(numbers)


def shape_rule(node: Node) -> Value:
    """The sizes of an array."""
    rank = node[0].rank
    start, end, _ = slice(node.get("start", 0), node.get("end", rank)).indices(rank)
    return Value((Size(max(0, end - start)),), TensorProto.INT64)


def size_rule(_: Node) -> Value:
    """How many numbers there are."""
    return Value((), TensorProto.INT64)


def gather_rule(node: Node) -> Value:
    """Rows of an array by their indices."""
    axis, shape = node.axis(0), node[0].shape
    return Value((*shape[:axis], *node[1].shape, *shape[axis + 1 :]), node[0].kind)


def one_hot_rule(node: Node) -> Value:
    """A vector for each index."""
    depth = node.numbers(1).ravel()
    if len(depth) != 1 or depth[0].of < 0:
        raise NotUnderstood("its depth is no size")
    axis = node.axis(-1, node[0].rank + 1)
    shape = node[0].shape
    return Value((*shape[:axis], depth[0], *shape[axis:]), node[2].kind)


def reshape_rule(node: Node) -> Value:
    """The same numbers in another shape."""
    shape, wanted = node[0].shape, list(node.numbers(1))
    if not node.get("allowzero", 0):
        for index, size in enumerate(wanted):
            if size.of == 0:
                if index >= len(shape):
                    raise NotUnderstood("a 0 in its shape stands for no axis")
                wanted[index] = shape[index]
    if wanted.count(Size(-1)) == 1:
        rest = product(size for size in wanted if size != Size(-1))
        wanted[wanted.index(Size(-1))] = product(shape) // rest
    if any(size.of < 0 for size in wanted) or product(wanted) != product(shape):
        raise NotUnderstood("its shape has another number of elements")
    return Value(tuple(wanted), node[0].kind)


def flatten_rule(node: Node) -> Value:
    """The same numbers as a matrix."""
    shape = node[0].shape
    axis = node.get("axis", 1)
    if axis != len(shape):  # which is allowed too; what is negative is counted without it
        axis = axis_of(axis, len(shape))
    return Value((product(shape[:axis]), product(shape[axis:])), node[0].kind)


def unsqueeze_rule(node: Node) -> Value:
    """Axes of length 1 more."""
    axes = node.integers(1, "axes") or []
    rank = node[0].rank + len(axes)
    at = {axis_of(axis, rank) for axis in axes}
    if len(at) != len(axes):
        raise NotUnderstood("it names an axis twice")
    rest = iter(node[0].shape)
    return Value(tuple(ONE if axis in at else next(rest) for axis in range(rank)), node[0].kind)


def squeeze_rule(node: Node) -> Value:
    """Axes of length 1 fewer."""
    shape, axes = node[0].shape, node.integers(1, "axes")
    if axes is None:
        if any(size.per_pair for size in shape):
            raise NotUnderstood("it names no axes, and there may be a single pair")
        at = {axis for axis, size in enumerate(shape) if size == ONE}
    else:
        at = {axis_of(axis, len(shape)) for axis in axes}
    if any(shape[axis] != ONE for axis in at):
        raise NotUnderstood("it drops an axis that is longer than 1")
    return Value(tuple(s for axis, s in enumerate(shape) if axis not in at), node[0].kind)


def transpose_rule(node: Node) -> Value:
    """The axes in another order."""
    shape = node[0].shape
    order = node.attributes.get("perm", range(len(shape))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise NotUnderstood("its perm is no order of the axes")
    return Value(tuple(shape[axis] for axis in order), node[0].kind)


def expand_rule(node: Node) -> Value:
    """An array repeated along axes of length 1."""
    return Value(broadcast(node[0].shape, _shape_in(node, 1)), node[0].kind)


def tile_rule(node: Node) -> Value:
    """An array repeated along each axis."""
    times = _shape_in(node, 1)
    if len(times) != node[0].rank:
        raise NotUnderstood("it has another number of repeats than of axes")
    pairs = zip(node[0].shape, times, strict=True)
    return Value(tuple(size * n for size, n in pairs), node[0].kind)


def concat_rule(node: Node) -> Value:
    """Arrays joined along an axis."""
    axis, shape = node.axis(), list(node[0].shape)
    parts = [node[index].shape for index in range(len(node.inputs))]
    if any(len(part) != len(shape) for part in parts):
        raise NotUnderstood("its parts have another number of axes")
    others = {(*part[:axis], *part[axis + 1 :]) for part in parts}
    if len(others) != 1:
        raise NotUnderstood("the sizes of its parts do not go together")
    shape[axis] = total(part[axis] for part in parts)
    return Value(tuple(shape), node[0].kind)


def split_rule(node: Node) -> list[Value]:
    """An array cut along an axis."""
    axis, shape = node.axis(0), node[0].shape
    given = node.integers(1, "split")
    if given is None:
        length, parts = shape[axis], node.outputs
        if length.per_pair:
            raise NotUnderstood("it divides the pairs")
        at_most = ceil(length.of / parts)
        given = [max(0, min(at_most, length.of - at_most * n)) for n in range(parts)]
    if len(given) != node.outputs or min(given) < 0 or Size(sum(given)) != shape[axis]:
        raise NotUnderstood("its parts are not the whole")
    return [Value((*shape[:axis], Size(n), *shape[axis + 1 :]), node[0].kind) for n in given]


def slice_rule(node: Node) -> Value:
    """A part of an array."""
    shape = list(node[0].shape)
    starts, ends = node.numbers(1).ravel(), node.numbers(2).ravel()
    axes, steps = node.integers(3, ""), node.integers(4, "")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise NotUnderstood("its starts, ends, axes and steps do not go together")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        at = axis_of(axis, len(shape))
        if not 0 < abs(step) < LAST:
            raise NotUnderstood(f"its step is {step}")
        shape[at] = _part(shape[at], start, end, step)
    return Value(tuple(shape), node[0].kind)


def _part(size: Size, start: Size, end: Size, step: int) -> Size:
    """The size of a slice. Of the pairs there is the whole alone."""
    if size.per_pair and start == Size(0) and step == 1 and (end == size or end.of >= LAST):
        return size
    if size.per_pair or start.per_pair or end.per_pair:
        raise NotUnderstood("it takes a part of the pairs")
    low = start.of + size.of if start.of < 0 else start.of
    high = end.of + size.of if end.of < 0 else end.of
    if step > 0:
        low, high = min(max(low, 0), size.of), min(max(high, 0), size.of)
    else:
        low, high = min(max(low, 0), size.of - 1), min(max(high, -1), size.of - 1)
    return Size(len(range(low, high, step)))


def range_rule(node: Node) -> Value:
    """Numbers one after another."""
    numbers = [node.numbers(index).ravel() for index in range(3)]
    if any(len(number) != 1 for number in numbers):
        raise NotUnderstood("its bounds are no numbers")
    start, limit, delta = (number[0] for number in numbers)
    if start == Size(0) and delta == ONE and limit.of >= 0:
        return Value((limit,), node[0].kind)
    if start.per_pair or limit.per_pair or delta.per_pair or delta.of == 0:
        raise NotUnderstood("its bounds are not understood")
    return Value((Size(len(range(start.of, limit.of, delta.of))),), node[0].kind)
