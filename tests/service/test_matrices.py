"""Matrices read from a file: the numbers of ONNX Runtime, or none where they must be computed."""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper, numpy_helper

from grokprobe.errors import CheckpointCorrupt
from service.inference.matrices import Floats, read_matrix

P, WIDTH = 5, 3
TABLE = np.random.default_rng(0).normal(size=(P + 1, WIDTH)).astype(np.float32)


def model(
    nodes: list[NodeProto], last: str, integers: dict[str, list[int]], table: Floats = TABLE
) -> bytes:
    """A file by the contract with another output `extra`, which these nodes make."""
    tensors = [numpy_helper.from_array(np.array(v), name) for name, v in integers.items()]
    logits = [
        helper.make_node("Gather", ["W_E", "pairs"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "one"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["sum", "W_U"], ["logits"]),
        helper.make_node("Identity", [last], ["extra"]),
    ]
    graph = helper.make_graph(
        [*nodes, *logits],
        "moves",
        [helper.make_tensor_value_info("pairs", TensorProto.INT64, ["batch", 2])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", P]),
            helper.make_tensor_value_info("extra", TensorProto.FLOAT, ["n", "m"]),
        ],
        [
            numpy_helper.from_array(table, "W_E"),
            numpy_helper.from_array(np.ones((WIDTH, P), np.float32), "W_U"),
            numpy_helper.from_array(np.array([1]), "one"),
            *tensors,
        ],
    )
    opsets = [helper.make_opsetid("", 18)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(made.SerializeToString())


MOVES = st.lists(
    st.one_of(
        st.just(("Identity", [], [], [])),
        st.just(("Transpose", [], [], [])),
        st.tuples(
            st.just("Slice"),
            st.lists(st.integers(-8, 8), min_size=2, max_size=2),
            st.lists(st.integers(-8, 8), min_size=2, max_size=2),
            st.lists(st.sampled_from([-2, -1, 1, 2, 3]), min_size=2, max_size=2),
        ),
    ),
    max_size=4,
)


@given(moves=MOVES, in_nodes=st.booleans(), axes=st.sampled_from([[0, 1], [1, 0], [-1, 0]]))
@settings(max_examples=60)
def test_rows_taken_or_turned_are_those_of_the_runtime(
    moves: list[tuple[str, list[int], list[int], list[int]]], in_nodes: bool, axes: list[int]
) -> None:
    """Any slices, their numbers as constants or as parameters; none that goes backwards."""
    nodes, integers, last = list[NodeProto](), dict[str, list[int]](), "W_E"
    for i, (kind, *bounds) in enumerate(moves):
        names = [f"{name}_{i}" for name in ("starts", "ends", "steps")] if kind == "Slice" else []
        given = dict(zip(names, bounds, strict=False))
        if names:
            names.insert(2, f"axes_{i}")
            given[names[2]] = axes
        if in_nodes:
            for name, values in given.items():
                value = numpy_helper.from_array(np.array(values))
                nodes.append(helper.make_node("Constant", [], [name], value=value))
        else:
            integers |= given
        nodes.append(helper.make_node(kind, [last, *names], [f"moved_{i}"]))
        last = f"moved_{i}"
    data = model(nodes, last, integers)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    [expected] = session.run(["extra"], {"pairs": np.zeros((1, 2), np.int64)})
    assume(expected.size)  # an array of nothing is refused
    found = read_matrix(data, "extra", "here", P)
    if any(step < 0 for _, _, _, steps in moves for step in steps):
        assert found is None
        return
    assert found is not None
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("MatMul", ["W_E", "W_U"], ["made"]),
        helper.make_node("Relu", ["W_E"], ["made"]),
        helper.make_node("Neg", ["W_E"], ["made"]),
    ],
)
def test_what_has_to_be_computed_is_not_read(node: NodeProto) -> None:
    """Nor is an output that is not there, or one of the pairs; nobody guesses."""
    data = model([node], "made", {})
    assert read_matrix(data, "extra", "here", P) is None
    assert read_matrix(data, "embedding", "here", P) is None
    assert read_matrix(data, "logits", "here", P) is None


def test_a_file_is_checked_before_it_is_read() -> None:
    """As one that is loaded."""
    with pytest.raises(CheckpointCorrupt, match="here is not an ONNX file"):
        read_matrix(b"x", "embedding", "here", P)
    loop = helper.make_node("Loop", ["W_E"], ["made"])
    with pytest.raises(CheckpointCorrupt, match="Loop"):
        read_matrix(model([loop], "made", {}), "extra", "here", P)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    """As in an output of a session; in rows that are not taken they are nobody's concern."""
    nodes = [helper.make_node("Slice", ["W_E", "from", "to"], ["made"])]
    for row, is_seen in ((0, True), (P, False)):
        table = TABLE.copy()
        table[row, 0] = value
        data = model(nodes, "made", {"from": [0], "to": [P]}, table)
        if is_seen:
            with pytest.raises(CheckpointCorrupt, match=r"^here: its output extra is not finite"):
                read_matrix(data, "extra", "here", P)
        else:
            np.testing.assert_array_equal(read_matrix(data, "extra", "here", P), TABLE[:P])


def test_large_numbers_are_finite() -> None:
    """Though the sum of their squares is not."""
    table = np.full_like(TABLE, 3e38)
    np.testing.assert_array_equal(read_matrix(model([], "W_E", {}, table), "extra", "x", P), table)
