"""Models that aim at whoever loads them: refused in one line, before ONNX Runtime sees them."""

import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from grokprobe.errors import CheckpointCorrupt
from grokprobe.safety import bounds
from grokprobe.safety.bounds import BeyondBounds, find_bounds
from grokprobe.safety.check import check_model
from grokprobe.safety.operators import OPERATORS, OPSETS
from grokprobe.safety.values import MAX_RANK
from grokprobe.safety.wire import MAX_STRUCTURE_BYTES
from tests.support.hostile_models import FAILING, MODULUS, REFUSED, array, made, model, node, slow

HONEST = model().SerializeToString()


def refusal(data: bytes) -> str:
    """Why a model is refused; empty if it is not."""
    try:
        check_model(data, "here", MODULUS)
    except CheckpointCorrupt as error:
        return str(error)
    return ""


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_a_hostile_model_is_refused(make: Callable[[], bytes]) -> None:
    """In one short line that says where, in little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reason = refusal(make())
    assert reason.startswith("here is ")
    assert reason.isprintable()
    assert len(reason) < 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_honest_models_pass() -> None:
    """And so do those that only fail, or are slow, when they run."""
    assert not refusal(HONEST)
    assert not any(refusal(make()) for make in [*FAILING.values(), slow])


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_file_is_refused_or_followed(data: st.DataObject) -> None:
    """Whatever bytes change, nothing but CheckpointCorrupt is raised."""
    bytes_of = data.draw(st.sampled_from([HONEST, slow(2, 8), REFUSED["doubling by Concat"]()]))
    changed = bytearray(bytes_of)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        new = data.draw(st.binary(max_size=6))
        changed[at : at + data.draw(st.integers(0, 6))] = new
    assert refusal(bytes(changed)).isprintable()


# -- whatever is followed has the sizes that ONNX Runtime makes of it -----------------------------

NUMBERS = st.integers(-2, 4)
ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    "axis": NUMBERS,
    "axes": st.lists(NUMBERS, min_size=1, max_size=2),
    "keepdims": st.integers(0, 1),
    "noop_with_empty_axes": st.integers(0, 1),
    "perm": st.permutations(range(3)).map(list) | st.permutations(range(2)).map(list),
    "to": st.sampled_from([TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL]),
    "start": NUMBERS,
    "end": NUMBERS,
    "allowzero": st.integers(0, 1),
    "transA": st.integers(0, 1),
    "transB": st.integers(0, 1),
    "num_outputs": st.integers(1, 3),
    "equation": st.sampled_from(["ij,jk->ik", "ij,kj->ik", "ijk,kl->ijl", "ij->ji", "ij,ij->i"]),
    "value_ints": st.lists(NUMBERS, min_size=1, max_size=3),
}
OF_OPERATORS = {
    name: set(onnx.defs.get_schema(name, 20).attributes)
    for name in OPERATORS
    if name not in ("RMSNormalization", "Swish")
}


@st.composite
def graphs(draw: st.DrawFn) -> onnx.GraphProto:
    """Some operators, each of what there is before it: sensible often enough."""
    names = ["pairs", "W", "h", "one", "two", "minus", "shape", "n", "rows"]
    nodes = [node("Shape", "pairs", "n", end=1), node("Gather", "W pairs", "rows")]
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(sorted(OF_OPERATORS)))
        schema = onnx.defs.get_schema(kind, 20)
        most = min(schema.max_input, 4)
        count = draw(st.integers(schema.min_input, most))
        inputs = [draw(st.sampled_from(names)) for _ in range(count)]
        known = sorted(OF_OPERATORS[kind] & ATTRIBUTES.keys())
        chosen = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
        outputs = [
            f"v{number}_{i}" for i in range(draw(st.integers(1, 3)) if kind == "Split" else 1)
        ]
        attributes = {name: draw(ATTRIBUTES[name]) for name in chosen}
        nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        names += outputs
    made_names = [name for one in nodes for name in one.output]
    tensors = [
        numpy_helper.from_array(np.ones((4, 3), dtype=np.float32), "W"),
        numpy_helper.from_array(np.ones((3, 2), dtype=np.float32), "h"),
        array("one", 1),
        array("two", 0, 2),
        array("minus", -1),
        array("shape", -1, 3),
    ]
    values = [onnx.ValueInfoProto(name=name) for name in made_names]
    given_ = helper.make_tensor_value_info("pairs", TensorProto.INT64, ["batch", 2])
    return helper.make_graph(nodes, "random", [given_], values, tensors)


@settings(max_examples=600)
@given(graphs())
def test_what_is_followed_has_the_sizes_that_are_computed(graph: onnx.GraphProto) -> None:
    """For one pair and for more: the rules are the standard's, and never too small."""
    try:
        known = find_bounds(graph, 20)
    except BeyondBounds:
        return
    opset = [helper.make_opsetid("", 20)]
    data = helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:  # of types that do not go together: it is refused when it is loaded
        return
    names = list(known.outputs)
    for count in (1, 3, 5):
        pairs = np.ones((count, 2), dtype=np.int64)
        try:
            found = session.run(names, {"pairs": pairs})
        except Exception:  # an index out of range
            continue
        for name, value in zip(names, found, strict=True):
            expected = tuple(size.at(count) for size in known.outputs[name].shape)
            assert value.shape == expected, name
            numbers = known.outputs[name].numbers
            if numbers is not None:
                assert [n.at(count) for n in numbers.flat] == np.asarray(
                    value, int
                ).ravel().tolist()


@pytest.mark.parametrize(
    ("axis", "shape"), [(-2, "1 2 pairs"), (-1, "pairs 2"), (0, "1 2 pairs"), (2, "2 pairs 1")]
)
def test_flatten_counts_its_axis_from_either_end(axis: int, shape: str) -> None:
    """The rank itself is an axis too, and negative ones do not count it."""
    nodes = [node("Flatten", "pairs", "flat", axis=axis)]
    given_ = helper.make_tensor_value_info("pairs", TensorProto.INT64, ["batch", 2])
    graph = helper.make_graph(nodes, "flat", [given_], [onnx.ValueInfoProto(name="flat")])
    assert " ".join(map(str, find_bounds(graph, 20).outputs["flat"].shape)) == shape


def test_the_generator_makes_what_is_followed() -> None:
    """What the test above looks at is not refused each time."""
    followed: set[str] = set()

    @settings(max_examples=300, database=None)
    @given(graphs())
    def look(graph: onnx.GraphProto) -> None:
        try:
            find_bounds(graph, 20)
        except BeyondBounds:
            return
        followed.update(one.op_type for one in graph.node)

    look()
    assert len(followed) > 40


@pytest.mark.parametrize("per_pair", [True, False])
def test_what_needs_much_runs_with_few_pairs(per_pair: bool) -> None:
    """As many go into one run as its bounds admit."""
    width = made(
        node("Unsqueeze", "honest one", "column"),
        node("Expand", "column wide", "big"),
        tensors=[array("wide", 100_000 if per_pair else 1, 1)],
    )
    assert check_model(width, "here", MODULUS).pairs_at_once == (16 if per_pair else 2_048)


DOCS = Path(__file__).parents[2] / "docs" / "format.md"


def test_the_contract_names_every_operator_and_bound() -> None:
    """`docs/format.md` is the list that people read."""
    text = DOCS.read_text().partition("### What it may hold")[2].partition("## Not guaranteed")[0]
    listed = re.findall(r"`([A-Z]\w+)`", text)
    assert sorted(set(listed) - {"GROKPROBE_MAX_MODEL_BYTES"}) == sorted(OPERATORS)
    assert f"opset {OPSETS[0]} to {OPSETS[-1]}" in text
    of_loading = (bounds.MAX_NODES, bounds.MAX_LOAD_BYTES, bounds.MAX_LOAD_WORK)
    of_runs = (bounds.MAX_RUN_BYTES, bounds.MAX_RUN_WORK, bounds.MAX_NODE_WORK)
    for limit in (*of_loading, *of_runs, MAX_STRUCTURE_BYTES, MAX_RANK):
        assert f"| {limit:,} |" in text
