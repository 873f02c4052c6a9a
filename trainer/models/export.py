"""Checkpoints as ONNX: the graph is exported once per run, each checkpoint puts its weights in.

Exporting takes seconds, putting weights in about a millisecond, and the same weights give the
same bytes. The file keeps DESIGN's ONNX contract: parameters are the only initialisers, under
their own names; no external data, standard domain, no trace of source files.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import onnxscript.optimizer
import torch
from numpy.typing import NDArray

from grokprobe.errors import GrokprobeError
from grokprobe.safety.bounds import AT_ONCE
from grokprobe.store.records import FORMAT_VERSION, LearningCoefficient
from grokprobe.task import Residues, Task
from trainer.models.network import Activations, Network

Weights = Mapping[str, NDArray[np.float32]]
Logits = NDArray[np.float32]

OUTPUTS = list(Activations._fields)  # of all families; a network may lack some
PARITY = 1e-4  # largest tolerated difference, as a share of the logits' range


class ParityError(GrokprobeError):
    """A published file would not compute what torch computes."""


@dataclass(frozen=True)
class Exported:
    """The ONNX file of a checkpoint, and the measures that cannot be read off what it computes."""

    step: int
    model: bytes
    opset: int
    extra: dict[str, float | None]
    learning_coefficient: LearningCoefficient | None = None
    rows: int = AT_ONCE  # pairs that may be evaluated at once


class Graph:
    """The graph of a run, ready to take the weights of its checkpoints."""

    def __init__(self, proto: onnx.ModelProto, run: str, task: Task) -> None:
        self._proto, self._run, self._task = proto, run, task
        self.opset = opset(proto)
        for tensor in proto.graph.initializer:
            tensor.ClearField("raw_data")

    @classmethod
    def from_model(cls, data: bytes, run: str, task: Task) -> "Graph":
        """The graph of a published checkpoint: what `resume` goes on with."""
        return cls(onnx.load_from_string(data), run, task)

    def fill(self, weights: Weights, step: int) -> bytes:
        """The ONNX file of one checkpoint; equal weights and step give equal bytes."""
        filled = onnx.ModelProto()  # a message keeps the memory of all that was ever put into it
        filled.CopyFrom(self._proto)
        for tensor in filled.graph.initializer:
            tensor.raw_data = np.ascontiguousarray(weights[tensor.name]).tobytes()
        return stamp(filled, self._run, step, self._task)


def opset(proto: onnx.ModelProto) -> int:
    """The version of the standard operators."""
    standard = (entry for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    return int(next(standard).version)


def stamp(proto: onnx.ModelProto, run: str, step: int, task: Task) -> bytes:
    """Write a model as a file that says what it is; equal models give equal bytes."""
    facts = {
        "format_version": FORMAT_VERSION,
        "run": run,
        "step": step,
        "operation": task.operation,
        "modulus": task.modulus,
    }
    onnx.helper.set_model_props(proto, {key: str(fact) for key, fact in facts.items()})
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def offered(activations: Activations) -> list[str]:
    """The outputs that a network has."""
    return [name for name, value in activations._asdict().items() if value is not None]


def export_graph(model: Network, pairs: Residues) -> onnx.ModelProto:
    """The graph of a network on the CPU; `pairs` (n, 2) are any valid pairs to trace it with."""
    sample = torch.from_numpy(pairs)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model.eval(),
            (sample,),
            dynamo=True,
            optimize=False,  # would fold weights into constants: see _simplify
            external_data=False,
            input_names=["pairs"],
            output_names=offered(model(sample)),
            dynamic_shapes={"pairs": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None  # what dynamo=True returns
    proto = _simplify(program.model_proto)
    strip(proto)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _simplify(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants, but nothing that depends on a weight: those are inputs meanwhile.

    A third of the nodes remain, so a session is created in half the time.
    """
    weights = list(proto.graph.initializer)
    proto.graph.input.extend(
        onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        for weight in weights
    )
    del proto.graph.initializer[:]
    simple: onnx.ModelProto = onnxscript.optimizer.optimize(proto)
    constants = [
        onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in simple.graph.initializer
    ]
    [pairs] = [value for value in simple.graph.input if value.name == "pairs"]
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            [*constants, *simple.graph.node],
            "grokprobe",
            [pairs],
            list(simple.graph.output),
            weights,
        ),
        opset_imports=simple.opset_import,
        ir_version=simple.ir_version,
        producer_name="grokprobe",
    )


def strip(proto: onnx.ModelProto) -> None:
    """Remove what names source files and internals of the exporter."""
    graph = proto.graph
    for parts in (graph.node, graph.input, graph.output, graph.initializer):
        for part in parts:
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about itself; errors and other warnings pass."""
    root = "torch.onnx._internal.exporter"
    # "torchvision is not installed"; "None output ... is ignored", which is what we want.
    loggers = [logging.getLogger(f"{root}.{name}") for name in ("_registration", "_core")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def open_session(model: bytes) -> ort.InferenceSession:
    """A session on one thread, so that training keeps the others and results are repeatable."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_logits(session: ort.InferenceSession, pairs: Residues) -> Logits:
    """The logits (n, p) of pairs (n, 2)."""
    logits: Logits = session.run(["logits"], {"pairs": pairs})[0]
    return logits


def check_parity(ours: Logits, torchs: Logits, run: str, step: int) -> None:
    """Raise ParityError unless the file's logits equal torch's, both (n, p)."""
    difference = float(np.abs(ours - torchs).max())
    bound = PARITY * float(np.ptp(torchs))
    if not difference <= bound:
        raise ParityError(
            f"run {run!r} step {step}: the exported model differs from torch by {difference:.3g}, "
            f"more than {bound:.3g} (1e-4 of the logits' range); it was not published"
        )
