"""Models of p = 7 that aim at whoever loads or runs them, by what they try.

Each but for what it tries keeps the contract: the logits are W[a] + W[b], and what a model makes
beside them is added to them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from msgspec.structs import replace
from onnx import NodeProto, TensorProto, helper, numpy_helper

from grokprobe.store.records import CheckpointManifest, ModelRecord, sha256
from tests.support.tiny import TinyRun, digest_of, tiny_run

MODULUS = 7
HUGE = 3_000_000_000  # numbers: 12 GB
Spoil = Callable[[onnx.ModelProto], None]


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node; names of inputs and outputs apart by spaces."""
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def array(name: str, *numbers: int) -> onnx.TensorProto:
    """An initialiser of whole numbers."""
    return numpy_helper.from_array(np.array(numbers, dtype=np.int64), name)


def model(
    *nodes: NodeProto, tensors: Sequence[onnx.TensorProto] = (), opset: int = 18
) -> onnx.ModelProto:
    """The honest model, with more nodes: what they make, `extra`, is added to the logits."""
    last = node("Add", "honest extra", "logits") if nodes else node("Identity", "honest", "logits")
    weights = np.random.default_rng(0).normal(size=(MODULUS, MODULUS)).astype(np.float32)
    graph = helper.make_graph(
        [
            node("Gather", "W pairs", "rows"),
            node("ReduceSum", "rows one", "honest", keepdims=0),
            *nodes,
            last,
        ],
        "hostile",
        [helper.make_tensor_value_info("pairs", TensorProto.INT64, ["batch", 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", MODULUS])],
        [numpy_helper.from_array(weights, "W"), array("one", 1), *tensors],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def made(*nodes: NodeProto, tensors: Sequence[onnx.TensorProto] = (), opset: int = 18) -> bytes:
    """The bytes of such a model: the array `big` that its nodes make is summed up to `extra`."""
    summed = node("ReduceSum", "big", "extra", keepdims=0)
    return model(*nodes, summed, tensors=tensors, opset=opset).SerializeToString()


def spoiled(spoil: Spoil) -> bytes:
    """The bytes of the honest model after a change."""
    changed = model()
    spoil(changed)
    return changed.SerializeToString()


# -- control flow, and what is not the model's own ---------------------------------------------


def _body(name: str, *nodes: NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    return helper.make_graph(list(nodes), name, list(inputs), list(outputs))


def _info(name: str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [])


def endless_loop() -> bytes:
    """As long as true is true."""
    body = _body(
        "body",
        node("Identity", "on", "still"),
        node("Identity", "x", "y"),
        inputs=[_info("i", TensorProto.INT64), _info("on", TensorProto.BOOL), _info("x")],
        outputs=[_info("still", TensorProto.BOOL), _info("y")],
    )
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    loop = helper.make_node("Loop", ["", "true", "zero"], ["extra"], body=body)
    return model(loop, tensors=[true, zero]).SerializeToString()


def branches() -> bytes:
    """An If."""
    branch = _body("b", node("Constant", "", "c", value_float=0.0), inputs=[], outputs=[_info("c")])
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    chosen = node("If", "true", "extra", then_branch=branch, else_branch=branch)
    return model(chosen, tensors=[true]).SerializeToString()


def scan() -> bytes:
    """A Scan over the rows."""
    body = _body("b", node("Identity", "x", "y"), inputs=[_info("x")], outputs=[_info("y")])
    return made(node("Scan", "honest", "big", body=body, num_scan_inputs=1))


def function(changed: onnx.ModelProto) -> None:
    changed.functions.add(name="f", domain="")


def custom_domain(changed: onnx.ModelProto) -> None:
    changed.graph.node[0].domain = "com.evil"


def imported_domain(changed: onnx.ModelProto) -> None:
    changed.opset_import.add(domain="com.microsoft", version=1)


def external(changed: onnx.ModelProto) -> None:
    tensor = changed.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"
    tensor.ClearField("raw_data")


def external_constant(changed: onnx.ModelProto) -> None:
    secret = changed.graph.node.add(op_type="Constant", output=["secret"])
    tensor = secret.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
    tensor.data_location = onnx.TensorProto.EXTERNAL


def sparse(changed: onnx.ModelProto) -> None:
    changed.graph.sparse_initializer.add().dims.append(HUGE)


def misnamed(word: bytes) -> bytes:
    """The honest model with one output and one parameter more, in which this name is no UTF-8."""
    spare = helper.make_tensor("spare", TensorProto.FLOAT, [], [0.0])
    changed = model(node("Identity", "spare", "extra"), tensors=[spare])
    more = helper.make_tensor_value_info("honest", TensorProto.FLOAT, ["batch", MODULUS])
    changed.graph.output.append(more)
    return changed.SerializeToString().replace(word, word[:-1] + b"\x8e")


def training(changed: onnx.ModelProto) -> None:
    changed.training_info.add()


# -- sizes ---------------------------------------------------------------------------------------


def doubled(count: int = 40) -> bytes:
    """Each array is the one before twice: 2 to the 40th numbers."""
    ones = [node("Concat", f"d{i} d{i}", f"d{i + 1}", axis=0) for i in range(count)]
    first = node("Identity", "W", "d0")
    return made(first, *ones, node("Identity", f"d{count}", "big"))


def squared() -> bytes:
    """Every pair with every other."""
    turned = node("Transpose", "honest", "turned", perm=[1, 0])
    return made(turned, node("MatMul", "honest turned", "big"))


def folded() -> bytes:
    """A product of two large constants, which a runtime computes while it loads the model."""
    filled = node("ConstantOfShape", "shape", "filled")
    return made(
        filled, node("MatMul", "filled filled", "big"), tensors=[array("shape", 5_000, 5_000)]
    )


def of_pairs(*nodes: NodeProto) -> bytes:
    """A size that is computed of the very pairs: `size` is a list of one number."""
    numbers = [
        node("ReduceMax", "pairs", "largest", keepdims=0),
        node("Mul", "largest million", "many"),
        node("Reshape", "many one", "size"),
    ]
    return made(*numbers, *nodes, tensors=[array("million", HUGE)])


def compared_batch() -> bytes:
    """Huge for one number of pairs alone: Where(batch == 5, 3e9, 1)."""
    return made(
        node("Shape", "pairs", "batch", end=1),
        node("Equal", "batch five", "is_five"),
        node("Where", "is_five huge one", "size"),
        node("ConstantOfShape", "size", "big"),
        tensors=[array("five", 5), array("huge", HUGE)],
    )


def fewer_are_more() -> bytes:
    """The fewer pairs the larger: 3e9 divided by the number of pairs."""
    return made(
        node("Shape", "pairs", "batch", end=1),
        node("Div", "huge batch", "size"),
        node("ConstantOfShape", "size", "big"),
        tensors=[array("huge", HUGE)],
    )


def outer() -> bytes:
    """Two small constants, broadcast against each other."""
    return made(
        node("Range", "zero_ many_ one_", "row"),
        node("Unsqueeze", "row one", "column"),
        node("Mul", "row column", "product"),
        node("Cast", "product", "big", to=TensorProto.FLOAT),
        tensors=[
            helper.make_tensor(name, TensorProto.INT64, [], [value])
            for name, value in (("zero_", 0), ("many_", 60_000), ("one_", 1))
        ],
    )


def resized() -> bytes:
    sizes = helper.make_tensor("scales", TensorProto.FLOAT, [2], [30_000.0, 30_000.0])
    return made(helper.make_node("Resize", ["W", "", "scales"], ["big"]), tensors=[sizes])


def many_nodes(count: int = 10_000) -> bytes:
    chain = [node("Identity", f"c{i}", f"c{i + 1}") for i in range(count)]
    return made(node("Identity", "W", "c0"), *chain, node("Identity", f"c{count}", "big"))


def filled(*shape: int) -> bytes:
    return made(node("ConstantOfShape", "shape", "big"), tensors=[array("shape", *shape)])


# -- what a parser or a kernel may choke on ------------------------------------------------------


def length_of(size: int) -> bytes:
    """A length as protobuf writes it."""
    written = b""
    while size > 127:
        written += bytes([size & 127 | 128])
        size >>= 7
    return written + bytes([size])


def empty_nodes(count: int = 3_000_000) -> bytes:
    """A file of six megabytes that is hundreds once parsed."""
    graph = b"\x0a\x00" * count
    return model().SerializeToString() + b"\x3a" + length_of(len(graph)) + graph


def deep(levels: int = 5_000) -> bytes:
    """Graphs within attributes of nodes within graphs."""
    inner = b""
    for _ in range(levels):
        attribute = b"\x32" + length_of(len(inner)) + inner
        within = b"\x2a" + length_of(len(attribute)) + attribute
        inner = b"\x0a" + length_of(len(within)) + within
    return model().SerializeToString() + b"\x3a" + length_of(len(inner)) + inner


def divided_integers() -> bytes:
    """The least integer divided by -1: a trap of the processor that ends the process."""
    return made(
        node("Mul", "pairs nothing", "zeros"),
        node("Add", "zeros least", "dividend"),
        node("Sub", "zeros one", "divisor"),
        node("Div", "dividend divisor", "quotient"),
        node("Cast", "quotient", "big", to=TensorProto.FLOAT),
        tensors=[array("nothing", 0), array("least", -(2**63))],
    )


def rest_of_integers() -> bytes:
    """The same trap by another operator."""
    return made(
        node("Mod", "least minus", "rest"),
        node("Cast", "rest", "big", to=TensorProto.FLOAT),
        tensors=[array("least", -(2**63)), array("minus", -1)],
    )


def strings() -> bytes:
    """Numbers as text."""
    return made(
        node("Cast", "W", "words", to=TensorProto.STRING),
        node("Cast", "words", "big", to=TensorProto.FLOAT),
    )


def string_tensor(changed: onnx.ModelProto) -> None:
    changed.graph.initializer.add(name="s", data_type=TensorProto.STRING, string_data=[b"a" * 99])


def rank(changed: onnx.ModelProto) -> None:
    changed.graph.initializer[0].dims.extend([1] * 60)


def negative(changed: onnx.ModelProto) -> None:
    changed.graph.initializer[0].dims[0] = -7


def too_short(changed: onnx.ModelProto) -> None:
    changed.graph.initializer[0].raw_data = b"\0" * 8


def overflowing(changed: onnx.ModelProto) -> None:
    changed.graph.initializer[0].dims[:] = [2**32, 2**32]


def nothing_without_end(changed: onnx.ModelProto) -> None:
    """No number at all, along an axis of two thousand millions."""
    changed.graph.initializer.append(helper.make_tensor("none", TensorProto.INT64, [2**31, 0], []))


def twice(changed: onnx.ModelProto) -> None:
    changed.graph.node[1].output[0] = "rows"


def backwards(changed: onnx.ModelProto) -> None:
    changed.graph.node[0].input[0] = "logits"


def old(changed: onnx.ModelProto) -> None:
    changed.opset_import[0].version = 7


def new(changed: onnx.ModelProto) -> None:
    changed.opset_import[0].version = 2**40


def double(changed: onnx.ModelProto) -> None:
    changed.graph.node[-1].CopyFrom(node("Cast", "honest", "logits", to=TensorProto.DOUBLE))
    changed.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def no_number(changed: onnx.ModelProto) -> None:
    changed.graph.node[-1].CopyFrom(node("ReduceSum", "honest", "logits", keepdims=0))
    changed.graph.output[0].type.tensor_type.shape.ClearField("dim")


def says_otherwise(changed: onnx.ModelProto) -> None:
    changed.graph.output[0].type.tensor_type.shape.dim[1].dim_value = HUGE


def wider(changed: onnx.ModelProto) -> None:
    changed.graph.node[-1].CopyFrom(node("Concat", "honest honest", "logits", axis=1))
    changed.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2 * MODULUS


def more_inputs(changed: onnx.ModelProto) -> None:
    changed.graph.input.add(name="more")


def no_logits(changed: onnx.ModelProto) -> None:
    changed.graph.output[0].name = "rows"


def odd_attribute(changed: onnx.ModelProto) -> None:
    changed.graph.node[-1].attribute.add(name="odd", type=onnx.AttributeProto.INT)


def out_of_range(changed: onnx.ModelProto) -> None:
    """Of a table that is too short."""
    short = np.zeros((2, MODULUS), dtype=np.float32)
    changed.graph.initializer[0].CopyFrom(numpy_helper.from_array(short, "W"))


SHAPE = array("shape", HUGE)
REFUSED: dict[str, Callable[[], bytes]] = {
    "an endless Loop": endless_loop,
    "an If": branches,
    "a Scan": scan,
    "a function": lambda: spoiled(function),
    "a custom domain": lambda: spoiled(custom_domain),
    "an imported domain": lambda: spoiled(imported_domain),
    "external data": lambda: spoiled(external),
    "external data of a constant": lambda: spoiled(external_constant),
    "a sparse initialiser": lambda: spoiled(sparse),
    "training": lambda: spoiled(training),
    "12 GB of zeros": lambda: filled(HUGE),
    "12 GB in two axes": lambda: filled(60_000, 50_000),
    "no end of zeros": lambda: filled(2**62, 2**62),
    "a wide Expand": lambda: made(
        node("Expand", "one shape", "whole"),
        node("Cast", "whole", "big", to=TensorProto.FLOAT),
        tensors=[SHAPE],
    ),
    "a wide Tile": lambda: made(
        node("Tile", "W times", "big"), tensors=[array("times", 9_000, 9_000)]
    ),
    "an outer product of ranges": outer,
    "a Resize": resized,
    "doubling by Concat": doubled,
    "every pair with every other": squared,
    "a large product while it loads": folded,
    "a deep OneHot": lambda: made(
        node("OneHot", "pairs shape bits", "big"),
        tensors=[SHAPE, helper.make_tensor("bits", TensorProto.FLOAT, [2], [0.0, 1.0])],
    ),
    "a size of the pairs": lambda: of_pairs(node("ConstantOfShape", "size", "big")),
    "an Expand of the pairs": lambda: of_pairs(node("Expand", "honest size", "big")),
    "a shape of one number of pairs": compared_batch,
    "the fewer pairs the more": fewer_are_more,
    "NonZero": lambda: made(
        node("NonZero", "honest", "where"), node("Cast", "where", "big", to=TensorProto.FLOAT)
    ),
    "random numbers": lambda: made(node("RandomNormal", "", "big", shape=[10**9])),
    "ten thousand nodes": many_nodes,
    "a size whose name is no text": lambda: misnamed(b"batch"),
    "an output whose name is no text": lambda: misnamed(b"honest"),
    "a parameter whose name is no text": lambda: misnamed(b"spare"),
    "a value whose name is no text": lambda: misnamed(b"extra"),
    "millions of empty nodes": empty_nodes,
    "graphs within graphs": deep,
    "a quotient of integers": divided_integers,
    "a rest of integers": rest_of_integers,
    "a product of integers": lambda: made(
        node("Transpose", "pairs", "turned"),
        node("MatMul", "turned pairs", "product"),
        node("Cast", "product", "big", to=TensorProto.FLOAT),
    ),
    "text": strings,
    "text in the file": lambda: spoiled(string_tensor),
    "sixty axes": lambda: spoiled(rank),
    "a negative size": lambda: spoiled(negative),
    "fewer numbers than it says": lambda: spoiled(too_short),
    "sizes whose product overflows": lambda: spoiled(overflowing),
    "no numbers along an endless axis": lambda: spoiled(nothing_without_end),
    "a name twice": lambda: spoiled(twice),
    "a circle": lambda: spoiled(backwards),
    "an old opset": lambda: spoiled(old),
    "an opset to come": lambda: spoiled(new),
    "logits of float64": lambda: spoiled(double),
    "logits without axes": lambda: spoiled(no_number),
    "an output that is not what it says": lambda: spoiled(says_otherwise),
    "more logits": lambda: spoiled(wider),
    "two inputs": lambda: spoiled(more_inputs),
    "no logits": lambda: spoiled(no_logits),
    "half a file": lambda: model().SerializeToString()[:-40],
    "no file": lambda: b"",
}
# These pass the checks, and ONNX Runtime refuses them.
FAILING: dict[str, Callable[[], bytes]] = {
    "an attribute of no operator": lambda: spoiled(odd_attribute),
    "an index out of range": lambda: spoiled(out_of_range),
    "weights that are no numbers": lambda: weighing(np.nan),
    "weights without end": lambda: weighing(-np.inf),
    "a sum without end": lambda: weighing(3e38),
}


def weighing(value: float) -> bytes:
    """The honest model with the same weight everywhere."""
    changed, weights = model(), np.full((MODULUS, MODULUS), value, np.float32)
    changed.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "W"))
    return changed.SerializeToString()


def slow(count: int = 24, width: int = 2**20) -> bytes:
    """As slow as the bounds allow: rests of numbers far apart."""
    # 1e-44 by its bits: a process that has trained takes denormal numbers for 0.
    small = [
        helper.make_tensor(f"small{i}", TensorProto.FLOAT, [], bytes([7 + i, 0, 0, 0]), raw=True)
        for i in range(count)
    ]
    large = helper.make_tensor("large", TensorProto.FLOAT, [], [3e38])
    first = [
        node("ReduceMax", "honest", "most", keepdims=0),
        node("Expand", "most width", "wide"),
        node("Mul", "wide small0", "none"),
        node("Add", "none large", "s"),
    ]
    rests = [node("Mod", f"s small{i}", f"r{i}", fmod=1) for i in range(count)]
    halves = [
        node("Max", " ".join(f"r{i}" for i in range(begin, count, 2)), f"half{begin}")
        for begin in range(2)
    ]
    last = node("Max", "half0 half1", "big")
    return made(*first, *rests, *halves, last, tensors=[*small, large, array("width", width)])


def publishable(models: Sequence[bytes], run: str) -> TinyRun:
    """A run whose checkpoints, of the steps 0, 1, ..., are these models, with right digests."""
    tiny = tiny_run(run, MODULUS, range(len(models)))
    checkpoints: list[tuple[CheckpointManifest, bytes]] = [
        (
            replace(
                manifest,
                model=ModelRecord(
                    sha256=sha256(data), bytes=len(data), opset=18, outputs=["logits"]
                ),
            ),
            data,
        )
        for (manifest, _), data in zip(tiny.checkpoints, models, strict=True)
    ]
    digest = digest_of(manifest for manifest, _ in checkpoints)
    completion = replace(tiny.completion, manifests_sha256=digest)
    return TinyRun(tiny.manifest, tiny.train_mask, checkpoints, completion)
