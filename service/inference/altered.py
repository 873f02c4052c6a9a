"""A checkpoint that runs with other parameters, or other neurons, than its own.

Its graph is the published one. A parameter that changes becomes an input that has its value where
it is not given; neurons become an input in place of what computed them. One session serves all
changes.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from grokprobe.analysis.outputs import Outputs
from grokprobe.errors import InvalidInput
from grokprobe.task import Residues
from service.inference.batching import BatchRun, run_timed
from service.inference.checkpoints import Checkpoint
from service.inference.sweep import Parts, part_pairs

Given = Mapping[str, NDArray[Any]]

FILE_COPIES = 5  # as read, as a graph, as that is changed, as a session


class ModelFile:
    """The graph of a published model, to be changed."""

    def __init__(self, data: bytes) -> None:
        self._proto = onnx.load_model_from_string(data)
        self._graph = self._proto.graph
        self._makers = {name: node for node in self._graph.node for name in node.output}

    @property
    def parameters(self) -> dict[str, NDArray[np.float32]]:
        """The float32 parameters by name."""
        tensors = self._graph.initializer
        floats = [tensor for tensor in tensors if tensor.data_type == TensorProto.FLOAT]
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in floats}

    def with_parameters(self, names: Iterable[str]) -> bytes:
        """The model whose parameters of these names are inputs."""
        shapes = {name: list(array.shape) for name, array in self.parameters.items()}
        return self._taking(
            helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes[n]) for n in names
        )

    @property
    def neurons(self) -> str:
        """The name of what the logits are computed from, that the output `neurons` shows.

        Raises InvalidInput where they are not.
        """
        name = "neurons"
        while name in self._makers and self._makers[name].op_type == "Identity":
            name = self._makers[name].input[0]  # the output is a copy
        if name not in self._makers or not self._leads_to_logits(name):
            raise InvalidInput("$.of", "the logits of this model do not come from its `neurons`")
        return name

    def with_neurons(self, width: int) -> bytes:
        """The model whose neurons are an input in place of what computed them.

        Raises InvalidInput as `neurons` does.
        """
        name = self.neurons
        shape: list[str | int | None] = ["neurons_batch", width]
        made = self._makers[name].output
        made[list(made).index(name)] = f"{name} as computed"
        return self._taking([helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)])

    def _leads_to_logits(self, name: str) -> bool:
        waiting, seen = ["logits"], set()
        while waiting:
            wanted = waiting.pop()
            if wanted == name:
                return True
            if wanted not in seen and wanted in self._makers:
                waiting += self._makers[wanted].input
            seen.add(wanted)
        return False

    def _taking(self, inputs: Iterable[onnx.ValueInfoProto]) -> bytes:
        self._graph.input.extend(inputs)
        logits = [output for output in self._graph.output if output.name == "logits"]
        del self._graph.output[:]
        self._graph.output.extend(logits)
        return self._proto.SerializeToString()


class Altered(Parts):
    """Runs of a checkpoint's model by a session over one of the files above."""

    def __init__(self, checkpoint: Checkpoint, session: Any) -> None:
        super().__init__(checkpoint)
        self._session = session

    def with_parameters(self, asked: Residues, given: Given) -> Iterator[Outputs]:
        """The logits of pairs (m, 2) in blocks, with these parameters."""
        size = part_pairs(self.checkpoint)
        blocks = (asked[start : start + size] for start in range(0, len(asked), size))
        return self._logits((block, given) for block in blocks)

    def with_neurons(
        self, asked: Residues, name: str, values: Iterable[NDArray[Any]]
    ) -> Iterator[Outputs]:
        """The logits of pairs (m, 2) in blocks, with neurons that come in blocks of those pairs."""
        size = part_pairs(self.checkpoint)

        def blocks() -> Iterator[tuple[Residues, Given]]:
            at = 0
            for whole in values:
                for start in range(0, len(whole), size):
                    rows = np.ascontiguousarray(whole[start : start + size], dtype=np.float32)
                    yield asked[at : at + len(rows)], {name: rows}
                    at += len(rows)

        return self._logits(blocks())

    def _logits(self, blocks: Iterable[tuple[Residues, Given]]) -> Iterator[Outputs]:
        def work(asked: Residues, given: Given) -> BatchRun:
            run = self.checkpoint.run
            return run_timed(
                lambda pairs: run(self._session, ["logits"], {"pairs": pairs, **given}), asked
            )

        return (logits for [logits] in self.ahead(partial(work, *block) for block in blocks))
