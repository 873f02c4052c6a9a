"""What the unembedding reads of every pair, which no file has as an output.

    logits = r W_U + b_U          so with columns of the identity in place of W_U, and b_U = 0: r

r is the residual after the last layer, and after its LayerNorm where there is one. Our files
multiply W_U with what comes before it, so that r itself stands nowhere in their graph.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.outputs import Outputs
from grokprobe.errors import CheckpointCorrupt
from grokprobe.task import Residues, pairs
from service.inference.altered import Altered, Given, ModelFile
from service.inference.batching import run_timed
from service.inference.checkpoints import Checkpoint
from service.inference.runtime import Runtime
from service.inference.sweep import part_pairs

RESIDUAL, UNEMBEDDING, BIAS = "residual", "W_U", "b_U"


def has_residual(checkpoint: Checkpoint) -> bool:
    """Whether the model has an unembedding and our form, in which W_U is nothing else."""
    return checkpoint.bounds.is_ours and "unembedding" in checkpoint.shapes


def open_residual(runtime: Runtime, checkpoint: Checkpoint, model: bytes) -> "Residual":
    """The residual of a checkpoint that has one, from its file. Raises CheckpointCorrupt."""
    file, table = ModelFile(model), checkpoint.matrix("unembedding").T
    where = f"run {checkpoint.manifest.run!r} step {checkpoint.manifest.step}"
    W_U = file.parameters.get(UNEMBEDDING)
    if W_U is None or not np.array_equal(W_U[:, : table.shape[1]], table):
        raise CheckpointCorrupt(f"{where}: its output unembedding is not its parameter W_U")
    return Residual(checkpoint, runtime.session(file_reading(file), where), file)


class Residual(Altered):
    """The residual over all pairs (outputs.PairOutputs), by a session over `file_reading`."""

    def __init__(self, checkpoint: Checkpoint, session: Any, file: ModelFile) -> None:
        super().__init__(checkpoint, session)
        self._given = list(_selections(file.parameters, checkpoint.table.task.modulus))
        self._width = checkpoint.shapes["unembedding"][1]

    @property
    def names(self) -> Collection[str]:
        """The one that can be read."""
        return (RESIDUAL,)

    def blocks(self, names: Sequence[str]) -> Iterator[Sequence[Outputs]]:
        """Consecutive rows (m, d_model) of it."""
        assert list(names) == [RESIDUAL]
        asked, size = pairs(self.checkpoint.table.task.modulus), part_pairs(self.checkpoint)
        parts = (asked[start : start + size] for start in range(0, len(asked), size))
        return self.ahead(partial(run_timed, self._read, part) for part in parts)

    def _read(self, asked: Residues) -> list[Outputs]:
        columns = [
            self.checkpoint.run(self._session, ["logits"], {"pairs": asked, **given})[0]
            for given in self._given
        ]
        return [np.concatenate(columns, axis=1)[:, : self._width]]


def file_reading(file: ModelFile) -> bytes:
    """The model whose unembedding is an input."""
    return file.with_parameters(_changed(file.parameters))


def _changed(parameters: Mapping[str, NDArray[Any]]) -> list[str]:
    return [name for name in (UNEMBEDDING, BIAS) if name in parameters]


def _selections(parameters: Mapping[str, NDArray[Any]], p: int) -> Iterator[Given]:
    """In place of W_U (d_model, p or more), p columns of the identity (d_model, d_model) a time."""
    width, columns = parameters[UNEMBEDDING].shape
    zero = {name: np.zeros_like(parameters[name]) for name in _changed(parameters)}
    for first in range(0, width, p):
        selecting = np.eye(width, columns, -first, dtype=np.float32)
        selecting[:, p:] = 0
        yield {**zero, UNEMBEDDING: selecting}
