"""An ONNX graph as a function of torch tensors, in float64, so that it has gradients.

ONNX Runtime computes what a file answers; what its answers depend on needs autograd. Known are the
operators of which our own files are made, and their near relatives (OPERATORS), as the standard
defines them from opset 13 on: https://onnx.ai/onnx/operators. Floats of every precision become
float64, whole numbers int64.
"""

from collections.abc import Callable, Mapping
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

from grokprobe.errors import GrokprobeError

Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor]  # (attributes, *inputs); an input that is left out is None


class NotInTorch(GrokprobeError):
    """A graph holds what is not known here, or uses it in another way."""


def tensor_of(proto: onnx.TensorProto) -> Tensor:
    """A constant or an initialiser: float64, int64 or bool."""
    return _widened(torch.from_numpy(numpy_helper.to_array(proto).copy()))


def logits_of(proto: onnx.ModelProto, given: Mapping[str, Tensor], pairs: Tensor) -> Tensor:
    """The logits (n, p) of pairs (n, 2), with `given` in the place of initialisers by their names.

    Raises NotInTorch.
    """
    values: dict[str, Tensor | None] = {"": None, "pairs": pairs}
    values |= {t.name: tensor_of(t) for t in proto.graph.initializer if t.name not in given}
    values |= given
    for node in _leading_to("logits", proto):
        operator = OPERATORS.get(node.op_type)
        if operator is None:
            raise NotInTorch(f"the operator {node.op_type} is not known here")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        try:
            values[node.output[0]] = operator(attributes, *(values[name] for name in node.input))
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise NotInTorch(f"{node.op_type} is not as it is known here: {error}") from None
    logits = values["logits"]
    assert logits is not None
    return logits


def _leading_to(output: str, proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that an output depends on, in order."""
    wanted, found = {output}, []
    for node in reversed(proto.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _widened(x: Tensor) -> Tensor:
    if x.is_floating_point():
        return x.double()
    return x if x.dtype == torch.bool else x.long()


def _constant(attributes: Attributes) -> Tensor:
    [(name, value)] = attributes.items()
    if name == "value":
        return tensor_of(value)
    if name not in ("value_int", "value_ints", "value_float", "value_floats"):
        raise ValueError(name)
    return _widened(torch.tensor(value))


def _cast(attributes: Attributes, x: Tensor) -> Tensor:
    kind = onnx.helper.tensor_dtype_to_np_dtype(attributes["to"]).kind
    return x.long() if kind in "iu" else x.bool() if kind == "b" else x.double()


def _axes(attributes: Attributes, given: Tensor | None) -> list[int]:
    """The axes that an operator works on: an input, or an attribute in older opsets."""
    return list(attributes.get("axes", [])) if given is None else given.tolist()


def _gather(attributes: Attributes, x: Tensor, index: Tensor) -> Tensor:
    axis = attributes.get("axis", 0) % x.ndim
    taken = x.index_select(axis, index.flatten() % x.shape[axis])
    return taken.view(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _gemm(attributes: Attributes, x: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
    x = x.T if attributes.get("transA") else x
    y = y.T if attributes.get("transB") else y
    product: Tensor = attributes.get("alpha", 1.0) * (x @ y)
    return product if z is None else product + attributes.get("beta", 1.0) * z


def _slice(
    _: Attributes,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    parts = [slice(None)] * x.ndim
    along = range(len(starts)) if axes is None else axes.tolist()
    every = [1] * len(starts) if steps is None else steps.tolist()
    for axis, *bounds in zip(along, starts.tolist(), ends.tolist(), every, strict=True):
        parts[axis] = slice(*bounds)
    return x[tuple(parts)]


def _reshape(attributes: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    keep = not attributes.get("allowzero")
    return x.reshape([x.shape[i] if n == 0 and keep else n for i, n in enumerate(shape.tolist())])


def _shape(attributes: Attributes, x: Tensor) -> Tensor:
    return torch.tensor(x.shape[attributes.get("start", 0) : attributes.get("end")])


def _expand(_: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    sizes = [1] * (x.ndim - len(shape)) + shape.tolist()
    own = len(sizes) - x.ndim  # from here on x has a dimension, which 1 leaves as it is
    return x.expand([-1 if n == 1 and i >= own else n for i, n in enumerate(sizes)])


def _unsqueeze(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    wanted = _axes(attributes, axes)
    for axis in sorted(axis % (x.ndim + len(wanted)) for axis in wanted):
        x = x.unsqueeze(axis)
    return x


def _squeeze(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze(_axes(attributes, axes) or list(range(x.ndim)))


def _reduced(how: Callable[..., Tensor]) -> Operator:
    def reduce(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        wanted = _axes(attributes, axes)
        if not wanted and attributes.get("noop_with_empty_axes"):
            return x
        return how(x, wanted or list(range(x.ndim)), keepdim=bool(attributes.get("keepdims", 1)))

    return reduce


def _layer_norm(
    attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor:
    shape = x.shape[attributes.get("axis", -1) :]
    epsilon = attributes.get("epsilon", 1e-5)
    return functional.layer_norm(x, shape, scale.expand(shape), None, epsilon) + (
        0.0 if bias is None else bias
    )


def _gelu(attributes: Attributes, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=attributes.get("approximate", b"none").decode())


def _divided(_: Attributes, x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode=None if x.is_floating_point() else "trunc")


def _each(function: Callable[..., Tensor]) -> Operator:
    """An operator without attributes that is torch's own."""
    return lambda _, *inputs: function(*inputs)


OPERATORS: Mapping[str, Operator] = {
    "Add": _each(torch.add),
    "Cast": _cast,
    "Concat": lambda attributes, *parts: torch.cat(parts, attributes["axis"]),
    "Constant": _constant,
    "Div": _divided,
    "Einsum": lambda attributes, *parts: torch.einsum(attributes["equation"].decode(), *parts),
    "Erf": _each(torch.erf),
    "Exp": _each(torch.exp),
    "Expand": _expand,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "Identity": _each(lambda x: x),
    "LayerNormalization": _layer_norm,
    "MatMul": _each(torch.matmul),
    "Mul": _each(torch.mul),
    "Neg": _each(torch.neg),
    "Pow": _each(torch.pow),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _each(torch.relu),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _each(torch.sigmoid),
    "Slice": _slice,
    "Softmax": lambda attributes, x: x.softmax(attributes.get("axis", -1)),
    "Sqrt": _each(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _each(torch.sub),
    "Tanh": _each(torch.tanh),
    "Transpose": lambda attributes, x: x.permute(
        attributes.get("perm") or list(reversed(range(x.ndim)))
    ),
    "Unsqueeze": _unsqueeze,
}
