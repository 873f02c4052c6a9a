"""What operators that compute make of their inputs' sizes, by the standard from opset 13 on."""

from onnx import TensorProto

from grokprobe.safety.sizes import ONE, NotUnderstood, Shape, Size, broadcast, product
from grokprobe.safety.values import FLOATS, ITEM_BYTES, Node, Value, axis_of


def same_rule(node: Node) -> Value:
    """An array of the first's shape and type."""
    return Value(node[0].shape, node[0].kind)


def together_rule(node: Node) -> Value:
    """Arrays broadcast together."""
    shapes = [node[index].shape for index in range(len(node.inputs))]
    return Value(broadcast(*shapes), node[0].kind)


def divided_rule(node: Node) -> Value:
    """A quotient or a rest."""
    if node[0].kind not in FLOATS:  # the least integer divided by -1 ends a process
        divisor = node[1].numbers
        if divisor is None or any(number.of < 1 for number in divisor.ravel()):
            raise NotUnderstood("it divides integers by what may be no positive number")
    return together_rule(node)


def compared_rule(node: Node) -> Value:
    """A truth for each pair of numbers."""
    return Value(broadcast(node[0].shape, node[1].shape), TensorProto.BOOL)


def where_rule(node: Node) -> Value:
    """Numbers of either of two arrays."""
    return Value(broadcast(node[0].shape, node[1].shape, node[2].shape), node[1].kind)


def cast_rule(node: Node) -> Value:
    """The same numbers in another type."""
    kind = node.get("to", TensorProto.UNDEFINED)
    if kind not in ITEM_BYTES:
        raise NotUnderstood(f"it casts to the type {kind}, which is not allowed")
    return Value(node[0].shape, kind)


def reduced_rule(node: Node) -> Value:
    """A number for all those along some axes."""
    shape, axes = node[0].shape, node.integers(1, "axes")
    if not axes and node.get("noop_with_empty_axes", 0):
        return Value(shape, node[0].kind)
    at = {axis_of(axis, len(shape)) for axis in axes or range(len(shape))}
    return Value(_without(shape, at, node), node[0].kind)


def _without(shape: Shape, at: set[int], node: Node) -> Shape:
    """A shape after a reduction."""
    if node.get("keepdims", 1):
        return tuple(ONE if axis in at else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in at)


def arg_rule(node: Node) -> Value:
    """Where the extreme along an axis is."""
    return Value(_without(node[0].shape, {node.axis(0)}, node), TensorProto.INT64)


def normalised_rule(node: Node) -> Value:
    """An array scaled along its last axes."""
    shape, axis = node[0].shape, node.axis(-1)
    if broadcast(shape[axis:], *(v.shape for v in node.inputs[1:] if v)) != shape[axis:]:
        raise NotUnderstood("its scale does not go with what it scales")
    return same_rule(node)


def matmul_rule(node: Node) -> Value:
    """A product of matrices, or of stacks of them."""
    a, b = node[0].shape, node[1].shape
    if not a or not b or a[-1] != (b[-2] if len(b) > 1 else b[0]):
        raise NotUnderstood("its factors do not go together")
    rows = a[-2:-1] if len(a) > 1 else ()
    columns = b[-1:] if len(b) > 1 else ()
    shape = (*broadcast(a[:-2], b[:-2]), *rows, *columns)
    node.work = product(shape) * a[-1]
    return _product_of_floats(node, shape)


def gemm_rule(node: Node) -> Value:
    """A product of two matrices, with something added."""
    a, b = node[0].shape, node[1].shape
    if len(a) != 2 or len(b) != 2:
        raise NotUnderstood("its factors are no matrices")
    a = a[::-1] if node.get("transA", 0) else a
    b = b[::-1] if node.get("transB", 0) else b
    shape = (a[0], b[1])
    added = node.given(2)
    if a[1] != b[0] or (added and broadcast(shape, added.shape) != shape):
        raise NotUnderstood("its factors do not go together")
    node.work = product(shape) * a[1]
    return _product_of_floats(node, shape)


def _product_of_floats(node: Node, shape: Shape) -> Value:
    if node[0].kind not in FLOATS:
        raise NotUnderstood("it multiplies matrices of integers, which is slow")
    return Value(shape, node[0].kind)


def einsum_rule(node: Node) -> Value:
    """A sum of products, of two arrays at most, no diagonals."""
    equation = node.attributes.get("equation", b"").decode("latin-1").replace(" ", "")
    given, arrow, result = equation.partition("->")
    terms = given.split(",")
    lengths: dict[str, Size] = {}
    if not arrow or len(terms) != len(node.inputs) or len(terms) > 2:
        raise NotUnderstood(f"its equation {equation[:40]!r} is not one of two arrays at most")
    for index, term in enumerate(terms):
        shape = node[index].shape
        if not term.isalpha() or len(term) != len(shape) or len(set(term)) != len(term):
            raise NotUnderstood(f"its equation {equation[:40]!r} does not go with its arrays")
        for letter, size in zip(term, shape, strict=True):
            if lengths.setdefault(letter, size) != size:
                raise NotUnderstood(f"its equation {equation[:40]!r} does not go with its arrays")
    if not set(result) <= lengths.keys() or len(set(result)) != len(result):
        raise NotUnderstood(f"its equation {equation[:40]!r} is not understood")
    node.work = product(lengths.values())
    return _product_of_floats(node, tuple(lengths[letter] for letter in result))
