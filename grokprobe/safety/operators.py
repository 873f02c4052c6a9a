"""The operators that a model may have, each with the rule that says what it makes of sizes.

They are those of our own files, and what other exporters write of transformers and MLPs: no
control flow, nothing random, nothing whose size depends on numbers that are computed of the pairs.
"""

from collections.abc import Callable, Mapping

from grokprobe.safety.arithmetic import (
    arg_rule,
    cast_rule,
    compared_rule,
    divided_rule,
    einsum_rule,
    gemm_rule,
    matmul_rule,
    normalised_rule,
    reduced_rule,
    same_rule,
    together_rule,
    where_rule,
)
from grokprobe.safety.layouts import (
    concat_rule,
    constant_of_shape_rule,
    constant_rule,
    expand_rule,
    flatten_rule,
    gather_rule,
    one_hot_rule,
    range_rule,
    reshape_rule,
    shape_rule,
    size_rule,
    slice_rule,
    split_rule,
    squeeze_rule,
    tile_rule,
    transpose_rule,
    unsqueeze_rule,
)
from grokprobe.safety.values import Node, Value

OPSETS = range(13, 26)  # whose operators the rules are of: https://onnx.ai/onnx/operators
Rule = Callable[[Node], Value | list[Value]]

# Our own files have these.
OURS: Mapping[str, Rule] = {
    "Add": together_rule,
    "Concat": concat_rule,
    "Constant": constant_rule,
    "Div": divided_rule,
    "Einsum": einsum_rule,
    "Expand": expand_rule,
    "Gather": gather_rule,
    "Gelu": same_rule,
    "Gemm": gemm_rule,
    "Identity": same_rule,
    "LayerNormalization": normalised_rule,
    "MatMul": matmul_rule,
    "Mul": together_rule,
    "Pow": together_rule,
    "ReduceSum": reduced_rule,
    "Relu": same_rule,
    "Reshape": reshape_rule,
    "Shape": shape_rule,
    "Slice": slice_rule,
    "Softmax": same_rule,
    "Transpose": transpose_rule,
    "Unsqueeze": unsqueeze_rule,
}
# What other exporters write, by the rule that they share.
OTHERS: Mapping[Rule, str] = {
    same_rule: "Abs Ceil Clip Cos Elu Erf Exp Floor HardSigmoid HardSwish LeakyRelu Log "
    "LogSoftmax Mish Neg Not Reciprocal Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Swish "
    "Tanh Trilu",
    together_rule: "Max Mean Min PRelu Sub Sum",
    divided_rule: "Mod",
    compared_rule: "And Equal Greater GreaterOrEqual Less LessOrEqual Or Xor",
    reduced_rule: "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSumSquare",
    arg_rule: "ArgMax ArgMin",
    cast_rule: "Cast",
    constant_of_shape_rule: "ConstantOfShape",
    flatten_rule: "Flatten",
    normalised_rule: "RMSNormalization",
    one_hot_rule: "OneHot",
    range_rule: "Range",
    size_rule: "Size",
    split_rule: "Split",
    squeeze_rule: "Squeeze",
    tile_rule: "Tile",
    where_rule: "Where",
}
OPERATORS: Mapping[str, Rule] = {
    **OURS,
    **{name: rule for rule, names in OTHERS.items() for name in names.split()},
}
