"""What a model takes, found by following the sizes of all that it computes before it is loaded.

Nothing is computed for that, and nothing is guessed: a model that cannot be followed is refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import onnx

from grokprobe.safety.numbers import follow
from grokprobe.safety.operators import OPERATORS, OPSETS
from grokprobe.safety.sizes import PAIRS, NotUnderstood, Size, product
from grokprobe.safety.values import ITEM_BYTES, MAX_RANK, Node, Value, tensor_value

MAX_NODES = 4_096
MAX_LENGTH = 2**26  # of an axis, for each pair
# Of what depends on the pairs: as many of them go into one run as these admit. Work is counted in
# multiply-adds, 0.05 ns each (Xeon of 2023, one thread), 9 ns where numbers are subnormal.
AT_ONCE = 2_048  # pairs in one run at most
MAX_RUN_BYTES = 2**27
MAX_RUN_WORK = 2**32
MAX_NODE_WORK = 2**28  # a run can be ended after a node, not within one
# Of what does not depend on them: ONNX Runtime computes it once, while it loads the model.
MAX_LOAD_BYTES = 2**27
MAX_LOAD_WORK = 2**31
ELEMENT_WORK = 16  # to read or write a number
KINDS = (  # of attributes: no graphs, no sparse tensors, no types
    onnx.AttributeProto.FLOAT,
    onnx.AttributeProto.FLOATS,
    onnx.AttributeProto.INT,
    onnx.AttributeProto.INTS,
    onnx.AttributeProto.STRING,
    onnx.AttributeProto.TENSOR,
)


class BeyondBounds(ValueError):
    """A model takes more than is allowed, or cannot be followed; the message says where."""


@dataclass(slots=True)
class Amount:
    """So much, and so much more for each pair."""

    fixed: int = 0
    each: int = 0

    def add(self, size: Size) -> None:
        """One more part."""
        if size.per_pair:
            self.each += size.of
        else:
            self.fixed += size.of

    def at(self, pairs: int) -> int:
        """How much it is for so many pairs."""
        return self.fixed + self.each * pairs


@dataclass(slots=True)
class Bounds:
    """What a model takes at most: a run of it, the largest node of a run, and loading it."""

    run_bytes: Amount = field(default_factory=Amount)
    run_work: Amount = field(default_factory=Amount)
    node_work: Amount = field(default_factory=Amount)
    load_bytes: int = 0
    load_work: int = 0
    outputs: Mapping[str, Value] = field(default_factory=dict)
    is_ours: bool = False  # it has the form of our own exports

    @property
    def pairs_at_once(self) -> int:
        """The pairs that one run may have: a power of two, at most AT_ONCE."""
        pairs = AT_ONCE
        while pairs > 1 and not self._admit(pairs):
            pairs //= 2
        return pairs

    def _admit(self, pairs: int) -> bool:
        return (
            self.run_bytes.at(pairs) <= MAX_RUN_BYTES
            and self.run_work.at(pairs) <= MAX_RUN_WORK
            and self.node_work.at(pairs) <= MAX_NODE_WORK
        )

    def note(self, node: Node, made: list[Value]) -> None:
        """What a node takes, and what it makes."""
        work = Amount()
        work.add(node.work)
        for value in (*node.inputs, *made):
            if value:
                work.add(product((*value.shape, Size(ELEMENT_WORK))))
        results = [product((*value.shape, Size(ITEM_BYTES[value.kind]))) for value in made]
        if made[0].varies:
            for size in results:
                self.run_bytes.add(size)
            self.run_work.fixed += work.fixed
            self.run_work.each += work.each
            self.node_work.fixed = max(self.node_work.fixed, work.fixed)
            self.node_work.each = max(self.node_work.each, work.each)
        else:
            self.load_bytes += sum(size.of for size in results)
            self.load_work += work.fixed

    def check(self) -> None:
        """Raise BeyondBounds where loading, or a run of a single pair, takes too much."""
        for found, limit, what in (
            (self.load_bytes, MAX_LOAD_BYTES, "bytes for what does not depend on the pairs"),
            (self.load_work, MAX_LOAD_WORK, "multiply-adds for what does not depend on the pairs"),
            (self.run_bytes.at(1), MAX_RUN_BYTES, "bytes for one pair"),
            (self.run_work.at(1), MAX_RUN_WORK, "multiply-adds for one pair"),
            (self.node_work.at(1), MAX_NODE_WORK, "multiply-adds in one node for one pair"),
        ):
            if found > limit:
                raise BeyondBounds(f"it takes {found:,} {what}, at most {limit:,} are allowed")


def find_bounds(graph: onnx.GraphProto, opset: int) -> Bounds:
    """What a model takes.

    Raises BeyondBounds, which names the node, unless all of it is understood and within limits.
    """
    if opset not in OPSETS:
        known = f"{OPSETS[0]} to {OPSETS[-1]} are known"
        raise BeyondBounds(f"its operators are those of opset {opset}, {known}")
    if len(graph.node) > MAX_NODES:
        raise BeyondBounds(f"it has {len(graph.node):,} nodes, at most {MAX_NODES:,} are allowed")
    bounds = Bounds()
    values = {"pairs": Value((PAIRS, Size(2)), onnx.TensorProto.INT64, varies=True)}
    for tensor in graph.initializer:
        with _told(f"its initialiser {tensor.name[:40]!r}"):
            _define(values, tensor.name, tensor_value(tensor), least=0)
    for number, node in enumerate(graph.node):
        with _told(f"its node {number}, {node.op_type[:40]!r},"):
            _follow_node(node, values, bounds)
    bounds.check()
    if missing := [output.name for output in graph.output if output.name not in values]:
        raise BeyondBounds(f"its output {missing[0][:40]!r} is computed nowhere")
    bounds.outputs = {output.name: values[output.name] for output in graph.output}
    return bounds


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What is not understood within, as BeyondBounds that says where."""
    try:
        yield
    except NotUnderstood as error:
        raise BeyondBounds(f"{where} is not allowed: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise BeyondBounds(f"{where} is not as the standard defines it") from None


def _follow_node(proto: onnx.NodeProto, values: dict[str, Value], bounds: Bounds) -> None:
    """Add what a node makes to the values, and what it takes to the bounds."""
    rule = OPERATORS.get(proto.op_type)
    if rule is None:
        raise NotUnderstood("the operator is none that a model may have")
    if unknown := [name for name in proto.input if name and name not in values]:
        raise NotUnderstood(f"{unknown[0][:40]!r} is computed nowhere before it")
    inputs = [values[name] if name else None for name in proto.input]
    node = Node(proto.op_type, inputs, _attributes(proto), len(proto.output))
    found = rule(node)
    made = found if isinstance(found, list) else [follow(node, found)]
    if len(made) != len(proto.output):
        raise NotUnderstood("it has another number of outputs than is known here")
    varies = any(value.varies for value in inputs if value)
    made = [replace(value, varies=varies) for value in made]
    for name, value in zip(proto.output, made, strict=True):
        _define(values, name, value, least=1 if inputs else 0)
    bounds.note(node, made)


def _define(values: dict[str, Value], name: str, made: Value, least: int) -> None:
    """Give a value its name. Raises NotUnderstood where it may not have it."""
    if not name or name in values:
        raise NotUnderstood(f"the name {name[:40]!r} is empty or that of another value")
    if made.rank > MAX_RANK:
        raise NotUnderstood(f"it makes an array of {made.rank} axes, at most {MAX_RANK}")
    if not all(least <= size.of <= MAX_LENGTH for size in made.shape):
        shape = " x ".join(map(str, made.shape))
        raise NotUnderstood(f"it makes an array of {shape} numbers")
    values[name] = made


def _attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node by their names. Raises NotUnderstood for graphs and the like."""
    for attribute in proto.attribute:
        if attribute.type not in KINDS or attribute.ref_attr_name:
            raise NotUnderstood(
                f"its attribute {attribute.name[:40]!r} is of another kind than is known here"
            )
    found = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    if len(found) != len(proto.attribute):
        raise NotUnderstood("it has two attributes of one name")
    return found
